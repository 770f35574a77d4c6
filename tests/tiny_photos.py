"""A few small image files of every shape, and the table that names them."""

import numpy as np
import pandas as pd
from PIL import Image

SPLITS = ("train", "validation", "test")


def noise(seed, width, height):
    small = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def write_photos(folder, classes=6, images=3):
    """JPEG files in a folder a class, two classes a split; wide, tall and smaller than what they are resized to."""
    sizes = ((50, 37), (30, 61), (20, 20))
    rows = []
    for label in range(classes):
        (folder / f"c{label}").mkdir(parents=True)
        for number in range(images):
            name = f"c{label}/{number}.jpg"
            noise(label * images + number, *sizes[number % 3]).save(folder / name, quality=90)
            rows.append((name, f"class {label}", SPLITS[label * 3 // classes]))
    return pd.DataFrame(rows, columns=["name", "label", "split"])
