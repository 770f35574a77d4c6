"""The schedule of a training: where its rate decays, where its history has entries, and where it may go on from.

A longer training may go on from the end of a shorter one.
"""

from collections import Counter

from relbench.experiment import Experiment, Training
from relbench.results.checkpoint import State
from relbench.settings import changed


def milestones(training: Training) -> list[int]:
    """Steps after which the learning rate decays."""
    return [round(share * training.steps) for share in training.decay_at]


def is_logged(step: int) -> bool:
    """Whether the history has an entry after a step that need be no validation step.

    It has one after each step below 32, and after 16 steps from there to 64, 16 from 64 to 128, and so on: close
    together where losses change fast, and not dependent on how many steps are to come.
    """
    return step % _stride(step) == 0


def logged_until(steps: int) -> int:
    """The number of steps, from the first to this one, for which `is_logged` says yes."""
    doublings = steps.bit_length() - 6  # from 32 on
    if doublings < 0:
        return steps
    return 31 + 16 * doublings + (steps - (32 << doublings)) // _stride(steps) + 1


def _stride(step: int) -> int:
    """1 below 32 steps, 2 below 64, 4 below 128, and so on."""
    return 1 << max(0, step.bit_length() - 5)


def may_go_on_from(longer: Experiment, shorter: Experiment) -> bool:
    """Whether the first part of a run is another run, to the last bit of its weights.

    All settings must be equal but for the number of steps, and for where the rate decays after the shorter run's last
    step, which must be a validation step of the longer run, where it writes a checkpoint. The history of the first part
    is then the shorter run's, too.

    Args:
        longer: the run that is to be made.
        shorter: a finished run.
    """
    own, its = longer.training, shorter.training
    as_long = {"steps": its.steps, "decay_at": its.decay_at}
    return (
        changed(longer, {"training": changed(own, as_long)}) == shorter
        and own.steps > its.steps
        and own.schedule == "steps"  # along a cosine all rates follow from the last step
        and its.steps % own.validate_every == 0
        and _until(its.steps, own) == _until(its.steps, its)
    )


def _until(step: int, training: Training) -> list[int]:
    return [milestone for milestone in milestones(training) if milestone <= step]


def gone_on_from(state: State, longer: Experiment) -> State:
    """The last state of a shorter run as a state of a longer one: written as its checkpoint, it is resumed from.

    Args:
        state: of a run that `may_go_on_from` allows.
        longer: the run that is to be made.
    """
    scheduler = state["scheduler"] | {"milestones": Counter(milestones(longer.training))}
    return state | {"fingerprint": longer.fingerprint, "scheduler": scheduler}
