"""Networks and losses timed apart: tables train few networks with many losses, and networks take most of the time."""

from dataclasses import replace

from relbench.experiment import Experiment
from relbench.grid.estimate.calibration import Kind, Rates, Stopwatch, calibrated, kind_of, untrained
from relbench.grid.estimate.image_counts import ImageCounts
from relbench.run import own_losses_named
from relbench.training.computing import computing
from relbench.training.trial import rehearsal, rows_to_try


class Calibration:
    """Measures runs one after another: student and teacher with the losses of the first run that has them.

    A later run with the same networks has their step, less those losses, plus its own. Losses are timed on the CPU
    alone: what they take on a GPU hides behind what the CPU has to launch, so there each kind of run is measured whole.
    """

    def __init__(self) -> None:
        self._known: dict[Kind, tuple[Rates, float]] = {}  # by networks: with losses that take so many seconds a batch

    def __call__(self, run: tuple[Experiment, ImageCounts]) -> Rates:
        """What a run takes, see `calibrated`."""
        experiment, counts = run
        if experiment.training.device != "cpu":
            return calibrated(run)
        networks, own = kind_of(experiment, counts.channels).networks, losses_alone(run)
        if networks not in self._known:
            self._known[networks] = calibrated(run), own
        rates, measured_with = self._known[networks]
        return replace(rates, step=max(own, rates.step - measured_with + own))


def losses_alone(run: tuple[Experiment, ImageCounts]) -> float:
    """Seconds of a batch's losses, forward and backward, without networks.

    Where maps are compared, of as few images as there can be, and a whole batch is in proportion.

    Args:
        run: and the counts of its images.

    Raises:
        ValueError: a user's loss fails.
    """
    experiment, counts = run
    sample, rows = untrained(experiment), rows_to_try(experiment)
    watch = Stopwatch(rows, rows, lambda: None)
    with computing(sample.training.threads, sample.training.precision), own_losses_named(sample):
        step = rehearsal(sample, counts.channels, counts.classes, rows)
        for _ in watch:
            step()
    return watch.rate * sample.training.batch_size
