"""Crops and flips of small images where they lie, on any device: the bytes that `augmentation` makes on the CPU.

On the CPU numpy and a product of matrices are faster, so each is there twice. All is done in whole numbers, but for
crops that are resized: where the side is a power of two, their sums are exact; elsewhere they are rounded by fused
multiply-add, as in the products of most processors, and beside any other sum a level may differ by one.
Nothing waits for the device.
"""

import torch
from torch import Tensor


def padded_crops(images: Tensor, places: Tensor, pad: int, padding: str) -> Tensor:
    """As `augmentation.padded_crops`, but that places are not checked: a pixel is looked up nowhere else.

    Args:
        images: uint8, shape (images, channels, side, side).
        places: top and left of each crop in the padded image, 0 to 2 pad, shape (2, images).
        pad: pixels on each side.
        padding: "zero" or "reflect".
    """
    side = images.shape[-1]
    rows, columns = places[:, :, None] - pad + torch.arange(side, device=images.device)
    if padding == "reflect":
        return _looked_up(images, _reflected(rows, side), _reflected(columns, side))
    inside = _is_inside(rows, side)[:, None, :, None] & _is_inside(columns, side)[:, None, None, :]
    return _looked_up(images, rows.clamp(0, side - 1), columns.clamp(0, side - 1)) * inside


def _is_inside(places: Tensor, side: int) -> Tensor:
    return (places >= 0) & (places < side)


def _reflected(places: Tensor, side: int) -> Tensor:
    """Places of a line that goes to and fro, neither end being repeated."""
    last = side - 1
    return last - (places.remainder(max(1, 2 * last)) - last).abs()


def _looked_up(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Pixels by their rows and columns, shape (images, side) each."""
    count, channels = images.shape[:2]
    number = torch.arange(count, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    return images[number, channel, rows[:, None, :, None], columns[:, None, None, :]]


def flipped(images: Tensor, chosen: Tensor) -> Tensor:
    """The images, of which those chosen, shape (images,), are mirrored: left is right."""
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


def resized_crops(images: Tensor, boxes: Tensor) -> Tensor:
    """As `augmentation.resized_crops`: two pixels of a line make one, where a product of matrices adds them all.

    Args:
        images: uint8, shape (images, channels, side, side).
        boxes: top, left, height and width, shape (4, images).
    """
    tops, lefts, heights, widths = boxes
    rows = _along_lines(images.float(), lefts, widths)
    return _along_lines(rows.transpose(2, 3), tops, heights).transpose(2, 3).to(torch.uint8).contiguous()


def _along_lines(images: Tensor, starts: Tensor, lengths: Tensor) -> Tensor:
    """Parts of all lines, each resized to the whole line, in whole levels; a half counts up."""
    near, far, share = taps(starts, lengths, images.shape[-1])
    same = near == far  # beyond the middle of the crop's first pixel, or of its last
    near_weight = torch.where(same, (1 - share) + share, 1 - share)[:, None, None]
    far_weight = torch.where(same, 0, share)[:, None, None]
    shape = images.shape
    near_levels = near_weight * images.gather(3, near[:, None, None].expand(shape))
    far_levels = far_weight.double() * images.gather(3, far[:, None, None].expand(shape))
    return ((near_levels + far_levels).float() + 0.5).floor()


def taps(starts: Tensor, lengths: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """The two pixels of a line that each pixel of its resized part lies between.

    Args:
        starts: of the parts, shape (lines,).
        lengths: of the parts, likewise.
        side: pixels of a line.

    Returns:
        The pixel before, the one after, and the share of the latter, shape (lines, side) each.
    """
    whole = torch.full((), side, device=starts.device)  # by a plain number a GPU does not divide, but multiplies
    centres = (torch.arange(side, device=starts.device) + 0.5) * lengths[:, None] / whole - 0.5
    below = centres.floor()
    last = lengths[:, None] - 1
    near, far = (starts[:, None] + (below.long() + step).clamp(min=0).minimum(last) for step in (0, 1))
    return near, far, centres - below
