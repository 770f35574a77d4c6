"""A network that is to be measured, and what is known of it before it is built."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from relbench.experiment import Data, Experiment, Net
from relbench.models import find_trunk
from relbench.resolve import check_net, check_size, check_unseen, check_weights_unseen

UNKNOWN = (
    "What this network was trained on is not known here: if it has seen classes of these test images, its numbers are "
    "too high."
)


@dataclass(frozen=True)
class Judged:
    """A network that is built.

    Attributes:
        network: from images, as floats in [0, 1] or bytes, to embeddings.
        head: from embeddings to logits; None where there is none.
    """

    network: nn.Module
    head: nn.Module | None = None


@dataclass(frozen=True)
class Candidate:
    """A network that is to be measured.

    Attributes:
        build: the network for images of so many channels and a side in pixels.
        experiment: the settings of the run that trained it; None where that is not known.
        net: its settings, where it is a trunk of a library; None of others.
        note: what a reader of its numbers must know; "" if nothing.
    """

    build: Callable[[int, int], Judged]
    experiment: Experiment | None = None
    net: Net | None = None
    note: str = ""

    def check(self, data: Data) -> None:
        """Refuse images that it does not take, or whose classes it has seen where they must be new to it.

        Raises:
            ValueError: one line that says which.
        """
        if self.net:
            check_net(self.net, data.size)
            check_weights_unseen(self.net, data)
        if self.experiment:
            check_size(self.experiment, "the network", data.size)
            check_net(self.experiment.net, data.size)
            check_unseen(self.experiment, data)
            _refuse_trained_on(self.experiment, data)

    def check_channels(self, own: int, given: int) -> None:
        """Refuse images of other channels than those of the images that it was trained on.

        Args:
            own: channels of those.
            given: channels of the images that it is to be measured on.

        Raises:
            ValueError: its trunk does not take both.
        """
        if self.experiment and own != given and not find_trunk(self.experiment.net.trunk).any_channels:
            raise ValueError(
                f"{self.experiment.net.trunk} trained on {self.experiment.data.name} takes images of {own} channels, "
                f"but these have {given}: choose another data set"
            )


def refuse_trained_validation(trained: Experiment, data: Data) -> None:
    """Refuse validation images that a run has not held out as they are held out here.

    Raises:
        ValueError: it may have trained on some of them.
    """
    if trained.data.name == data.name and trained.data.images_in_use != data.images_in_use:
        raise ValueError(
            f"--split validation: the run was trained on other classes or images of {data.name} than these settings "
            "leave to train on, perhaps on these: leave --set out, or choose --split test"
        )
    for needed in trained.dependencies.values():
        refuse_trained_validation(needed, data)


def _refuse_trained_on(trained: Experiment, data: Data) -> None:
    """Refuse another way to split the images of its own data set: it was trained on some of the test's."""
    own = trained.data
    if own.name == data.name and (own.split, own.partition) != (data.split, data.partition):
        raise ValueError(
            f"the network was trained on {own.name} split by {own.split} (partition {own.partition}), and so on test "
            f"images of its split by {data.split} (partition {data.partition}): measure it on its own split"
        )
    for needed in trained.dependencies.values():
        _refuse_trained_on(needed, data)
