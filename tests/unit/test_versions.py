"""`undo` goes back as far as one likes and forth again; `diff` says what differs; a page of findings is read."""

from __future__ import annotations

import json

import pytest
from conftest import write_csv as write

from inhouse import pipeline
from inhouse.cli import show_data
from inhouse.core import Finding, Silent
from inhouse.errors import NotFound, UsageError
from inhouse.store import Workspace, records


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace(tmp_path / "w")
    pipeline.init(workspace, "t")
    yield workspace
    workspace.close()


def rows(count):
    return [{"id": f"K{i}", "text": f"message {i}", "label": "ab"[i % 2]} for i in range(count)]


def newest(workspace):
    return records.load_dataset(workspace, "t")


def third_label(start):
    return [{"id": f"K{i}", "text": f"new {i}", "label": "c"} for i in range(start, start + 12)]


@pytest.fixture
def three(workspace, tmp_path):
    """A task with three versions: two files, then one duplicate cleaned away."""
    table = [*rows(40), {"id": "K40", "text": "message 1", "label": "b"}]
    pipeline.add(workspace, "t", [write(tmp_path / "a.csv", table)], inputs=["text"], target="label", group="id")
    pipeline.add(workspace, "t", [write(tmp_path / "b.csv", third_label(50))])
    pipeline.clean(workspace, "t", apply=["exact_duplicate"])
    assert newest(workspace).number == 3
    return workspace


def content(workspace, number=None):
    return records.load_dataset(workspace, "t", number).fingerprint


def test_undo_goes_back_one_change_at_a_time_and_forth_again(three):
    assert three.load_task("t").labels == ("a", "b", "c")
    undone = pipeline.undo(three, "t")
    assert (undone.dataset, undone.equals, undone.before) == (4, 2, 3)
    assert undone.left == ("cleaned: exact_duplicate",)
    assert content(three) == content(three, 2)
    undone = pipeline.undo(three, "t")
    assert (undone.dataset, undone.equals, newest(three).parent) == (5, 1, 1)
    assert three.load_task("t").labels == ("a", "b")
    with pytest.raises(NotFound, match="nothing to undo"):
        pipeline.undo(three, "t")
    again = pipeline.undo(three, "t", to=3)
    assert (again.dataset, content(three)) == (6, content(three, 3))
    assert three.load_task("t").labels == ("a", "b", "c")
    with pytest.raises(UsageError, match="has the content of version 6"):
        pipeline.undo(three, "t", to=3)
    with pytest.raises(NotFound, match="no dataset version 9"):
        pipeline.undo(three, "t", to=9)
    assert f"inhouse undo t --to {again.before}" in show_data.undone(again)


def test_versions_of_the_same_content_take_one_file(three):
    before = sum(1 for _ in three.paths.blobs.rglob("*.parquet"))
    pipeline.undo(three, "t")
    pipeline.undo(three, "t", to=3)
    assert sum(1 for _ in three.paths.blobs.rglob("*.parquet")) == before


def test_a_file_whose_rows_were_undone_can_be_added_again(three, tmp_path):
    pipeline.undo(three, "t", to=1)
    reporter = Silent()
    added = pipeline.add(three, "t", [tmp_path / "b.csv", tmp_path / "a.csv"], reporter)
    assert (added.dataset, sum(added.counts.values())) == (5, 53)
    assert [s for s in reporter.said if "was added before" in s] == ["a.csv was added before: nothing new in it"]
    assert pipeline.add(three, "t", [tmp_path / "b.csv"]).dataset == 5


def test_a_schema_follows_the_data_and_what_the_user_wrote_stays(tmp_path):
    workspace = Workspace(tmp_path / "w")
    pipeline.init(workspace, "o", kind="extract")
    first = [{"text": f"{i} lamps", "order": json.dumps({"count": i})} for i in range(30)]
    second = [{"text": f"{i} red cups", "order": json.dumps({"count": i, "colour": "red"})} for i in range(30)]
    pipeline.add(workspace, "o", [write(tmp_path / "1.csv", first)], inputs=["text"], target="order")
    pipeline.add(workspace, "o", [write(tmp_path / "2.csv", second)])
    schemas = [workspace.load_task("o").json_schema]
    pipeline.undo(workspace, "o")
    schemas.append(workspace.load_task("o").json_schema)
    assert [list(s["properties"]) for s in schemas] == [["count", "colour"], ["count"]]
    pipeline.undo(workspace, "o", to=2)
    task = workspace.load_task("o")
    edited = {**task.json_schema, "properties": {**task.json_schema["properties"], "note": {"type": "string"}}}
    workspace.save_task(task.model_copy(update={"json_schema": edited}))
    pipeline.undo(workspace, "o", to=1)
    assert set(workspace.load_task("o").json_schema["properties"]) == {"count", "colour", "note"}
    workspace.close()


def test_diff_says_what_how_many_and_why(three):
    found = pipeline.diff(three, "t", before=1)
    assert (found.before, found.after, found.added, found.removed, found.changed) == (1, 3, 12, 1, 0)
    assert found.labels == {"c": 12, "b": -1}
    assert [step["version"] for step in found.why] == [2, 3]
    assert found.left == ()
    assert "b.csv" in found.why[0]["reason"]
    assert sum(counts["added"] for counts in found.splits.values()) == 12
    assert found.test_changed == bool(sum(found.splits["test"].values()))
    back = pipeline.diff(three, "t", before=3, after=1)
    assert (back.added, back.removed, back.why) == (1, 12, ())
    assert [step["version"] for step in back.left] == [3, 2]
    pipeline.undo(three, "t")
    undone = pipeline.diff(three, "t")  # against what was the newest before
    assert (undone.before, undone.after, undone.added) == (3, 4, 1)
    assert [step["reason"] for step in undone.left] == ["cleaned: exact_duplicate"]
    text = show_data.differences(undone)
    assert "+ a.csv:42" in text
    assert "taken back: version 3" in text
    assert json.dumps(undone.as_dict())


def test_a_difference_is_bounded_however_much_differs(workspace, tmp_path, monkeypatch):
    monkeypatch.setattr("inhouse.pipeline.versions.SHOWN_ROWS", 7)
    pipeline.add(workspace, "t", [write(tmp_path / "a.csv", rows(40))], key="id")
    long = [{**row, "text": f"{row['text']} {'word ' * 400}end {i}"} for i, row in enumerate(rows(40))]
    pipeline.add(workspace, "t", [write(tmp_path / "b.csv", long)])
    other = [{**row, "text": row["text"].replace("end", "END")} for row in long]
    pipeline.add(workspace, "t", [write(tmp_path / "c.csv", other)])
    found = pipeline.diff(workspace, "t")
    assert (found.changed, len(found.rows)) == (40, 7)
    [part] = found.rows[0]["parts"]
    assert part["before"].endswith("end 0")
    assert part["after"].endswith("END 0")
    assert len(part["after"]) < 210


def test_diff_and_undo_of_a_task_with_one_version_or_none(workspace, tmp_path):
    for verb in (pipeline.diff, pipeline.undo):
        with pytest.raises(NotFound, match="has no data yet"):
            verb(workspace, "t")
    pipeline.add(workspace, "t", [write(tmp_path / "a.csv", rows(40))], inputs=["text"], target="label")
    with pytest.raises(NotFound, match="no version before version 1"):
        pipeline.diff(workspace, "t")
    with pytest.raises(NotFound, match="nothing to undo"):
        pipeline.undo(workspace, "t")


def test_a_failed_undo_leaves_everything_as_it_was(three, monkeypatch):
    before = three.paths.task_file("t").read_bytes()
    monkeypatch.setattr(records, "save_dataset", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pipeline.undo(three, "t", to=1)
    assert three.paths.task_file("t").read_bytes() == before
    assert newest(three).number == 3


def test_kept_findings_are_read_page_by_page(three):
    dataset = newest(three)
    found = [
        Finding(id=f"{n:04}", check="text" if n % 2 else "empty", severity="info", examples=(), reason="r", action="a")
        for n in range(2500)
    ]
    records.save_findings(three, dataset, found[::-1], {"0007"})
    count, page = records.findings(three, "t", dataset.number, start=2400, most=100)
    assert (count, [f.id for f, _ in page]) == (2500, [f"{n:04}" for n in range(99, -1, -1)])
    count, page = records.findings(three, "t", dataset.number, what="text", start=0, most=3)
    assert (count, [f.id for f, _ in page]) == (1250, ["2499", "2497", "2495"])
    assert records.findings(three, "t", dataset.number, what="0007") == (1, [(found[7], "accepted")])
    assert records.findings(three, "t", dataset.number, what="none") == (0, [])
    page = pipeline.findings(three, "t", page=25)
    assert (page.count, page.pages, len(page.findings), page.findings[-1][0].id) == (2500, 25, 100, "0000")
    told = show_data.findings_page(page)
    assert told.endswith("next: inhouse train t   (or, for what is to change, inhouse clean t --apply ID)")
    safe = found[0].model_copy(update={"id": "9999", "safe": True})
    records.save_findings(three, dataset, [safe, *found[:0:-1]], set())
    told = show_data.findings_page(pipeline.findings(three, "t", show="9999"))
    assert told.endswith("next: inhouse clean t --apply safe   (or --apply ID)")
    shown = show_data.findings_page(pipeline.findings(three, "t", show="text", page=2))
    assert shown.endswith("next: inhouse clean t --show text --page 3")
    [only] = pipeline.findings(three, "t", show="0007").as_dict()["findings"]
    assert (only["id"], only["status"]) == ("0007", "accepted")
    for wrong, said in (({"show": "none"}, "no finding of 'none'"), ({"page": 26}, "no page 26")):
        with pytest.raises(NotFound, match=said):
            pipeline.findings(three, "t", **wrong)


def test_the_commands(three, cli, tmp_path):
    folder = three.paths.root
    three.close()
    assert cli(folder, "diff", "t", "1", "2", "--json").json["added"] == 12
    told = cli(folder, "diff", "t")
    assert (told.code, "taken back" in told.out, told.out.rstrip().splitlines()[-1].startswith("next: ")) == (
        0,
        False,
        True,
    )
    assert cli(folder, "undo", "t", "--json").json["equals"] == 2
    assert cli(folder, "undo", "t", "--to", "9").code == 3
    assert cli(folder, "undo", "t", "--to", "3").out.rstrip().endswith("next: inhouse diff t")
    cli(folder, "clean", "t")
    assert cli(folder, "clean", "t", "--show", "leakage").code == 3  # nothing of it was found
    assert cli(folder, "clean", "t", "--show", "all", "--apply", "safe").code == 2
    assert cli(folder, "clean", "t", "--page", "2").code == 2
    would = cli(folder, "forget", "t", "--match", "new 5")
    assert would.out.rstrip().endswith("next: inhouse forget t --match 'new 5' --yes")
    assert cli(folder, "forget", "t", "--match", "new 5", "--yes", "--json").json["rows"] == 10
    assert cli(folder, "diff", "t").out.rstrip().endswith("next: inhouse clean t")  # nothing undoes that
    assert cli(folder, "forget", "t").code == 2
    table = write(tmp_path / "k.csv", [{"n": i, "text": f"x {i}", "label": "ab"[i % 2]} for i in range(20)])
    assert cli(folder, "init", "k").code == 0
    assert cli(folder, "add", "k", table, "--key", "n", "--json").json["replaced"] == 0


def test_what_add_took_can_be_cleaned(workspace, tmp_path):
    """A label of two examples, one of them in the test, is as much as it was before the edit."""
    data = [*rows(40), {"id": "L1", "text": "lost a parcel", "label": "lost"}]
    data += [{"id": "L2", "text": "where did it go", "label": "lost"}]
    data[0]["text"] += " caf\u00c3\u00a9"
    pipeline.add(workspace, "t", [write(tmp_path / "a.csv", data)], inputs=["text"], target="label")
    dataset = newest(workspace)
    assert {s for e, s in zip(dataset.examples, dataset.splits, strict=True) if e.target == "lost"} == {"train", "test"}
    assert pipeline.clean(workspace, "t", apply=["text"]).new_dataset == 2
