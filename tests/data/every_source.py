"""A small source of images of each kind."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from relbench.data.cached_views import CachedViews
from relbench.data.glyphs.glyphs import Glyphs
from relbench.data.glyphs.textured import TexturedGlyphs
from relbench.data.images.decoded import decoded_images
from relbench.data.images.photos import ImageFiles, Photos
from relbench.data.images.small import SmallImages
from relbench.experiment import Data, Experiment, Net, Term
from relbench.grid.estimate.calibration import _Images
from relbench.transforms import SmallTransform

COUNT, SIDE = 20, 20
TRANSFORMS = {
    "padded": SmallTransform(),
    "reflected": SmallTransform(padding="reflect", pad=3, rotation=20, jitter=0.3),
    "resized": SmallTransform(crop="resized", rotation=20, jitter=0.3),
    "whole": SmallTransform(crop="none", flip=True),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number, pixels in enumerate(np.random.default_rng(0).integers(256, size=(COUNT, 24, 30, 3), dtype=np.uint8)):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def table_of():
    return pd.DataFrame({"name": [f"{number}.png" for number in range(COUNT)], "label": "a", "split": "train"})


@pytest.fixture(scope="module")
def sources(folder):
    """A source of each kind, by name."""
    table, files = table_of(), ImageFiles(folder, SIDE, threads=2)
    decoded = decoded_images(files, table["name"], folder)
    glyphs = Glyphs(16, 6, 4, 1.0, folder, hold_out=False)
    glyph_data = Data(name="glyphs", size=16)
    photos = {
        "files": Photos(table, folder, 15, files, ""),
        "decoded": Photos(table, folder, 15, decoded, ""),
        "resized photos": Photos(table, folder, 16, decoded, "", resized_crop=True),
        "never mirrored": Photos(table, folder, 15, decoded, "", mirror=False),
    }
    rendered = {
        "glyphs": glyphs,
        "textured": TexturedGlyphs(32, 6, 4, 1.0, folder, hold_out=False),
        "cached": CachedViews(glyphs),
        "made up": _Images(Experiment(data=glyph_data, net=Net(), terms=(Term(loss="triplet"),)), 1),
        "made up, read": _Images(Experiment(data=Data(name="cub200"), net=Net(), terms=(Term(loss="triplet"),)), 3),
    }
    return photos | rendered | {name: SmallImages(table, decoded, SIDE, each, "") for name, each in TRANSFORMS.items()}
