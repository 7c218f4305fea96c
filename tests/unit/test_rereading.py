"""The same file again: another sheet adds, another encoding or header replaces, splits stay."""

from __future__ import annotations

import pytest
import xlsxwriter
from conftest import many_intents, write_csv
from hypothesis import given
from hypothesis import strategies as st

from inhouse import pipeline
from inhouse.core import Example, Provenance, Silent
from inhouse.dataset.rereading import read_anew
from inhouse.sources import ReadOptions
from inhouse.store import Workspace, pool, records

ROWS = many_intents(8)


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace(tmp_path / "w")
    yield workspace
    workspace.close()


def newest(workspace):
    return records.load_dataset(workspace, "t")


def splits(dataset):
    rows = zip(dataset.examples, dataset.splits, strict=True)
    return {(e.provenance.part, e.provenance.line): (e.group, split) for e, split in rows}


def workbook(path, **sheets):
    book = xlsxwriter.Workbook(str(path))
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        for line, cells in enumerate([list(rows[0]), *(list(row.values()) for row in rows)]):
            sheet.write_row(line, 0, cells)
    book.close()
    return path


def test_a_second_sheet_adds_and_the_same_sheet_does_not(workspace, tmp_path):
    half = len(ROWS) // 2
    book = workbook(tmp_path / "zwei.xlsx", Juni=ROWS[:half], Mai=ROWS[half:])
    pipeline.add(workspace, "t", [book], options=ReadOptions(sheet="Juni"))
    first, told = newest(workspace), Silent()
    added = pipeline.add(workspace, "t", [book], told, options=ReadOptions(sheet="Mai"))
    assert (added.dataset, len(newest(workspace).examples)) == (2, len(ROWS))
    assert splits(first).items() <= splits(newest(workspace)).items()
    for sheet in ("Mai", "Juni"):
        told = Silent()
        assert pipeline.add(workspace, "t", [book], told, options=ReadOptions(sheet=sheet)).dataset == 2
        assert f"the sheet '{sheet}' of zwei.xlsx was added before: nothing new in it" in told.said


def test_another_encoding_replaces_what_was_misread(workspace, tmp_path):
    rows = [{**row, "text": f"für {row['text']}"} if i % 2 else row for i, row in enumerate(ROWS)]
    file = write_csv(tmp_path / "a.csv", rows)
    file.write_bytes(file.read_text().encode("cp1252"))
    pipeline.add(workspace, "t", [file], options=ReadOptions(encoding="cp437"))
    before, told = newest(workspace), Silent()
    added = pipeline.add(workspace, "t", [file], told, options=ReadOptions(encoding="cp1252"))
    after = newest(workspace)
    assert (added.dataset, added.replaced) == (2, len(ROWS) // 2)
    assert [e.inputs["text"] for e in after.examples] == [row["text"] for row in rows]
    assert splits(after) == splits(before)
    assert any("its rows replace those" in line for line in told.said)
    assert any("test changed" in line for line in told.warned)
    told = Silent()
    assert pipeline.add(workspace, "t", [file], told, options=ReadOptions(encoding="cp1252")).dataset == 2
    assert any("nothing new in it" in line for line in told.said)


def test_rows_that_another_header_leaves_out_go_and_what_clean_dropped_does_not_come_back(workspace, tmp_path):
    rows = [{"text": f"question number {i % 24}", "answer": f"this is answer {i % 24}"} for i in range(30)]
    file = write_csv(tmp_path / "a.csv", [{"text": "text", "answer": "answer"}, *rows])
    pipeline.add(workspace, "t", [file], kind="generate", target="answer")
    pipeline.clean(workspace, "t", apply=["exact_duplicate"])
    before, told = newest(workspace), Silent()
    assert len(before.examples) < 31
    pipeline.add(workspace, "t", [file], told, options=ReadOptions(header=2))
    after = newest(workspace)
    header = next(
        (e.provenance.line, split)
        for e, split in zip(before.examples, before.splits, strict=True)
        if e.inputs["text"] == "text"
    )
    assert (header[0], len(after.examples)) == (2, len(before.examples) - (header[1] != "test"))
    told_of = "which stay: 1" if header[1] == "test" else "no row in this reading of the file: 1 row"
    assert any(told_of in line for line in told.warned)
    assert splits(after).items() <= splits(before).items()


def test_another_encoding_brings_back_nothing_that_is_masked(workspace, tmp_path):
    rows = [{**row, "text": f"für {row['text']} an{i}@web.de"} for i, row in enumerate(ROWS)]
    file = write_csv(tmp_path / "a.csv", rows)
    file.write_bytes(file.read_text().encode("cp1252"))
    pipeline.add(workspace, "t", [file], options=ReadOptions(encoding="cp437"))
    pipeline.clean(workspace, "t", apply=["personal_data"])
    masked, told = newest(workspace), Silent()
    assert all("[EMAIL_" in e.inputs["text"] for e in masked.examples)
    pipeline.add(workspace, "t", [file], told, options=ReadOptions(encoding="cp1252"))
    assert newest(workspace).examples == masked.examples
    assert any(f"{len(ROWS)} masked rows stayed as read before" in line for line in told.warned)


def test_unlabelled_rows_that_were_misread_leave_the_pool(workspace, tmp_path):
    pipeline.init(workspace, "t")
    file = tmp_path / "u.csv"
    file.write_bytes("text\nfür Sie\nplain\n".encode("cp1252"))
    for encoding in ("cp437", "cp1252"):
        pipeline.add(workspace, "t", [file], unlabelled=True, options=ReadOptions(encoding=encoding))
    assert sorted(one.inputs["text"] for one in pool.unlabelled(workspace, "t")) == ["für Sie", "plain"]


def example(line, text):
    return Example({"text": text}, "a", "", Provenance("f", line, "sum"))


LINES = st.dictionaries(st.integers(2, 12), st.sampled_from(["x", "y", "z"]))


@given(LINES, LINES, st.sets(st.integers(2, 12)), st.sets(st.integers(2, 12)))
def test_whatever_is_read_anew_no_test_row_goes_and_every_line_says_what_is_read(before, now, tested, no_news):
    old = [(example(line, text), "test" if line in tested else "train") for line, text in before.items()]
    new = [example(line, text) for line, text in now.items() if line not in no_news]
    found = read_anew(old, new, {("sum", ""): frozenset(now)})
    kept = {e.provenance.line: (e, split) for e, split in found.rows}
    assert kept.keys() >= {line for line in before if line in tested or line in now}
    assert {e.provenance.line for e in found.dropped} == {li for li in before if li not in now and li not in tested}
    for line, (e, split) in kept.items():
        said = now[line] if line in now and line not in no_news else before[line]
        assert (e.inputs["text"], split) == (said, "test" if line in tested else "train")
        assert e.group == next(o.group for o, _ in old if o.provenance.line == line)
    assert [e.provenance.line for e in found.new] == [e.provenance.line for e in new if e.provenance.line not in before]
