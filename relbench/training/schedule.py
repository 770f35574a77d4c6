"""The schedule of a learning rate, and where a longer training may go on from the end of a shorter one."""

from collections import Counter

from relbench.experiment import Experiment, Training
from relbench.results.checkpoint import State
from relbench.settings import changed


def milestones(training: Training) -> list[int]:
    """Steps after which the learning rate decays."""
    return [round(share * training.steps) for share in training.decay_at]


def may_go_on_from(longer: Experiment, shorter: Experiment) -> bool:
    """Whether the first part of a run is another run, to the last bit of its weights.

    All settings must be equal but for the number of steps, and for where the rate decays after the shorter run's last
    step, which must be a validation step of the longer run, where it writes a checkpoint. The history of the first part
    then has the shorter run's entries, which may stand closer together.

    Args:
        longer: the run that is to be made.
        shorter: a finished run.
    """
    own, its = longer.training, shorter.training
    as_long = {"steps": its.steps, "decay_at": its.decay_at}
    return (
        changed(longer, {"training": changed(own, as_long)}) == shorter
        and own.steps > its.steps
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
