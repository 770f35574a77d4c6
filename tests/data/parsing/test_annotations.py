"""Lines of annotation files, and whether the listed images are there."""

from pathlib import Path

import pytest
from data.damage import refusal

from relbench.data.parsing.annotations import (
    Fault,
    Image,
    Line,
    check_header,
    check_numbering,
    read_images,
    scan_each,
    scan_lines,
    table_of,
    try_line,
    try_list,
)
from relbench.data.parsing.missing import refuse_missing
from relbench.data.parsing.survey import survey


def lines(folder, content, separator=None):
    (folder / "list.txt").write_bytes(content)
    return finished(scan_lines(folder / "list.txt", separator))


def finished(scan):
    """What is left by a part of a scan without faults; the first fault is raised."""
    try:
        fault = next(scan)
    except StopIteration as end:
        return end.value
    raise ValueError(fault.words)


def faults_and_rest(scan):
    """The faults of a part of a scan, and what it leaves for the others."""
    faults = []
    while True:
        try:
            faults.append(next(scan))
        except StopIteration as end:
            return faults, end.value


@pytest.mark.parametrize(
    "content", [b"1 a b\n2  c d\n", b"1 a b\n2  c d", b"1 a b\r\n2 c d\r\n", b" 1\ta b \n2 c d \n"]
)
def test_fields_are_separated_by_blanks(tmp_path, content):
    assert [line.fields for line in lines(tmp_path, content)] == [("1", "a", "b"), ("2", "c", "d")]


def test_fields_are_separated_by_commas(tmp_path):
    found = lines(tmp_path, "a b, 1,\n\u96ea,2,x\n".encode(), ",")
    assert [line.fields for line in found] == [("a b", "1", ""), ("\u96ea", "2", "x")]


def test_places_count_from_one(tmp_path):
    found = lines(tmp_path, b"1\n\n3\n")
    assert [line.place for line in found] == [f"{tmp_path}/list.txt, line {number}" for number in (1, 2, 3)]
    assert found[1].fields == ()


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "1e3", "x", "\u0663", "1" * 10, "0x1", "1_0", " 1"])
def test_what_is_no_whole_number(tmp_path, text):
    line = Line(tmp_path / "list.txt", 7, ("a", text))
    assert refusal(lambda: line.whole(1)).startswith(f"{tmp_path}/list.txt, line 7: {text!r} is not a whole")


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("007", 7), ("123456789", 123456789)])
def test_whole_numbers(tmp_path, text, number):
    assert Line(tmp_path, 1, (text,)).whole(0) == number


@pytest.mark.parametrize("text", ["", "/", "/a", "a/", "a//b", "./a", "a/./b", "..", "../a", "a/../b"])
def test_what_is_no_path_below(tmp_path, text):
    line = Line(tmp_path / "list.txt", 7, (text,))
    assert refusal(lambda: line.path(0)).startswith(f"{tmp_path}/list.txt, line 7: {text!r} is not the path")


@pytest.mark.parametrize("text", ["a", "a/b.jpg", "..a/.b", "a b", "\u00e9/\u96ea.jpg"])
def test_paths_below(tmp_path, text):
    assert Line(tmp_path, 1, (text,)).path(0) == text


def test_a_long_field_is_shortened_in_messages(tmp_path):
    assert len(refusal(lambda: Line(tmp_path, 1, ("x" * 10**6,)).whole(0))) < 300


@pytest.mark.parametrize("text", ["\0", "a\x1bb", "a\u202eb", "a\nb"])
def test_characters_that_no_annotation_has(tmp_path, text):
    assert "line 3: " in refusal(lambda: Line(tmp_path, 3, (text,)))


def test_numbering(tmp_path):
    found = lines(tmp_path, b"5 a\n6 b\n8 c\n")
    check_numbering(found[:2], first=5)
    assert "line 3: has id 8 instead of 7 (a line is missing or occurs twice)" in refusal(
        lambda: check_numbering(found, first=5)
    )


HEADER = ("id", "path")


def test_the_header(tmp_path):
    check_header(lines(tmp_path, b"id path\n1 a\n2 b\n"), 0, HEADER)
    for content, at, number in ((b"1 a\n2 b\n", 0, 1), (b"id path\n", 0, 1), (b"id path\n1 a\n", 1, 2), (b"2\n", 1, 1)):
        few = lines(tmp_path, content)
        message = refusal(lambda few=few, at=at: check_header(few, at, HEADER))
        assert f"list.txt, line {number}: the header 'id path' and images below are missing" in message
    found = lines(tmp_path, b"id path\n1 a\n2\n")
    checked = scan_each(found[1:], lambda line: line.expect(2))
    assert "line 3: has 1 columns instead of 2" in refusal(lambda: finished(checked))


def test_a_scan_goes_on_after_a_fault(tmp_path):
    """A damaged line is named, and the others are as they are."""
    file = tmp_path / "list.txt"
    file.write_bytes(b"1 a\n2 \xff\n3\n4 d\n")
    faults, found = faults_and_rest(scan_lines(file))
    assert faults == [Fault(f"{file}, line 2: is not UTF-8 text: replace it with a good copy", of_line=True)]
    assert [line and line.fields for line in found] == [("1", "a"), None, ("3",), ("4", "d")]
    more, checked = faults_and_rest(scan_each(found, lambda line: line.expect(2)))
    assert [fault.words.partition(": ")[0] for fault in more] == [f"{file}, line 3"]
    assert [line and line.fields for line in checked] == [("1", "a"), None, None, ("4", "d")]
    check_numbering(checked, first=1)


def test_a_missing_list_is_no_damage_in_itself(tmp_path):
    faults, found = faults_and_rest(scan_lines(tmp_path / "list.txt"))
    assert ([fault.of_line for fault in faults], found) == ([False], [])
    (tmp_path / "list.txt").touch()
    faults, found = faults_and_rest(scan_lines(tmp_path / "list.txt"))
    assert ([fault.of_line for fault in faults], found) == ([True], [])


def scanned(*found):
    """A scan of images and faults: (name, of_line) or a name."""
    for number, item in enumerate(found, start=1):
        line = Line(Path("list.txt"), number, ("x",))
        label = "cat" if number % 2 else "dog"
        yield Image(item, line, label, "train" if number % 2 else "test") if isinstance(item, str) else Fault(*item)


@pytest.mark.parametrize(
    ("found", "complete", "told"),
    [
        (["a", "b"], True, []),
        ([("x", True), "b", ("y", True)], True, ["x", "y"]),
        ([("x", False), "b", ("y", True), ("z", False)], True, ["x", "y"]),
        ([("x", True), "b", ("y", False)], True, ["x"]),  # it may follow from the damage
        ([("x", False), "b", ("y", True)], False, ["y"]),  # it may follow from what is missing
        (["a", "b", "a"], True, ["image 'a' (list.txt, line 3) occurs twice: correct the table"]),
    ],
)
def test_a_survey_tells_all_damage_and_the_first_contradiction(tmp_path, found, complete, told):
    surveyed = survey(tmp_path, scanned(*found), complete=complete)
    assert surveyed.faults == told
    names = [(item, f"list.txt, line {at}") for at, item in enumerate(found, start=1) if isinstance(item, str)]
    assert surveyed.images == names
    assert (surveyed.table is None) == bool(told)


def test_reading_stops_at_the_first_fault():
    assert [image.name for image in read_images(scanned("a", "b"))] == ["a", "b"]
    scan = scanned("a", ("x", False), ("y", True))
    assert refusal(lambda: read_images(scan)) == "x"
    assert next(scan) == Fault("y", of_line=True)  # it was not looked at


def test_what_is_refused_is_a_fault_and_no_end():
    assert faults_and_rest(try_line(int, "7")) == ([], 7)
    faults, left = faults_and_rest(try_list(int, "x"))
    assert ([fault.of_line for fault in faults], left) == ([False], None)
    assert [fault.of_line for fault in faults_and_rest(try_line(int, "x"))[0]] == [True]


def test_a_table_names_the_line_of_its_image(tmp_path):
    found = lines(tmp_path, b"a.jpg\nb.jpg\na.jpg\n")
    rows = [("a.jpg", "x", "train"), ("b.jpg", "y", "test"), ("a.jpg", "x", "train")]
    images = [Image(name, line, *rest) for (name, *rest), line in zip(rows, found, strict=True)]
    message = refusal(lambda: table_of(tmp_path, images))
    assert message == f"image 'a.jpg' ({tmp_path}/list.txt, line 3) occurs twice: correct the table"
    table, place = table_of(tmp_path, images[:2])
    message = refusal(lambda: refuse_missing(tmp_path, list(table["name"]), place))
    assert message.startswith(f"{tmp_path}/list.txt, line 1: image 'a.jpg' is not in {tmp_path} (of 2 listed images 2")
    message = refusal(lambda: table_of(tmp_path, images[:1]))
    assert message == f"{tmp_path}/list.txt has no image in the split 'test': every split needs some"
