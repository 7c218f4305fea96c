"""The files of rejected rows: one for each set of columns, each in a place of its own."""

from __future__ import annotations

import pytest

from inhouse import pipeline
from inhouse.core import Provenance, Rejection, Silent
from inhouse.pipeline.reading import Origin
from inhouse.pipeline.rejected import Rejected
from inhouse.sources import remedy_of
from inhouse.store import Workspace


def test_sources_of_one_name_and_other_columns_have_a_file_each(tmp_path):
    workspace = Workspace(tmp_path / "w")
    task = pipeline.init(workspace, "t")
    with_target, without = (
        Origin("docs", "", columns, folder=True) for columns in (("document", "target"), ("document",))
    )
    rows = [
        (origin, Rejection(Provenance(f"docs/{name}", 0), "the file is empty", name))
        for origin, name in ((with_target, "a.pdf"), (without, "b.pdf"), (with_target, "c.pdf"))
    ]
    rejected, told = Rejected(workspace, task, rows), Silent()
    rejected.write()
    rejected.tell(told)
    first, second = rejected.files
    assert [len(file.read_text().splitlines()) for file in (first, second)] == [3, 2]
    assert rejected.count == 3
    assert (
        f"3 documents rejected; mend these files and add the folder again: they are listed in {first}, {second}"
        in (told.warned[-1])
    )
    workspace.close()


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("the target is empty (quote)", "fill in the right answer"),
        ("no value for column 'quote'", "fill in the value"),
        ("not valid JSON: Expecting property name enclosed in double quotes at character 2", "mend the JSON"),
        ("the target 'fields' is not a JSON object: 'password of the tool'", "mend the JSON"),
        ('text after a closing quote; a quote that is part of a text must be doubled ("")', "double each quote"),
        ("the file 'a.png' is a scan or picture, whose text must be recognised (OCR): install it", "recognised first"),
        ("the role of message 1 is 'tool', not one of user; calls of tools are not learned", "calls of tools out"),
    ],
)
def test_the_remedy_goes_by_what_is_wrong_and_not_by_the_users_own_words(reason, remedy):
    assert remedy in remedy_of(reason)
