"""From an image file of any kind to red, green and blue: what is converted, what a setting decides, what is refused.

The published data sets are read as their authors' code reads them: PIL's `convert("RGB")`, which drops transparency and
leaves a camera's note on how it was held (EXIF orientation) alone. They hold ordinary JPEGs, so it makes no difference.
With the images of users it does. There

- transparency is put onto a background, before anything is resized;
- an EXIF orientation, mirrored ones too, is applied;
- of 16 bits per channel the upper 8 are used, in grey images as PIL does in coloured ones;
- CMYK is converted without a colour profile, other profiles are ignored, and of several pictures in a file (animations,
  pages) the first is taken;
- what has no agreed way to 8 bits (floating-point and 32-bit levels) or is ambiguous is refused.
"""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from PIL import ExifTags, Image, ImageColor, ImageOps, features
from pydantic import Field

from relbench.files import open_regular
from relbench.lookup import lookup
from relbench.settings import Settings

# Pillow before 11.2 warns if it is asked for AVIF, which it never reads.
_READS_AVIF = "avif" in features.modules and features.check("avif")

# Not all that PIL knows: EPS would start a program.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", *(("AVIF",) if _READS_AVIF else ()))
TURNED = range(2, 9)  # EXIF orientations that differ from upright
DIM = 1 << 12  # of 16-bit levels: below it 8 bits keep 16 levels at most
REFUSE = "refuse"
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # a tag of TIFF, and a value of it

Kind = Literal["transparent", "rotated", "deep", "dim", "several", "cmyk", "profile"]


class UnsuitableError(ValueError):
    """An image that is whole, but can't be used as it is: the message says why, and what to do."""


class Decoding(Settings):
    """Rules for images that hold more than colours. Part of the data's hash.

    A setting is None where no image needed it when the data set was added; an image that needs it now is refused.
    """

    background: Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")] | None = None  # what transparency is put onto
    exif: Literal["apply"] | None = None

    @property
    def parts(self) -> list[bytes]:
        """What enters a hash: nothing where nothing is set, so ordinary images keep theirs."""
        return [self.model_dump_json().encode()] if self != Decoding() else []


def asked_decoding(background: str, exif: str) -> Decoding:
    """The settings in a user's words.

    Args:
        background: a colour by name or as #rrggbb, or "refuse".
        exif: "apply" or "refuse".

    Raises:
        ValueError: there is no such colour or word.
    """
    return Decoding(
        background=None if background == REFUSE else _colour(background),
        exif="apply" if lookup(exif, ("apply", REFUSE), "--exif") == "apply" else None,
    )


def _colour(text: str) -> str:
    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        raise ValueError(f"--background = {text!r} is not a colour: use white, black, #rrggbb or {REFUSE}") from None
    return f"#{red:02x}{green:02x}{blue:02x}"


def rgb(path: Path, decoding: Decoding | None = None) -> Image.Image:
    """Decode an image.

    Args:
        path: of the file.
        decoding: what is done with images that hold more than colours; None: as the authors of the published data sets
            did it.

    Raises:
        UnsuitableError: the image is whole but can't be used.
        Exception: of nearly any kind, from PIL's decoders, where the file is damaged.
    """
    with open_regular(path) as file, Image.open(file, formats=FORMATS) as image:
        if decoding is None:
            return _as_authors(image)
        _refuse_levels(image)
        return _opaque(_eight_bits(_upright(image, decoding.exif)), decoding.background)


def _as_authors(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):  # PIL would cut everything above 255 off: a white picture
        raise UnsuitableError("its grey levels have more than 8 bits: save it with 8")
    image.info.pop("transparency", None)  # does not change what comes out; of some PIL would warn
    return image.convert("RGB")


def kinds(path: Path) -> set[Kind]:
    """What in an image asks for more than decoding. The pixels of an ordinary JPEG are not decoded.

    Raises:
        UnsuitableError: the image can't be used.
        Exception: of nearly any kind, from PIL's decoders, where the file is damaged.
    """
    with open_regular(path) as file, Image.open(file, formats=FORMATS) as image:
        _refuse_levels(image)
        found: dict[Kind, bool] = {
            "deep": is_deep(image),  # before the image is loaded, and the next line loads a PNG
            "rotated": is_turned(image),
            "cmyk": image.mode == "CMYK",
            "profile": _has_other_profile(image),
            "several": getattr(image, "is_animated", False),
            "dim": image.mode.startswith("I") and int(np.asarray(image).max()) < DIM,  # from here on it is decoded
            "transparent": _transparent(image) is not None,
        }
    return {kind for kind, there in found.items() if there}


def is_turned(image: Image.Image) -> bool:
    """Whether EXIF (or XMP) says that the image must be turned or mirrored to stand upright."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation) in TURNED
    except Exception as error:  # noqa: BLE001 - on damaged EXIF PIL raises errors of many kinds
        raise UnsuitableError(f"its EXIF can't be read ({error}): remove or repair it") from None


def is_deep(image: Image.Image) -> bool:
    """Whether an image that is not yet loaded has 16 bits per channel."""
    code, most = _stored(image)
    return ";16" in code or image.mode.startswith("I") or most > 255


def _stored(image: Image.Image) -> tuple[str, int]:
    """How levels lie in the file, in PIL's words (such as "RGB;16B"), and the largest level where PNM states it."""
    (decoder, _, _, stored), *_ = getattr(image, "tile", None) or [("", None, 0, "")]
    code, *more = (stored,) if isinstance(stored, str) else stored or ("",)
    return str(code), more[0] if decoder.startswith("ppm") else 0


def _upright(image: Image.Image, exif: str | None) -> Image.Image:
    if not is_turned(image):
        return image
    if exif is None:
        raise UnsuitableError(f"it has an EXIF rotation, {_unexpected('--exif apply')}")
    return ImageOps.exif_transpose(image)


def _eight_bits(image: Image.Image) -> Image.Image:
    """The upper 8 of 16 bits; PIL has taken them already where there are colours."""
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)) if image.mode.startswith("I") else image


def _refuse_levels(image: Image.Image) -> None:
    """Refuse, before it is loaded, what has no agreed way to 8 bits per channel."""
    for why, there in _unclear_levels(image).items():
        if there:
            raise UnsuitableError(why)


def _unclear_levels(image: Image.Image) -> dict[str, bool]:
    code, tags = _stored(image)[0], getattr(image, "tag_v2", {})
    grey, keyed = image.mode.startswith("I"), "transparency" in image.info
    known = image.format in ("PNG", "PPM") or (";16" in code and "S" not in code)
    signed_cmyk = image.format not in ("JPEG", "MPO") or "adobe" in image.info
    return {
        "its levels are floating-point numbers: save it with 8 bits": image.mode == "F",
        "its grey levels have neither 8 nor 16 bits: save it with 8": grey and not known,
        "its 16 bits count from white to black: save it with 8": grey and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO,
        "it has 16 bits and a transparent colour: save it with an alpha channel": keyed and is_deep(image),
        "it is CMYK without Adobe's note, so full may mean empty: save it as RGB": image.mode == "CMYK"
        and not signed_cmyk,
    }


def _opaque(image: Image.Image, background: str | None) -> Image.Image:
    """The image as RGB, what is transparent in it put onto the background."""
    transparent = _transparent(image)
    if transparent is None:
        return _without_key(image).convert("RGB")
    if background is None:
        raise UnsuitableError(f"it has transparency, {_unexpected('--background white')}")
    ground = Image.new("RGBA", transparent.size, background)
    ground.alpha_composite(transparent)
    return ground.convert("RGB")


def _transparent(image: Image.Image) -> Image.Image | None:
    """The image as RGBA if any of its pixels is not opaque."""
    if not image.has_transparency_data:
        return None
    rgba = image.convert("RGBA")
    (lowest, _) = rgba.getchannel("A").getextrema()
    return rgba if lowest < 255 else None  # type: ignore[operator]


def _without_key(image: Image.Image) -> Image.Image:
    image.info.pop("transparency", None)  # every pixel is opaque; of some such notes PIL would warn
    return image


def _has_other_profile(image: Image.Image) -> bool:
    """Whether the file holds a colour profile that does not call itself sRGB, in 8-bit or 16-bit characters."""
    profile = image.info.get("icc_profile") or b""
    return bool(profile) and b"sRGB" not in profile.replace(b"\0", b"")


def _unexpected(option: str) -> str:
    return f"for which no option was set when the data set was added: add it again under another name ({option})"
