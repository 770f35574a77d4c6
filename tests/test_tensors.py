"""The hash of tensors: equal for equal content, another for any other."""

from collections import OrderedDict

import numpy as np
import pytest
import torch

from relbench.tensors import content_hash, read_tensors

CONTENT = {
    "weights": {"a": torch.arange(6.0).reshape(2, 3), "none": torch.zeros(0), "one": torch.tensor(1.5)},
    "history": [{"step": 1, "loss": 0.1}, {"step": 2, "loss": -0.0}],
    "half": torch.ones(3, dtype=torch.bfloat16),
    "yes": torch.tensor([True, False]),
    "best": None,
    "name": "é",
}


def test_equal_content_in_another_form(tmp_path):
    torch.save(CONTENT, tmp_path / "file.pt")
    weights = CONTENT["weights"]
    turned = CONTENT | {"weights": OrderedDict(reversed(weights.items())) | {"a": weights["a"].T.contiguous().T}}
    assert not turned["weights"]["a"].is_contiguous()
    for other in (read_tensors(tmp_path / "file.pt"), turned, dict(reversed(CONTENT.items()))):
        assert content_hash(other) == content_hash(CONTENT)


@pytest.mark.parametrize(
    "change",
    [
        {"weights": {**CONTENT["weights"], "a": torch.arange(6.0).reshape(3, 2)}},
        {"weights": {**CONTENT["weights"], "a": torch.arange(6.0).reshape(2, 3).nextafter(torch.tensor(9.0))}},
        {"weights": {**CONTENT["weights"], "a": torch.arange(6.0, dtype=torch.float64).reshape(2, 3)}},
        {"weights": {"b" if name == "a" else name: value for name, value in CONTENT["weights"].items()}},
        {"history": CONTENT["history"][::-1]},
        {"history": [{"step": 1, "loss": 0.1}, {"step": 2, "loss": 0.0}]},
        {"history": [{"step": 1, "loss": 0.1}, {"step": True, "loss": -0.0}]},
        {"half": torch.ones(3, dtype=torch.float16)},
        {"yes": torch.tensor([True, True])},
        {"best": "None"},
        {"best": b"None"},
        {"name": "e"},
        {"more": 1},
    ],
    ids=range(13),
)
def test_other_content_has_another_hash(change):
    assert content_hash(CONTENT | change) != content_hash(CONTENT)


def test_arrays():
    texts, numbers = np.array(["a", "bc"]), np.arange(6.0).reshape(2, 3)
    assert content_hash([texts, numbers]) == content_hash([texts.copy(), np.asfortranarray(numbers)])
    for other in ([texts, numbers.T], [np.array(["a", "bd"]), numbers], [numbers, texts], [texts]):
        assert content_hash(other) != content_hash([texts, numbers])


@pytest.mark.parametrize("content", [{1, 2}, object()], ids=["set", "object"])
def test_what_has_no_hash(content):
    with pytest.raises(TypeError, match="has no hash here"):
        content_hash({"a": [content]})
