import csv
import hashlib
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import pytest

from relbench.studies.published import TABLES, read_published

SHARED = Path(__file__).parents[3] / "shared" / "published"  # where the files came from, if it is there
SHA256 = {  # of the files as they were read from the paper
    "rkd_table1": "48cb526bdbc09bb2a99c8ee8c9aeb0ef339f42005535e67ae29cf8100e8dbc4c",
    "rkd_table2": "106a2cee78bbb5293de22a349c529d204c310e2bf67078cfc5cf9c028a0ed2e8",
    "rkd_table3": "0c3dc9ac9899ea445f0f893b160235ed5edd18224371874b1dea2b2c5ef23bf8",
    "rkd_table4": "b65f165d1f4064f848f3c5bd9788d650a6aef6fd3870e24600143c1e3ceace7a",
    "rkd_table5_6": "4d260b93ec238f1552df8fc354bcf79256d55a3361c6db062cc110ba622a9f9f",
    "rkd_fig3": "f9dc262d2ae5be901c873d6aeb3efc784b34e2f29400ee36a51b459a39f63792",
    "sp_paper": "30dc61c61a134f069a24b66be576b78cd9d8858d67c86f67eb76dbac5e038a86",
    "refilled": "3cb6b20f89849acbe3bce8e69e071e199f43761f9660a0bc6176ba8db53129f4",
    "refilled_checkpoints": "7e2f9aebdad98fd38c81c33ecd930cd74989736c9e3e3fdc81ee69aa815030c7",
    "sp_repdistiller": "b23b7dae642f90bcc526b93fc0485159e99cfd6572c165dfe4ab65516f80235f",
}
COUNTS = {
    "rkd_table1": 82,
    "rkd_table2": 12,
    "rkd_table3": 108,
    "rkd_table4": 20,
    "rkd_table5_6": 22,
    "rkd_fig3": 14,
    "sp_repdistiller": 264,
    "sp_paper": 6,
    "refilled": 75,
    "refilled_checkpoints": 5,
}


def text(table):
    return files("relbench.studies.published").joinpath(f"{table}.csv").read_bytes()


@pytest.mark.parametrize("table", TABLES)
def test_nobody_has_touched_a_number(table):
    assert hashlib.sha256(text(table)).hexdigest() == SHA256[table]


@pytest.mark.parametrize("table", TABLES)
def test_the_numbers_are_those_that_were_read_from_the_paper(table):
    if not SHARED.is_dir():
        pytest.skip("the files that the numbers came from are not here; their hashes are, in the test above")
    lines = list(csv.DictReader((SHARED / f"{table}.csv").read_text(encoding="utf-8").splitlines()))
    numbers = read_published(table)
    assert len(numbers) == len(lines)
    for number, line in zip(numbers, lines, strict=True):
        assert Decimal(str(number.value)) * 100 == Decimal(line.pop(TABLES[table]))
        assert number.source == line.pop("source")
        assert number.fields == line


@pytest.mark.parametrize("table", TABLES)
def test_counts(table):
    assert len(read_published(table)) == COUNTS[table]


def test_the_tables_of_rkd_together_have_244_numbers():
    assert sum(COUNTS[f"rkd_table{number}"] for number in (1, 2, 3, 4, "5_6")) == 244


@pytest.mark.parametrize("table", TABLES)
def test_every_number_is_a_share_and_has_a_source(table):
    for number in read_published(table):
        assert 0 < number.value < 1
        assert number.source


def test_a_printed_number_is_not_rounded():
    """37.71 / 100 is 0.37710000000000005 in floating point."""
    assert read_published("rkd_table1")[1].value == 0.3771


def test_an_unknown_table_is_refused():
    with pytest.raises(ValueError, match="unknown published table 'rkd_table7'"):
        read_published("rkd_table7")
