"""Transforms of images, as settings: a kind for each kind of data set, such as rendered glyphs and photos."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat

from relbench.settings import Settings


class GlyphTransform(Settings, use_attribute_docstrings=True):
    """The views of rendered glyphs."""

    kind: Literal["glyphs"] = "glyphs"
    distortion: Annotated[FiniteFloat, Field(ge=0, le=2)] = 1.0
    """Glyphs: how strongly training views are distorted."""

    def in_words(self, size: int) -> str:
        """What the views of a size are, for readers."""
        del size
        return f"distortion {self.distortion:g}" if self.distortion else "not distorted"


class PhotoTransform(Settings, use_attribute_docstrings=True):
    """The views of photos: resized to a square, then cropped."""

    kind: Literal["photos"] = "photos"
    resize: Annotated[int, Field(ge=8, le=2048)] | None = None
    """Photos: side in pixels before the crop; null for 8/7 of `size`."""
    mirror: bool = True
    """Photos: mirror half of the training views; false where left and right differ, as in arrows."""
    resized_crop: bool = False
    """Photos: training crops of a random area and aspect, resized to `size`, as torchvision's RandomResizedCrop."""

    def side(self, size: int) -> int:
        """Of the square that views of a size are cut from, in pixels."""
        return self.resize or round(size * 8 / 7)

    def in_words(self, size: int) -> str:
        """What the views of a size are, for readers."""
        return f"centre crop of {self.side(size)} px{'' if self.mirror else '; never mirrored in training'}"


class SmallTransform(Settings, use_attribute_docstrings=True):
    """The views of small images, such as CIFAR's, which are kept at the size that networks see."""

    kind: Literal["small"] = "small"
    crop: Literal["pad", "resized", "none"] = "pad"
    """Small images: training views are crops of the padded image, or of a random area that is resized, or whole."""
    pad: Annotated[int, Field(ge=0, le=64)] = 4
    """Small images: pixels on each side that an image is padded by before the crop."""
    padding: Literal["zero", "reflect"] = "zero"
    """Small images: what they are padded with: black, or the image reflected at its edge."""
    flip: bool = True
    """Small images: mirror half of the training views."""
    rotation: Annotated[FiniteFloat, Field(ge=0, le=180)] = 0.0
    """Small images: the largest angle, in degrees, by which training views are rotated."""
    jitter: Annotated[FiniteFloat, Field(ge=0, le=1)] = 0.0
    """Small images: the largest change of brightness, contrast and saturation in training views, as a share."""

    def in_words(self, size: int) -> str:
        """What the views of a size are, for readers."""
        del size
        crops = {"pad": f"padded by {self.pad} px ({self.padding})", "resized": "of random areas", "none": ""}
        crop = "whole in training" if self.crop == "none" else f"whole; training crops {crops[self.crop]}"
        return "".join(
            (
                crop,
                ", mirrored" if self.flip else "",
                f", rotated by up to {self.rotation:g} degrees" if self.rotation else "",
                f", colours changed by up to {100 * self.jitter:g} %" if self.jitter else "",
            )
        )


Transform = GlyphTransform | PhotoTransform | SmallTransform

# The transform that has a setting, in the order of the columns of tables: `--set`, tables, fingerprints and files of
# earlier versions have these settings beside those of the data set, as `data.distortion`.
TRANSFORM_OF: Mapping[str, type[Transform]] = {
    "resize": PhotoTransform,
    "distortion": GlyphTransform,
    "mirror": PhotoTransform,
    "resized_crop": PhotoTransform,
    **dict.fromkeys(("crop", "pad", "padding", "flip", "rotation", "jitter"), SmallTransform),
}


def gathered(transform: Any, beside: Mapping[str, Any]) -> Any:
    """A transform with the settings beside it; those of other kinds must have their defaults.

    Files of earlier versions have the settings of all kinds: where all are defaults, no transform is meant.

    Raises:
        ValueError: a setting of another kind has another value than its default; one line.
    """
    before = {} if transform is None else transform
    if not isinstance(before, Mapping | Settings):  # refused later
        return transform
    before = dict(before)
    said = [name for name, value in beside.items() if value != default_of(name)]
    kinds = dict.fromkeys(map(_kind, said or beside))
    if len(kinds) > 1 and not said and not before:
        return None
    kind = before.get("kind", next(iter(kinds)))
    other = next((name for name in said if _kind(name) != kind), None)
    if other:
        raise ValueError(f"{other} is a setting of {_kind(other)}, and so none of {kind}: leave it out")
    return {"kind": kind, **before, **{name: value for name, value in beside.items() if _kind(name) == kind}}


def _kind(name: str) -> str:
    return str(TRANSFORM_OF[name].model_fields["kind"].default)


def default_of(name: str) -> object:
    """The default of a transform's setting."""
    return TRANSFORM_OF[name].model_fields[name].default
