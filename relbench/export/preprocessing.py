"""The way from an image file to a network's input, as other programs are told it."""

from dataclasses import dataclass

from relbench.data import resolve_transform
from relbench.experiment import Data, Net
from relbench.models import find_trunk
from relbench.models.normalization import NORMALIZATIONS
from relbench.transforms import PhotoTransform

COLOURS = {1: "L", 3: "RGB"}  # PIL's names of the layouts


@dataclass(frozen=True)
class Preprocessing:
    """What becomes of an image before a network sees it.

    It is converted to `colours`, resized to a square of side `resize` whatever its aspect (bilinear), cropped, divided
    by 255, and laid out (batch, channels, size, size). The network itself subtracts `mean` and divides by `deviation`.

    Attributes:
        colours: in PIL's words, "L" or "RGB".
        size: side of the network's input in pixels.
        resize: side before the crop.
        mean: of each colour; empty where nothing is subtracted.
        deviation: likewise.
        views: what these images are in words.
    """

    colours: str
    size: int
    resize: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    views: str

    @property
    def channels(self) -> int:
        """Of the network's input."""
        return next(number for number, name in COLOURS.items() if name == self.colours)

    @property
    def crop(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the centre crop; half a pixel is rounded to even, as in evaluation."""
        margin = round((self.resize - self.size) / 2)
        return margin, margin, margin + self.size, margin + self.size


def preprocessing_of(data: Data, net: Net, channels: int) -> Preprocessing:
    """The preprocessing of a run's test images."""
    transform = resolve_transform(data)
    resize = transform.side(data.size) if isinstance(transform, PhotoTransform) else data.size
    named = net.normalization or find_trunk(net.trunk).normalization
    mean, deviation = (NORMALIZATIONS[named] if isinstance(named, str) else named) or ((), ())
    return Preprocessing(COLOURS[channels], data.size, resize, mean, deviation, transform.in_words(data.size))
