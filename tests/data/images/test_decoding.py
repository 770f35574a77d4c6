"""How image files of users become RGB; and that of the published data sets no pixel and no hash changes."""

import hashlib
import io
import struct
import zlib
from itertools import chain

import numpy as np
import pytest
from data.archives import MAKERS
from data.tiny_cards import tiny_card
from PIL import Image, features
from tiny_photos import noise

from relbench.data import find_photos
from relbench.data.download.card import card_names
from relbench.data.images.decoding import Decoding, asked_decoding, kinds
from relbench.data.images.photos import decoded
from relbench.experiment import Data

Transpose = Image.Transpose
USUAL = Decoding(background="#ffffff", exif="apply")
SIDE = 16


def plain():
    return noise(1, 30, 20)


def see_through(low=0):
    """A picture whose left half is opaque, and whose right half is transparent over noise."""
    alpha = np.full((20, 30), 255, dtype=np.uint8)
    alpha[:, 15:] = low
    picture = plain()
    picture.putalpha(Image.fromarray(alpha))
    return picture


def on(colour, low=0):
    """The same, put onto a colour by arithmetic."""
    alpha = np.full((20, 30, 1), 255.0)
    alpha[:, 15:] = low
    mixed = np.asarray(plain()) * alpha / 255 + np.array(colour) * (1 - alpha / 255)
    return Image.fromarray(np.floor(mixed + 0.5).astype(np.uint8))


def saved(path, image, **options):
    image.save(path, **options)
    return path


def square(image):
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)).transpose(2, 0, 1)


def refusal(call):
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:  # the dot matches no line break
        call()
    return str(caught.value)


# ------------------------------------------------------------------------------------------------------- transparency


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
@pytest.mark.parametrize(("background", "colour"), [("white", (255, 255, 255)), ("#102030", (16, 32, 48))])
def test_transparency_is_put_onto_the_background(tmp_path, name, background, colour):
    path = saved(tmp_path / name, see_through(), **({"lossless": True, "exact": True} if name == "a.webp" else {}))
    found = decoded(path, SIDE, asked_decoding(background, "apply"))
    np.testing.assert_array_equal(found, square(on(colour)))
    assert kinds(path) == {"transparent"}


def test_half_transparent_pixels_are_mixed(tmp_path):
    found = decoded(saved(tmp_path / "a.png", see_through(low=100)), SIDE, USUAL)
    assert np.abs(found.astype(int) - square(on((255, 255, 255), low=100))).max() <= 1


def keyed(mode):
    """Level 200 on the left, and on the right 7."""
    levels = np.full((20, 30), 200, dtype=np.uint8)
    levels[:, 15:] = 7
    if mode == "P":
        image = Image.new("P", (30, 20))
        image.paste(1, (15, 0, 30, 20))
        image.putpalette([200, 200, 200, 7, 7, 7])
        return image
    return Image.fromarray(levels).convert(mode)


@pytest.mark.parametrize(
    ("mode", "key"),
    [("L", 7), ("RGB", (7, 7, 7)), ("P", 1), ("P", bytes([255, 0]))],
    ids=["grey", "colour", "palette", "palette of alphas"],
)
def test_a_transparent_colour_is_transparency(tmp_path, mode, key):
    path = saved(tmp_path / "a.png", keyed(mode), transparency=key)
    whole = np.full((20, 30, 3), 200, dtype=np.uint8)
    whole[:, 15:] = 255
    np.testing.assert_array_equal(decoded(path, SIDE, USUAL), square(Image.fromarray(whole)))
    assert kinds(path) == {"transparent"}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_an_opaque_alpha_channel_is_no_transparency(tmp_path, mode):
    """So images with one keep the pixels that earlier versions gave them, and need no setting."""
    picture = plain().convert("L" if mode == "LA" else "RGB")
    path = saved(tmp_path / "a.png", picture.convert("P" if mode == "PA" else mode), **_opaque(mode))
    np.testing.assert_array_equal(decoded(path, SIDE, Decoding()), decoded(path, SIDE))
    assert kinds(path) == set()


def _opaque(mode):
    return {"transparency": bytes([255] * 256)} if mode == "PA" else {}


# ---------------------------------------------------------------------------------------------------------- EXIF, XMP

UNDONE = {  # what a camera held that way saves, by the orientation it notes
    1: None,
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}


def noted(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def as_held(orientation, image):
    return image if UNDONE[orientation] is None else image.transpose(UNDONE[orientation])


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif", "a.jpg"])
@pytest.mark.parametrize("orientation", UNDONE)
def test_an_exif_orientation_is_applied(tmp_path, orientation, name):
    options = {"a.webp": {"lossless": True}, "a.jpg": {"quality": 100, "subsampling": 0}}.get(name, {})
    path = saved(tmp_path / name, as_held(orientation, plain()), exif=noted(orientation), **options)
    difference = decoded(path, SIDE, USUAL).astype(int) - square(plain())
    assert np.abs(difference).max() <= (4 if name == "a.jpg" else 0)
    assert kinds(path) == (set() if orientation == 1 else {"rotated"})


@pytest.mark.parametrize("orientation", [0, 1, 9])
def test_an_orientation_that_means_nothing_needs_no_setting(tmp_path, orientation):
    path = saved(tmp_path / "a.png", plain(), exif=noted(orientation))
    np.testing.assert_array_equal(decoded(path, SIDE, Decoding()), square(plain()))
    assert kinds(path) == set()


def test_deep_and_transparent_and_turned(tmp_path):
    turned = saved(tmp_path / "a.png", as_held(6, see_through()), exif=noted(6))
    np.testing.assert_array_equal(decoded(turned, SIDE, USUAL), square(on((255, 255, 255))))
    deep = saved(tmp_path / "b.png", as_held(6, Image.fromarray(deep_levels())), exif=noted(6))
    np.testing.assert_array_equal(decoded(deep, SIDE, USUAL), square(Image.fromarray(deep_levels(8)).convert("RGB")))
    assert (kinds(turned), kinds(deep)) == ({"transparent", "rotated"}, {"deep", "rotated"})


# ------------------------------------------------------------------------------------------------------- many bits


def deep_levels(bits=16):
    levels = np.linspace(0, 65535, 600).astype(np.uint16).reshape(20, 30)
    return levels if bits == 16 else (levels // 256).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "options"), [("a.png", {}), ("a.tif", {}), ("a.tiff", {"compression": "tiff_lzw"}), ("big.tif", {})]
)
def test_of_16_bits_the_upper_8_are_used(tmp_path, name, options):
    """Nothing is cut off: black stays black, white white."""
    levels = deep_levels().astype(">u2") if name == "big.tif" else deep_levels()
    path = saved(tmp_path / name, Image.fromarray(levels), **options)
    np.testing.assert_array_equal(decoded(path, SIDE, USUAL), square(Image.fromarray(deep_levels(8)).convert("RGB")))
    assert kinds(path) == {"deep"}


def test_twelve_bits_in_sixteen_are_named(tmp_path):
    """As cameras and scanners write them: of 256 levels 16 would be left."""
    path = saved(tmp_path / "a.png", Image.fromarray(deep_levels() // 16))
    assert kinds(path) == {"deep", "dim"}


def png_of_16_bits(levels, colour, *notes):
    """A PNG that not every PIL writes, of levels (height, width, channels), with chunks between header and levels.

    Colour 0: grey, 2: RGB, 4: grey and alpha, 6: RGBA.
    """
    height, width, _ = levels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), *notes, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    whole = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(whole)


@pytest.mark.parametrize(("colour", "colours", "alpha"), [(2, 3, False), (4, 1, True), (6, 3, True)])
def test_16_bits_per_colour_with_and_without_alpha(tmp_path, colour, colours, alpha):
    levels = deep_levels()[..., None].repeat(colours, axis=2)
    shown = np.asarray(Image.fromarray(deep_levels(8)).convert("RGB")).copy()
    if alpha:
        opacity = np.full((20, 30, 1), 65535, dtype=np.uint16)
        opacity[:, 15:] = 0
        levels = np.concatenate([levels, opacity], axis=2)
        shown[:, 15:] = 255
    (tmp_path / "a.png").write_bytes(png_of_16_bits(levels, colour))
    np.testing.assert_array_equal(decoded(tmp_path / "a.png", SIDE, USUAL), square(Image.fromarray(shown)))
    assert kinds(tmp_path / "a.png") == ({"deep", "transparent"} if alpha else {"deep"})


@pytest.mark.parametrize("magic", [b"P5", b"P6"])
def test_portable_maps_of_16_bits(tmp_path, magic):
    channels = 1 if magic == b"P5" else 3
    (tmp_path / "a.ppm").write_bytes(magic + b" 30 20 65535\n" + deep_levels().repeat(channels).astype(">u2").tobytes())
    found = decoded(tmp_path / "a.ppm", SIDE, USUAL).astype(int)
    assert np.abs(found - square(Image.fromarray(deep_levels(8)).convert("RGB"))).max() <= 1
    assert kinds(tmp_path / "a.ppm") == {"deep"}


# ------------------------------------------------------------------------------------------------- CMYK, frames, colour


def test_cmyk_is_converted_as_adobe_means_it(tmp_path):
    path = saved(tmp_path / "a.jpg", plain().convert("CMYK"), quality=100, subsampling=0)
    assert np.abs(decoded(path, SIDE, USUAL).astype(int) - square(plain())).max() <= 4
    assert kinds(path) == {"cmyk"}


def without_adobe(content):
    start = content.index(b"\xff\xee")
    return content[:start] + content[start + 2 + int.from_bytes(content[start + 2 : start + 4]) :]


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.gif", "a.tif"])
def test_of_several_pictures_the_first_is_used(tmp_path, name):
    options = {"lossless": True} if name == "a.webp" else {}
    first = keyed("P") if name == "a.gif" else plain()
    path = saved(tmp_path / name, first, save_all=True, append_images=[Image.new("RGB", first.size)], **options)
    np.testing.assert_array_equal(decoded(path, SIDE, USUAL), square(first.convert("RGB")))
    assert kinds(path) == {"several"}


def test_a_colour_profile_is_named_unless_it_is_srgb(tmp_path):
    standard, other = b"..sRGB IEC61966", "Display P3".encode("utf-16-be")
    assert kinds(saved(tmp_path / "a.png", plain(), icc_profile=standard)) == set()
    assert kinds(saved(tmp_path / "b.png", plain(), icc_profile="sRGB".encode("utf-16-be"))) == set()
    path = saved(tmp_path / "c.png", plain(), icc_profile=other)
    assert kinds(path) == {"profile"}
    np.testing.assert_array_equal(decoded(path, SIDE, USUAL), square(plain()))


@pytest.mark.skipif("avif" not in features.get_supported_modules(), reason="this Pillow reads no AVIF")
def test_avif(tmp_path):
    path = saved(tmp_path / "a.avif", plain(), quality=100, subsampling="4:4:4", exif=noted(6))
    assert kinds(path) == {"rotated"}
    upright = square(plain().transpose(Transpose.ROTATE_270))
    assert np.abs(decoded(path, SIDE, USUAL).astype(int) - upright).max() <= 6


# ------------------------------------------------------------------------------------------------------------ refused


def as_bytes(image, **options):
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


DEEP = Image.fromarray(deep_levels())
KEYED = png_of_16_bits(deep_levels()[..., None], 0, (b"tRNS", b"\0\0"))
REFUSED = {
    "float.tif": (as_bytes(DEEP.convert("F"), format="TIFF"), "its levels are floating-point numbers"),
    "32.tif": (as_bytes(DEEP.convert("I"), format="TIFF"), "its grey levels have neither 8 nor 16 bits"),
    "white.tif": (as_bytes(DEEP, format="TIFF", tiffinfo={262: 0}), "its 16 bits count from white to black"),
    "key.png": (KEYED, "it has 16 bits and a transparent colour"),
    "cmyk.jpg": (without_adobe(as_bytes(plain().convert("CMYK"), format="JPEG")), "it is CMYK without Adobe's note"),
    "exif.png": (as_bytes(plain(), format="PNG", exif=b"Exif\0\0nothing of the sort"), "its EXIF can't be read"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_agreed_way_to_8_bits_is_refused(tmp_path, name):
    content, why = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    message = refusal(lambda: decoded(tmp_path / name, SIDE, USUAL))
    assert message.startswith(f"{tmp_path / name} can't be used: {why}")
    assert refusal(lambda: kinds(tmp_path / name)).startswith(why)


@pytest.mark.parametrize(
    ("image", "exif", "what"),
    [(see_through(), noted(1), "transparency, for which"), (plain(), noted(6), "an EXIF rotation, for which")],
)
def test_what_no_setting_speaks_of_is_refused(tmp_path, image, exif, what):
    """A set that an earlier version added, or an image that was changed since: never decoded by another rule."""
    path = saved(tmp_path / "a.png", image, exif=exif)
    assert refusal(lambda: decoded(path, SIDE, Decoding())).startswith(f"{path} can't be used: it has {what}")


@pytest.mark.parametrize(
    ("background", "exif", "message"),
    [
        ("bleu", "apply", "--background = 'bleu' is not a colour: use white, black, #rrggbb or refuse"),
        ("white", "ignore", "unknown --exif 'ignore': known are apply, refuse"),
    ],
)
def test_settings_that_are_none(background, exif, message):
    assert refusal(lambda: asked_decoding(background, exif)) == message


def test_settings_in_words():
    assert asked_decoding("white", "apply") == USUAL
    assert asked_decoding("rgb(16, 32, 48)", "refuse") == Decoding(background="#102030")
    assert asked_decoding("refuse", "refuse") == Decoding()
    assert Decoding().parts == []
    assert len(set(chain(USUAL.parts, Decoding(exif="apply").parts, asked_decoding("black", "apply").parts))) == 3


# ------------------------------------------------------------------------------------------------- published data sets

PINNED = {
    "cub200": ("84cb97078fddd214", "a5b15783d9d4991c", "d4142ec826938bfe"),
    "cars196-A": ("44e3ac34ed89eac1", "f6e7051431e46b2c", "d4142ec826938bfe"),
    "sop": ("6949e52088c78918", "193943c9c52a77e4", "d4142ec826938bfe"),
    "inshop": ("2847f51139c4f01d", "fd7eb103bbbf2f71", "95bbf9cee4cee195"),
}


@pytest.mark.parametrize("layout", PINNED)
def test_published_data_sets_keep_pixels_and_hashes(tmp_path, cards, layout):
    """As computed before users' images had settings, of files whose bytes no library decides."""
    name = layout.partition("-")[0]
    truth = MAKERS[layout](tmp_path / name)
    cards(tiny_card(name, truth, {}))
    for number, image in enumerate(sorted(truth["name"])):
        levels = (np.arange(9 * (7 + number) * 3) * (number + 3) % 251).astype(np.uint8)
        (tmp_path / name / image).write_bytes(b"P6 9 %d 255\n" % (7 + number) + levels.tobytes())
    photos = find_photos(name, tmp_path)
    source = photos.load(Data(name=name, size=8, resize=8), tmp_path)
    pixels = b"".join(image.tobytes() for image in photos.originals(tmp_path, 8).read(sorted(truth["name"])))
    found = photos.content(tmp_path), source.data_hash, hashlib.sha256(pixels).hexdigest()
    assert tuple(each[:16] for each in found) == PINNED[layout]


def test_every_published_data_set_is_decoded_as_its_authors_did(tmp_path):
    assert [find_photos(name, tmp_path).decoding for name in card_names()] == [None] * len(card_names())
