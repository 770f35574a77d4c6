"""What studies of classification say that papers claim is what the printed numbers show, where there are any."""

from collections import defaultdict

import pytest

from relbench.studies import build_study

TABLES = ("rkd-table4", "zoo-cifar100", "sp-cifar10", "refilled-cifar100", "refilled-cub200")


def printed_of(study):
    """The printed numbers of each run by the part of the table: two READMEs may print one run differently."""
    found = defaultdict(dict)
    for cell in study.cells:
        if cell.run and cell.published is not None:
            found[cell.run][cell.part] = cell.published
    return found


@pytest.mark.parametrize("name", TABLES)
def test_no_printed_number_contradicts_a_claim(name):
    study = build_study(name)
    printed, compared = printed_of(study), 0
    for claim in study.claims:
        for better, worse in claim.better:
            for part in printed[better].keys() & printed[worse].keys():
                assert printed[better][part] > printed[worse][part], claim.text
                compared += 1
    assert compared
