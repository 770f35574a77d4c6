"""The authors' form of a distillation step, as the yardstick of ours: losses, step and loading, written anew.

As in lenscloth/RKD@0a6c3c0: the teacher sees the batch first, without gradients; each network scales the images for
itself; RKD-D takes distances as the root of squares and products, floored at 1e-12, and RKD-A broadcasts all
differences of rows and multiplies them as batched matrices; Adam as torch has it by default; images are decoded,
resized to 256 x 256, cropped, mirrored and turned into floats by PIL and torchvision, in worker processes.

In the authors' favour: their script also computes, at weight 0, the triplet, DarkRank and attention losses with their
gradients, and reads six numbers back from the GPU at each step; here there is RKD-DA alone, and one number is read.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from relbench.benchmarks.angle import naive_angle
from relbench.training.prefetching import worker_context

FLOOR = 1e-12
RATE, WEIGHT_DECAY = 1e-4, 1e-5
RESIZE, CROP = 256, 224


def distances(rows: Tensor) -> Tensor:
    """All distances between rows, as the root of squares and products: ``(batch, dim)`` -> ``(batch, batch)``."""
    squares = rows.square().sum(dim=1)
    squared = (squares[:, None] + squares - 2 * rows @ rows.T).clamp(min=FLOOR)
    return squared.sqrt() * (1 - torch.eye(len(rows), device=rows.device))


def distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """RKD-D: Huber loss between distances, each divided by the mean of those above 0."""
    with torch.no_grad():
        wanted = _scaled(distances(teacher))
    return smooth_l1_loss(_scaled(distances(student)), wanted)


def _scaled(found: Tensor) -> Tensor:
    return found / found[found > 0].mean()


class AuthorsStep:
    """A step of RKD-DA with weights 1 and 2.

    Args:
        student: trained, on its device.
        teacher: on the same.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module) -> None:
        self._student, self._teacher = student.train(), teacher.eval()
        self._optimizer = torch.optim.Adam(student.parameters(), lr=RATE, weight_decay=WEIGHT_DECAY)

    def __call__(self, images: Tensor) -> float:
        """The loss, after which the student's weights are changed."""
        with torch.no_grad():
            taught = self._teacher(images)
        shown = self._student(images)
        loss = distance_loss(shown, taught) + 2 * naive_angle(shown, taught)
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        self._optimizer.step()
        return loss.item()


class _Files(Dataset[Tensor]):
    """Views of image files, floats in [0, 1], made when they are asked for."""

    def __init__(self, files: list[Path]) -> None:
        self._files = files
        self._view = transforms.Compose(
            [
                transforms.Resize((RESIZE, RESIZE)),
                transforms.RandomCrop(CROP),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self._files[index]) as image:
            view: Tensor = self._view(image.convert("RGB"))
        return view


def loaded(files: list[Path], batches: list[list[int]], workers: int) -> Iterator[Tensor]:
    """Batches of views, in order.

    Args:
        files: JPEGs.
        batches: places of files, for each batch.
        workers: processes; 0: in this process.
    """
    return iter(
        DataLoader(
            _Files(files),
            batch_sampler=batches,
            num_workers=workers,
            pin_memory=torch.cuda.is_available(),
            multiprocessing_context=worker_context() if workers else None,
        )
    )
