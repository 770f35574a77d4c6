"""The benchmark of views on a device: the figures that it promises, and differences that would be seen."""

import torch

from relbench.benchmarks import views
from relbench.benchmarks.views import KINDS, Kind


def test_figures():
    kinds = {name: KINDS[name] for name in ("small images, padded and cropped", "Glyphs")}
    found = list(views.figures(rounds=2, kinds=kinds))
    assert len({figure.name for figure in found}) == len(found) == 5
    assert all(figure.value > 0 for figure in found)
    assert "bytes" in found[1].name
    pixels, numbers = 3 * 32 * 32, 8 + 8 + 1  # two places, mirrored or not
    assert found[1].value == (pixels + numbers) / pixels


class Departs:
    """Views that are other ones each time."""

    def __init__(self):
        self.level = 0

    def draw(self, count, generator):
        return {"noise": torch.rand(count, generator=generator)}

    def make(self, images, numbers):
        self.level += 1
        return torch.full_like(images, self.level)


def test_a_departure_is_seen():
    apart, taken = views.on_device("cpu", rounds=1, kinds={"odd": Kind(Departs(), (1, 4, 4))})
    assert (apart.value, apart.met) == (1, False)
    assert taken.unit == "s"
    assert all(figure.met is not False for figure in views.on_device("cpu", rounds=1))
