"""Names that are known, and what is said about others."""

import pytest

from relbench.lookup import hint, lookup


def test_a_known_name_is_given_back():
    assert lookup("b", iter(["a", "b"]), "letter") == "b"


@pytest.mark.parametrize(
    ("name", "names", "message"),
    [
        ("tripelt", ["triplet", "other"], "unknown loss 'tripelt': did you mean triplet?"),
        ("aab", ["aac", "zzz", "aad", "aabb"], "unknown loss 'aab': did you mean aabb or aad or aac?"),
        ("zzz", ["b", "a"], "unknown loss 'zzz': known are a, b"),
        ("zzz", [], "unknown loss 'zzz': there are none"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_or_all(name: str, names: list[str], message: str):
    with pytest.raises(ValueError) as refusal:  # noqa: PT011
        lookup(name, iter(names), "loss")
    assert str(refusal.value) == message
    assert message.endswith(hint(name, names))


def test_at_most_three_names_are_suggested():
    assert hint("name", [f"name{number}" for number in range(9)]).count("name") == 3
