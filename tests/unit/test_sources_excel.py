"""Workbooks as people keep them: the rows that Excel shows, as text, by Excel's row numbers."""

from __future__ import annotations

import datetime
import zipfile

import pytest
import xlsxwriter

from inhouse.errors import SourceError
from inhouse.sources import infer_mapping, read_source, to_examples

_MANIFEST = (
    '<?xml version="1.0"?><manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
    '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/></manifest:manifest>'
)


def book(path, *sheets, hidden=()):
    """A workbook of (name, rows); a row is None (empty) or a list of cells."""
    workbook = xlsxwriter.Workbook(str(path), {"default_date_format": "dd-mm-yyyy"})
    for name, rows in sheets:
        sheet = workbook.add_worksheet(name)
        for i, row in enumerate(rows):
            for j, cell in enumerate(row or ()):
                if isinstance(cell, str) and cell.startswith("=1/0"):
                    sheet.write_formula(i, j, cell, None, "#DIV/0!")
                elif cell is not None:
                    sheet.write(i, j, cell)
        if name in hidden:
            sheet.hide()
    workbook.close()
    return path


def fails(path):
    with pytest.raises(SourceError) as caught:
        read_source(path)
    assert caught.value.file == str(path)
    return caught.value


def test_cells_are_text_as_excel_shows_them(tmp_path):
    cells = [
        12.0,
        12.5,
        0.1 + 0.2,
        datetime.date(2025, 3, 4),
        datetime.datetime(2025, 3, 4, 13, 5),
        datetime.time(13, 5),
        True,
        "=1/0",
        " a\nb ",
        123456789012345,
        "007",
        "2025-03-04 at noon",
    ]
    path = book(tmp_path / "d.xlsx", ("S", [[f"c{i}" for i in range(len(cells))], cells]))
    [record] = read_source(path).records
    assert list(record.values.values()) == [
        "12",
        "12.5",
        "0.3",
        "2025-03-04",
        "2025-03-04 13:05:00",
        "13:05:00",
        "true",
        "",
        " a\nb ",
        "123456789012345",
        "007",
        "2025-03-04 at noon",
    ]


def test_lines_are_excels_row_numbers_and_empty_rows_and_columns_are_passed_over(tmp_path):
    rows = [None, None, [None, "text", None, "label"], None, [None, "one", None, "a"], None, [None, None, None, "b"]]
    source = read_source(book(tmp_path / "d.xlsx", ("S", rows)))
    assert source.columns == ("text", "label")
    assert [(r.provenance.file, r.provenance.line, dict(r.values)) for r in source.records] == [
        ("d.xlsx", 5, {"text": "one", "label": "a"}),
        ("d.xlsx", 7, {"text": "", "label": "b"}),
    ]


def test_the_first_visible_sheet_with_anything_is_read_and_told(tmp_path):
    rows = [["text", "label"], *([f"message {i}", "ab"[i % 2]] for i in range(12))]
    path = book(
        tmp_path / "d.xlsx", ("Empty", []), ("Old", rows[:3]), ("Now", rows), ("Notes", [["x"]]), hidden=["Old"]
    )
    source = read_source(path)
    assert len(source.records) == 12
    mapping = infer_mapping(source)
    assert mapping.why[0] == "the sheet 'Now' is read; left out: Notes"
    assert len(to_examples(source, mapping)[0]) == 12


@pytest.mark.parametrize(
    ("header", "part"),
    [(["text", None, "label"], "column 2 of 3 has no name"), (["a", "b", " a "], "'a' stands twice")],
)
def test_headers_that_cannot_be_used(tmp_path, header, part):
    error = fails(book(tmp_path / "d.xlsx", ("S", [None, header, ["1", "2", "3"]])))
    assert part in error.what
    assert error.line == 2


def test_what_is_no_workbook(tmp_path):
    good = book(tmp_path / "good.xlsx", ("S", [["a"], ["b"]])).read_bytes()
    locked = bytes.fromhex("D0CF11E0A1B11AE1") + b"\0" * 600
    for content, part in [
        (b"", "cannot be read"),
        (b"text,label\n", "cannot be read"),
        (good[: len(good) // 2], "cannot be read"),
        (locked, "password"),
    ]:
        path = tmp_path / "d.xlsx"
        path.write_bytes(content)
        assert part in fails(path).what
    assert "no visible sheet" in fails(book(tmp_path / "e.xlsx", ("S", []))).what
    assert "no rows" in fails(book(tmp_path / "h.xlsx", ("S", [["text", "label"]]))).what


def test_a_stray_cell_far_away_does_not_take_all_memory(tmp_path):
    workbook = xlsxwriter.Workbook(str(tmp_path / "d.xlsx"))
    sheet = workbook.add_worksheet()
    sheet.write_row(0, 0, ["text", "label"])
    sheet.write(1_048_575, 16_383, " ")
    workbook.close()
    error = fails(tmp_path / "d.xlsx")
    assert error.what.startswith("a sheet reaches to row 1,048,576 and column XFD")
    assert "delete what stands far away" in error.remedy


@pytest.mark.parametrize("tag", [b"</row>", b"</sheetData>", b"</worksheet>"])
def test_xml_that_is_not_closed(tmp_path, tag):
    with zipfile.ZipFile(book(tmp_path / "good.xlsx", ("S", [["a"], ["b"]]))) as good:
        parts = {name: good.read(name) for name in good.namelist()}
    with zipfile.ZipFile(tmp_path / "d.xlsx", "w") as bad:
        for name, content in parts.items():
            bad.writestr(name, content.replace(tag, b""))
    assert "cannot be read" in fails(tmp_path / "d.xlsx").what


def test_open_document_spreadsheets(tmp_path):
    def cell(text):
        return f'<table:table-cell office:value-type="string"><text:p>{text}</text:p></table:table-cell>'

    rows = [f"<table:table-row>{cell(a)}{cell(b)}</table:table-row>" for a, b in (("text", "label"), ("één", "a"))]
    space = "urn:oasis:names:tc:opendocument:xmlns:{0}:1.0"
    cells = "".join(rows)
    names = " ".join(f'xmlns:{n}="{space.format(n)}"' for n in ("office", "table", "text"))
    content = (
        f'<?xml version="1.0"?><office:document-content {names}><office:body><office:spreadsheet>'
        f'<table:table table:name="S">{cells}</table:table></office:spreadsheet></office:body></office:document-content>'
    )
    with zipfile.ZipFile(tmp_path / "d.ods", "w") as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        file.writestr("META-INF/manifest.xml", _MANIFEST)
        file.writestr("content.xml", content)
    [record] = read_source(tmp_path / "d.ods").records
    assert dict(record.values) == {"text": "één", "label": "a"}
    assert record.provenance.line == 2
