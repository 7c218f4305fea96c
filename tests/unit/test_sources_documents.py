"""Documents that a column names: their text is the input, and what cannot be read costs its row, with the reason."""

from __future__ import annotations

import csv

import docx
import pytest
from reportlab.pdfgen.canvas import Canvas

from inhouse.errors import SourceError
from inhouse.sources import (
    Mapping,
    document_columns,
    infer_mapping,
    input_reader,
    read_source,
    to_examples,
    with_documents,
)

GENERATE = Mapping("generate", ("cv",), ("summary",))


def pdf(path, *pages, password=None):
    canvas = Canvas(str(path), encrypt=password)
    for page in pages:
        for i, line in enumerate(page):
            canvas.drawString(72, 720 - 20 * i, line)
        canvas.showPage()
    canvas.save()


def word(path):
    document = docx.Document()
    document.add_paragraph("Anna Jansen")
    table = document.add_table(rows=2, cols=3)
    for row, texts in zip(table.rows, (("Skill", "Years", "Level"), ("Python", "5", "expert")), strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    table.add_row().cells[0].merge(table.rows[2].cells[2]).text = "all in one"
    document.add_paragraph("Available at once")
    document.save(str(path))


def source(tmp_path, *names, plain=0):
    """A CSV of the named documents, with `plain` rows of plain text."""
    with (tmp_path / "d.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["cv", "summary"])
        writer.writerows([name, f"summary {i}"] for i, name in enumerate(names))
        writer.writerows([f"plain text {i}", f"plain summary {i}"] for i in range(plain))
    return read_source(tmp_path / "d.csv")


def inputs(tmp_path, *names, plain=0):
    table = source(tmp_path, *names, plain=plain)
    read = input_reader(table, ["cv"], document_columns(table, ["cv"]))
    return [read(record) for record in table.records]


def test_pdf_pages_in_order(tmp_path):
    (tmp_path / "cvs").mkdir()
    pdf(tmp_path / "cvs" / "anna.PDF", ["Café Zürich", "a well-known hyphen-", "ated word"], [], ["page three"])
    [(values, reason)] = inputs(tmp_path, " cvs/anna.PDF ")
    assert reason == ""
    assert values == {"cv": "Café Zürich\na well-known hyphen-\nated word\n\fpage three"}


def test_word_paragraphs_and_tables_in_order_and_merged_cells_once(tmp_path):
    word(tmp_path / "a.docx")
    [(values, _)] = inputs(tmp_path, "a.docx")
    assert values["cv"] == "Anna Jansen\nSkill | Years | Level\nPython | 5 | expert\nall in one\nAvailable at once"


def test_text_files_with_and_without_a_byte_order_mark(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    (tmp_path / "b.md").write_text("# één\n")
    assert inputs(tmp_path, "a.txt", "b.md") == [({"cv": "one\ntwo"}, ""), ({"cv": "# één"}, "")]


def test_names_as_windows_writes_them(tmp_path):
    (tmp_path / "cvs").mkdir()
    (tmp_path / "cvs" / "a.txt").write_text("one")
    assert inputs(tmp_path, r"cvs\a.txt") == [({"cv": "one"}, "")]


def test_what_cannot_be_read_is_rejected_with_the_reason(tmp_path):
    (tmp_path / "good.txt").write_text("good")
    pdf(tmp_path / "blank.pdf", [], [])
    pdf(tmp_path / "locked.pdf", ["secret"], password="word")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 and no more")
    (tmp_path / "broken.docx").write_bytes(b"PK no zip")
    (tmp_path / "locked.docx").write_bytes(bytes.fromhex("D0CF11E0A1B11AE1") + b"\0" * 600)
    docx.Document().save(str(tmp_path / "empty.docx"))
    (tmp_path / "binary.txt").write_bytes(b"a\0b")
    (tmp_path / "folder.txt").mkdir()
    faults = {
        "absent.pdf": "is missing; looked for as",
        "blank.pdf": "holds no text",
        "locked.pdf": "password",
        "broken.pdf": "no PDF that can be read",
        "broken.docx": "no Word document that can be read",
        "locked.docx": "password",
        "empty.docx": "holds no text",
        "binary.txt": "a NUL byte: it is no text",
        "folder.txt": "is missing",
        "a/" * 100 + "x.txt": "is missing",
    }
    found = inputs(tmp_path, "good.txt", *faults)
    assert found[0] == ({"cv": "good"}, "")
    for (name, part), (values, reason) in zip(faults.items(), found[1:], strict=True):
        assert values == {}
        assert f"{name!r}" in reason
        assert part in reason
    examples, rejections = to_examples(source(tmp_path, "good.txt", *faults, plain=20), GENERATE, ["cv"])
    assert len(examples) == 21
    assert [r.provenance.line for r in rejections] == list(range(3, 13))


@pytest.mark.parametrize(
    "name", ["../secret.txt", "sub/../../secret.txt", "link.txt", "linked/secret.txt", "{root}/secret.txt"]
)
def test_nothing_outside_the_folder_is_ever_read(tmp_path, name):
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "good.txt").write_text("good")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "linked").symlink_to(tmp_path)
    found = inputs(folder, "good.txt", name.format(root=tmp_path))
    assert found[0] == ({"cv": "good"}, "")
    assert found[1][0] == {}
    assert "not below the folder of the data" in found[1][1]


def test_links_in_a_circle_name_no_file(tmp_path):
    (tmp_path / "good.txt").write_text("good")
    (tmp_path / "a.txt").symlink_to(tmp_path / "b.txt")
    (tmp_path / "b.txt").symlink_to(tmp_path / "a.txt")
    assert "missing" in inputs(tmp_path, "good.txt", "a.txt")[1][1]


def test_texts_that_end_like_a_file_stay_texts_where_no_file_is_named(tmp_path):
    texts = ["please send report.pdf", "see\nnotes.txt", ".pdf", "x" * 300 + ".txt"]
    assert [values["cv"] for values, _ in inputs(tmp_path, *texts)] == texts
    (tmp_path / "a.txt").write_text("one")
    found = inputs(tmp_path, "a.txt", *texts)
    assert "is missing" in found[1][1]
    assert [values["cv"] for values, _ in found[2:]] == texts[1:]


def test_names_of_documents_that_are_nowhere_are_refused_not_learned(tmp_path):
    with pytest.raises(SourceError, match=r"none of them is in the folder") as caught:
        inputs(tmp_path, *(f"cv{i}.pdf" for i in range(9)), plain=3)
    assert str(tmp_path) in caught.value.remedy


def test_what_a_model_reads_as_documents_is_never_read_as_their_names(tmp_path):
    """A new batch whose documents were left behind: each row says so, as the model's columns decide, not the batch."""
    read = input_reader(source(tmp_path, "cv1.pdf", plain=2), ["cv"], ["cv"])
    found = [read(record) for record in read_source(tmp_path / "d.csv").records]
    assert found[0][0] == {}
    assert "is missing" in found[0][1]
    assert found[1] == ({"cv": "plain text 0"}, "")


def test_a_mended_document_makes_another_source(tmp_path):
    (tmp_path / "a.txt").write_text("one")
    table = source(tmp_path, "a.txt", plain=1)
    first = with_documents(table, document_columns(table, ["cv"]))
    assert first == with_documents(table, ("cv",))
    (tmp_path / "a.txt").write_text("two")
    second = with_documents(table, ("cv",))
    assert len({table.sha256, first.sha256, second.sha256}) == 3
    assert {r.provenance.sha256 for r in second.records} == {second.sha256}
    assert with_documents(table, ()) is table


def test_targets_are_never_read_from_files(tmp_path):
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "d.csv").write_text("text,summary\n" + "some words,a.txt\n" * 3)
    examples, _ = to_examples(read_source(tmp_path / "d.csv"), Mapping("generate", ("text",), ("summary",)))
    assert examples[0].target == "a.txt"


def test_a_column_of_files_is_an_input_though_it_looks_like_codes(tmp_path):
    for i in range(12):
        (tmp_path / f"cv{i:03}.txt").write_text(f"curriculum {i}")
    mapping = infer_mapping(source(tmp_path, *(f"cv{i:03}.txt" for i in range(12))), kind="generate")
    assert mapping == GENERATE
