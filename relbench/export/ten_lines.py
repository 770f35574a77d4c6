"""The few lines of plain torch that use an exported folder, as its model card shows them."""

from relbench.export.configuration import Configuration

START = """\
import numpy as np
import torch
from PIL import Image

model = torch.export.load("model.pt2").module()
image = Image.open("image.png").convert("{colours}").resize(({resize}, {resize}), Image.Resampling.BILINEAR){crop}
pixels = torch.from_numpy(np.array(image)).reshape({size}, {size}, {channels}).permute(2, 0, 1)
with torch.inference_mode():
"""
EMBEDDING = """\
    embeddings = model(pixels[None] / 255)
"""
CLASS = """\
    embeddings, logits = model(pixels[None] / 255)
print("class number", logits.argmax(1).item(), "in config.json's list of classes")
"""


def ten_lines(configuration: Configuration) -> str:
    """A program that embeds the image in image.png, to be run in the folder; it needs torch, numpy and Pillow."""
    seen = configuration.preprocessing
    start = START.format(
        colours=seen.colours,
        resize=seen.resize,
        crop=f".crop({seen.crop})" if seen.resize != seen.size else "",
        size=seen.size,
        channels=seen.channels,
    )
    return start + (CLASS if configuration.classes else EMBEDDING)
