"""The files of rejected rows: one for each set of columns, each in a place of its own."""

from __future__ import annotations

from inhouse import pipeline
from inhouse.core import Provenance, Rejection, Silent
from inhouse.pipeline.reading import Origin
from inhouse.pipeline.rejected import Rejected
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
