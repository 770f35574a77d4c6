"""Lists looked at to the end, whatever is wrong with them; `verify` as a whole is tested on all layouts elsewhere."""

import pandas as pd
import pytest
from data.archives import MAKERS
from data.damage import damaged, with_content
from hypothesis import given, settings
from hypothesis import strategies as st

from relbench.data.datasets.published import READERS
from relbench.data.parsing.survey import survey
from relbench.experiment import Data

LAYOUTS = ["cub200", "sop", "inshop", "cars196-A", "cars196-C"]


@pytest.fixture(scope="module", params=LAYOUTS)
def made(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return READERS[request.param.split("-")[0]](Data()), folder, MAKERS[request.param](folder)


def test_sound_lists_name_all_images(made):
    reader, folder, truth = made
    found = survey(folder, reader.scan(folder))
    assert found.faults == []
    assert [name for name, _ in found.images] == truth["name"].tolist()
    pd.testing.assert_frame_equal(found.table, truth)


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_damaged_lists_never_end_a_survey(made, data):
    """At most the images of damaged lines are not named."""
    reader, folder, truth = made
    file = data.draw(st.sampled_from(reader.lists(folder)))
    content = data.draw(damaged(file.read_bytes()))
    found = with_content(file, content, lambda: survey(folder, reader.scan(folder)))
    assert len(found.images) <= len(truth) + 1
    assert all(str(folder) in fault and "\n" not in fault for fault in found.faults)
    assert (found.table is None) == bool(found.faults)
