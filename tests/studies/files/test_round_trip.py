"""Every study, written as a file, is read as the same study: so its runs keep their fingerprints."""

import json
from pathlib import Path

import pytest

from relbench.studies import STUDIES, build_study
from relbench.studies.files import find_study, read_study_file, study_text
from relbench.studies.files.layout import BESIDE_TRAINING, OF_RUN_ALONE
from relbench.studies.study import RunSpec

VARIANTS = {
    (name, *options.values()): options
    for name, options, *_ in map(json.loads, json.loads((Path(__file__).parents[1] / "fingerprints.json").read_text()))
}


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_what_its_file_says(name, tmp_path):
    path = tmp_path / "study.toml"
    variants = [options for (of, *_), options in VARIANTS.items() if of == name]
    assert variants
    for options in variants:
        study = build_study(name, options)
        path.write_text(study_text(study))
        read = read_study_file(path)
        assert read.file == str(path)
        assert read.model_copy(update={"file": "", "file_hash": ""}) == study
    assert find_study(str(path)) == study  # under the name of a study of relbench, it is that study


def test_no_part_of_a_run_is_left_out():
    assert {*RunSpec.model_fields} == {"data", "task", "net", "training", *OF_RUN_ALONE, *BESIDE_TRAINING}
