"""Images as vectors of their own pixels: the floor of retrieval and few-shot, without learning."""

import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, normalize

LARGEST = 32  # pixels per side: larger images are averaged down, as vectors of 150,000 numbers are not searchable


class RawPixels(nn.Module):
    """Views as vectors: channel by channel, row by row, minus their own mean, at unit length.

    A view of more than 32 pixels per side is first averaged down to 32 x 32. The cosine of two vectors is thus the
    correlation of the images' pixels. An image of a single grey level has no direction, and becomes zeros.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images as `Embedder` takes them, shape (batch, channels, size, size) -> (batch, channels * side * side)."""
        scaled = images.float() / 255 if images.dtype == torch.uint8 else images
        small = adaptive_avg_pool2d(scaled, LARGEST) if scaled.shape[-1] > LARGEST else scaled
        flat = small.flatten(start_dim=1)
        varied = flat.amax(dim=1, keepdim=True) > flat.amin(dim=1, keepdim=True)  # else only rounding is left
        return normalize((flat - flat.mean(dim=1, keepdim=True)) * varied, dim=1)


def pixels_in_words(channels: int, size: int) -> str:
    """Description of the vector that `RawPixels` makes of such an image."""
    side = min(size, LARGEST)
    averaged = f" averaged down to {side} x {side}" if size > LARGEST else ""
    colour = "grey" if channels == 1 else "colour"
    shape = f"{channels} x {side} x {side} = {channels * side * side:,} numbers, {colour}"
    return f"the test images' views{averaged} ({shape}), minus their own mean, at unit length"
