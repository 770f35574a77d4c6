"""Photos: what the authors' torchvision pipeline gives, and clear words about files that can't be decoded."""

import io
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_photos import noise, write_photos
from torchvision.transforms import CenterCrop, Compose, PILToTensor, Resize
from torchvision.transforms.functional import crop, hflip, resized_crop

from relbench.data.images import photos
from relbench.data.images.augmentation import random_boxes
from relbench.data.images.photos import ImageFiles, Photos, decoded, undecodable
from relbench.data.table import checked

SIDE, SIZE = 40, 33  # an odd margin: the centre lies between two pixels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("photos")


@pytest.fixture(scope="module")
def table(folder):
    return checked(write_photos(folder))


def source(table, folder, size=SIZE, side=SIDE, threads=2):
    return Photos(table, folder, size, ImageFiles(folder, side, threads), content="what")


def every_line(table):
    return torch.arange(len(table))


def opened(folder, name):
    """As torchvision's default_loader does, which the authors' data sets use."""
    with (folder / name).open("rb") as file:
        return Image.open(file).convert("RGB")


@pytest.mark.parametrize("size", [33, 32, 40, 1])
@pytest.mark.parametrize("side", [40, 41, 64])
def test_test_batch_is_torchvisions(table, folder, size, side):
    views = source(table, folder, size, side).test_batch(every_line(table))
    pipeline = Compose([Resize((side, side)), CenterCrop(size), PILToTensor()])
    expected = torch.stack([pipeline(opened(folder, name)) for name in table["name"]])
    assert torch.equal(views, expected)


def test_the_papers_sizes(tmp_path):
    noise(0, 500, 375).save(tmp_path / "bird.jpg", quality=90)
    table = pd.DataFrame({"name": ["bird.jpg"], "label": "bird", "split": "test"})
    view = source(table, tmp_path, size=224, side=256).test_batch(torch.tensor([0]))
    pipeline = Compose([Resize((256, 256)), CenterCrop(224), PILToTensor()])
    assert torch.equal(view[0], pipeline(opened(tmp_path, "bird.jpg")))


def test_train_batch_is_torchvisions_for_the_documented_numbers(table, folder):
    lines = torch.tensor([4, 0, 17, 4, 9, 2, 3])
    views = source(table, folder).train_batch(lines, torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    tops, lefts = torch.randint(SIDE - SIZE + 1, (2, 7), generator=generator)
    mirrored = torch.rand(7, generator=generator) < 0.5
    assert 0 < mirrored.sum() < 7
    for view, line, top, left, flip in zip(views, lines, tops, lefts, mirrored, strict=True):
        square = Resize((SIDE, SIDE))(opened(folder, table["name"][int(line)]))
        expected = crop(PILToTensor()(square), int(top), int(left), SIZE, SIZE)
        assert torch.equal(view, hflip(expected) if flip else expected)


@pytest.mark.parametrize("size", [SIZE, 24, 40])
def test_resized_crops_are_torchvisions_of_the_same_square(table, folder, size):
    """Larger and smaller than the view."""
    pixels, lines = ImageFiles(folder, SIDE, 2), torch.arange(len(table)).repeat(4)
    cropped = Photos(table, folder, size, pixels, "", resized_crop=True)
    views = cropped.train_batch(lines, torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    boxes = random_boxes(len(lines), SIDE, generator)
    mirrored = torch.rand(len(lines), generator=generator) < 0.5
    assert boxes[2:].min() < 24 < boxes[2:].max()
    for view, line, box, flip in zip(views, lines, boxes.T.tolist(), mirrored, strict=True):
        square = Resize((SIDE, SIDE))(opened(folder, table["name"][int(line)]))
        expected = PILToTensor()(resized_crop(square, *box, [size, size]))
        assert torch.equal(view, hflip(expected) if flip else expected)


def test_resized_crops_change_nothing_in_evaluation(table, folder):
    pixels = ImageFiles(folder, SIDE, 2)
    plain, cropped = (Photos(table, folder, SIZE, pixels, "", resized_crop=asked) for asked in (False, True))
    assert torch.equal(plain.test_batch(every_line(table)), cropped.test_batch(every_line(table)))
    assert plain.data_hash == cropped.data_hash


def test_crops_and_mirroring_are_uniform(tmp_path):
    """Every place is as likely as any other, at the borders too, and half of the views are mirrored."""
    ramp = np.zeros((8, 8, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(8)[:, None], np.arange(8)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    table = pd.DataFrame({"name": ["ramp.png"], "label": "ramp", "split": "train"})
    views = source(table, tmp_path, size=6, side=8).train_batch(
        torch.zeros(3600, dtype=torch.int64), torch.Generator().manual_seed(0)
    )
    tops, lefts = views[:, 0, 0, 0], views[:, 1, 0].min(dim=1).values
    mirrored = views[:, 1, 0, 0] > views[:, 1, 0, -1]
    counts = torch.bincount((tops * 6 + lefts * 2 + mirrored).long(), minlength=18)
    assert len(counts) == 18
    assert ((counts - 200).abs() < 5 * 200**0.5).all()


def test_nothing_is_mirrored_where_left_and_right_differ(table, folder):
    """The crops are those of a run that mirrors: nothing else is drawn otherwise."""
    lines, pixels = torch.arange(len(table)).repeat(3), ImageFiles(folder, SIDE, 2)
    mirrored, plain = (
        Photos(table, folder, SIZE, pixels, "", mirror=mirror).train_batch(lines, torch.Generator().manual_seed(1))
        for mirror in (True, False)
    )
    turned = torch.tensor([not torch.equal(one, other) for one, other in zip(mirrored, plain, strict=True)])
    assert 0.2 < turned.float().mean() < 0.8
    assert torch.equal(torch.where(turned[:, None, None, None], hflip(mirrored), mirrored), plain)


def test_form(table, folder):
    whole = source(table, folder)
    for views in (whole.test_batch(every_line(table)), whole.train_batch(every_line(table), torch.Generator())):
        assert views.shape == (len(table), 3, SIZE, SIZE)
        assert views.dtype == torch.uint8
        assert views.is_contiguous()
    assert (whole.shape.channels, whole.shape.size, whole.content) == (3, SIZE, "what")
    assert whole.test_batch(torch.tensor([], dtype=torch.int64)).shape == (0, 3, SIZE, SIZE)


def test_training_views_depend_on_the_generator_alone(table, folder):
    lines = torch.tensor([3, 5, 3])
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second, other = (
        source(table, folder, threads=threads).train_batch(lines, torch.Generator().manual_seed(seed))
        for seed, threads in ((1, 1), (1, 3), (2, 1))
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[2])  # the same line twice: two views


def test_a_subset_shows_the_same(table, folder):
    part = table[::2].reset_index(drop=True)
    views = source(table, folder).test_batch(every_line(table))
    assert torch.equal(source(part, folder).test_batch(every_line(part)), views[::2])


def test_data_hash(table, folder, tmp_path):
    """Names the table and the sizes of the files; not where they are, nor how they are shown."""
    copy = write_photos(tmp_path / "copy")
    before = source(table, folder).data_hash
    assert source(copy, tmp_path / "copy").data_hash == source(table, folder, size=8, side=9).data_hash == before
    relabelled = table.assign(label=table["label"] + "!")
    with (tmp_path / "copy/c0/0.jpg").open("ab") as file:
        file.write(b"\0")
    assert len({before, source(relabelled, folder).data_hash, source(copy, tmp_path / "copy").data_hash}) == 3


def refusal(call):
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:  # the dot matches no line break
        call()
    return str(caught.value)


def test_crop_larger_than_the_images(table, folder):
    message = refusal(lambda: source(table, folder, size=41))
    assert message == "can't crop 41 px from images of 40 px: set data.size to less"


@pytest.mark.parametrize("name", ["gone.jpg", "c0/0.jpg/below", "nul\0.jpg", "long" * 100])
def test_a_file_that_is_not_there(table, folder, name):
    message = refusal(lambda: source(table.assign(name=[name, *table["name"][1:]]), folder))
    assert message.startswith(f"the table of images names {folder / name}, which can't be read (")


MODES = {
    "grey.jpg": lambda: noise(1, 30, 20).convert("L"),
    "cmyk.jpg": lambda: noise(1, 30, 20).convert("CMYK"),
    "alpha.png": lambda: noise(1, 30, 20).convert("RGBA"),
    "grey_alpha.png": lambda: noise(1, 30, 20).convert("LA"),
    "bits.png": lambda: noise(1, 30, 20).convert("1"),
    "palette.gif": lambda: noise(1, 30, 20).convert("P"),
    "lossless.webp": lambda: noise(1, 30, 20),
    "plain.bmp": lambda: noise(1, 30, 20),
    "plain.tif": lambda: noise(1, 30, 20),
    "wrongly_named.JPG": None,
}


@pytest.mark.parametrize("name", MODES)
def test_every_mode_becomes_rgb(tmp_path, name):
    path = tmp_path / name
    if MODES[name]:
        MODES[name]().save(path)
    else:
        noise(1, 30, 20).save(path, format="PNG")
    expected = PILToTensor()(Resize((16, 16))(opened(tmp_path, name)))
    image = decoded(path, 16)
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, expected.numpy())
    assert undecodable([path], threads=1) == []


@pytest.mark.filterwarnings("ignore:Palette images with Transparency:UserWarning")  # the oracle's, not ours
def test_transparent_palette(tmp_path):
    path = tmp_path / "palette.png"
    noise(1, 30, 20).convert("P").save(path, transparency=bytes(range(256)))
    expected = PILToTensor()(Resize((16, 16))(opened(tmp_path, path.name)))
    with pytest.warns(UserWarning, match="Transparency expressed in bytes"):
        opened(tmp_path, path.name)
    assert undecodable([path], threads=1) == []
    np.testing.assert_array_equal(decoded(path, 16), expected.numpy())


def test_orientation_is_ignored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    noise(1, 30, 20).save(tmp_path / "turned.jpg", exif=exif)
    noise(1, 30, 20).save(tmp_path / "plain.jpg")
    with Image.open(tmp_path / "turned.jpg") as image:
        assert image.getexif()[0x0112] == 6
    np.testing.assert_array_equal(decoded(tmp_path / "turned.jpg", 16), decoded(tmp_path / "plain.jpg", 16))


def as_bytes(image, **options):
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


JPEG, PNG = (as_bytes(noise(1, 64, 48), format=kind) for kind in ("JPEG", "PNG"))
DEEP = Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100)
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
FAULTS = {
    "truncated.jpg": (JPEG[:-200], "image file is truncated"),
    "header only.jpg": (JPEG[:300], ""),
    "truncated.png": (PNG[: len(PNG) // 2], "truncated"),
    "wrong checksum.png": (PNG.replace(b"IHDR", b"IHDX"), ""),
    "empty.jpg": (b"", "it is none of JPEG, PNG, WEBP, BMP, GIF, TIFF, PPM"),
    "page.jpg": (b"<html>not found</html>", "it is none of JPEG"),
    "program.jpg": (EPS, "it is none of JPEG"),
    "deep.png": (as_bytes(DEEP, format="PNG"), "its grey levels have more than 8 bits: save it with 8"),
    "deep.tif": (as_bytes(DEEP, format="TIFF"), "its grey levels have more than 8 bits: save it with 8"),
    "float.tif": (as_bytes(DEEP.convert("F"), format="TIFF"), "its grey levels have more than 8 bits"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named(tmp_path, name):
    content, why = FAULTS[name]
    path = tmp_path / name
    path.write_bytes(content)
    message = refusal(lambda: decoded(path, 16))
    ((found, reason),) = undecodable([path], threads=1)
    assert found == path
    damaged = "more than 8 bits" not in reason
    assert message == f"{path} can't be " + (f"decoded ({reason}): restore the file" if damaged else f"used: {reason}")
    assert why in reason


def test_a_folder_is_no_image(tmp_path):
    (tmp_path / "bird.jpg").mkdir()
    assert undecodable([tmp_path / "bird.jpg"], threads=1) == [(tmp_path / "bird.jpg", "Is a directory")]
    assert undecodable([tmp_path / "gone.jpg"], threads=1) == [(tmp_path / "gone.jpg", "No such file or directory")]


def test_too_large_an_image(tmp_path, monkeypatch):
    path = tmp_path / "bomb.png"
    path.write_bytes(PNG)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 48 // 2 - 1)
    assert "exceeds limit of" in refusal(lambda: decoded(path, 16))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 48 - 1)
    with pytest.warns(Image.DecompressionBombWarning):  # PIL's: from half of its limit on
        decoded(path, 16)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_files_give_pixels_or_one_line(tmp_path, data):
    content = bytearray(data.draw(st.sampled_from([JPEG, PNG, *(as_bytes(noise(1, 9, 9), format="GIF"),)])))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "mutated.jpg"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    found = undecodable([path], threads=1)
    if found:
        assert found[0][1]
        assert "\n" not in found[0][1]
        assert refusal(lambda: decoded(path, 8)).startswith(f"{path} can't be decoded (")
    else:
        assert decoded(path, 8).shape == (3, 8, 8)


def test_training_names_the_corrupt_image(tmp_path):
    table = checked(write_photos(tmp_path))
    (tmp_path / "c1/2.jpg").write_bytes(JPEG[:-300])
    damaged = source(table, tmp_path)
    for call in (damaged.test_batch, lambda lines: damaged.train_batch(lines, torch.Generator())):
        assert refusal(lambda call=call: call(every_line(table))).startswith(
            f"{tmp_path / 'c1/2.jpg'} can't be decoded"
        )
    damaged.test_batch(torch.tensor([0, 1, 2]))  # the others still work


def test_the_refusal_travels_between_processes(tmp_path):
    with pytest.raises(ValueError, match="can't be decoded") as caught:
        decoded(tmp_path / "gone.jpg", 8)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_undecodable_names_all_in_order(tmp_path):
    table = write_photos(tmp_path)
    paths = [tmp_path / name for name in table["name"]]
    for place in (2, 7, 11):
        paths[place].write_bytes(JPEG[: 100 * place])
    seen = []

    def progress(items):
        for item in items:
            seen.append(item)
            yield item

    assert [path for path, _ in undecodable(paths, 3, progress)] == [paths[2], paths[7], paths[11]]
    assert seen == paths


def test_work_is_done_in_order_and_not_far_ahead():
    started, most, lock = [], [], threading.Lock()

    def work(number):
        with lock:
            started.append(number)
        time.sleep(0.002 * (number % 3))
        return number

    with ThreadPoolExecutor(3) as pool:
        for number in photos.in_order(pool, 6, work, range(40)):
            most.append(len(started) - number)
            assert number == len(most) - 1
    assert len(most) == 40
    assert max(most) <= 7
