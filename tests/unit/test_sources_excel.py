"""Workbooks as people keep them: the rows that Excel shows, as text, by Excel's row numbers."""

from __future__ import annotations

import datetime
import zipfile

import pytest
import xlsxwriter

from inhouse.errors import SourceError
from inhouse.sources import ReadOptions, infer_mapping, read_source, to_examples

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


def edited(path, *changes):
    """The workbook with parts of its XML replaced, as another program would have written them."""
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    for before, after in changes:
        assert any(before in content for content in parts.values())
        parts = {name: content.replace(before, after) for name, content in parts.items()}
    with zipfile.ZipFile(path, "w") as new:
        for name, content in parts.items():
            new.writestr(name, content)
    return path


FOUND = ReadOptions()


def rows_of(source):
    return [(r.provenance.line, *r.values.values()) for r in source.records]


def fails(path, options=FOUND):
    with pytest.raises(SourceError) as caught:
        read_source(path, options)
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
    assert mapping.why[0] == "the sheet 'Now' is read; left out: Notes (--sheet NAME reads another)"
    assert len(to_examples(source, mapping)[0]) == 12


def test_the_sheet_with_a_table_is_found_or_named(tmp_path):
    rows = [["text", "label"], ["one", "a"], ["two", "b"]]
    path = book(tmp_path / "d.xlsx", ("Read me", [["Written by Jo"], ["in May"]]), ("Jan", rows), ("Feb", rows[:2]))
    source = read_source(path)
    assert [(r.provenance.part, r.provenance.line) for r in source.records] == [("Jan", 2), ("Jan", 3)]
    assert str(source.records[0].provenance) == "d.xlsx!Jan:2"
    source = read_source(path, ReadOptions(sheet="Feb"))
    assert [r.provenance.part for r in source.records] == ["Feb"]
    assert source.notes == ("the sheet 'Feb' is read; left out: Read me, Jan (--sheet NAME reads another)",)
    error = fails(path, ReadOptions(sheet="Fev"))
    assert error.what == "there is no sheet 'Fev'; the sheets there are Read me, Jan, Feb"
    assert "did you mean `Feb`?" in error.remedy


def test_a_hidden_sheet_can_be_named_and_one_sheet_alone_is_no_part(tmp_path):
    rows = [["text", "label"], ["one", "a"]]
    path = book(tmp_path / "d.xlsx", ("Empty", []), ("Old", rows), hidden=["Old"])
    assert rows_of(read_source(path, ReadOptions(sheet="Old"))) == [(2, "one", "a")]
    path = book(tmp_path / "e.xlsx", ("Only", rows))
    assert read_source(path).records[0].provenance.part == ""


def test_the_header_is_found_under_a_title_or_named(tmp_path):
    rows = [["Report of May"], None, [None, None, "draft"], ["text", "label", "note"], ["one", "a"], ["two", "b", "x"]]
    rows += [[f"text {i}", "a", "y"] for i in range(4)]
    path = book(tmp_path / "d.xlsx", ("S", rows))
    source = read_source(path)
    assert source.columns == ("text", "label", "note")
    assert rows_of(source)[0] == (5, "one", "a", "")
    assert source.notes == ("the header is row 4; left out above it: 'Report of May', 'draft'",)
    named = read_source(path, ReadOptions(header=6))
    assert (named.columns, len(named.records)) == (("two", "b", "x"), 4)
    assert "row 2 of the sheet 'S' is empty" in fails(path, ReadOptions(header=2)).what


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


@pytest.mark.parametrize("quote", [b'"', b"'"])
def test_a_row_far_away_is_seen_whatever_its_quotes(tmp_path, quote):
    path = book(tmp_path / "d.xlsx", ("S", [["a", "b"], ["1", "2"]]))
    far = b"<row r=Q9999999Q><c r=QZ9999999Q t=QnQ><v>1</v></c></row>".replace(b"Q", quote)
    error = fails(edited(path, (b"</sheetData>", far + b"</sheetData>")))
    assert error.what.startswith("a sheet reaches to row 9,999,999")


def test_text_that_looks_like_a_place_is_none(tmp_path):
    rows = [["text", "label"], ['set r="XFD1048576" here', "a"]]
    assert len(read_source(book(tmp_path / "d.xlsx", ("S", rows))).records) == 1


def packed(path, name, content, times):
    """A workbook with a part that is `content` that many times."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file, file.open(name, "w", force_zip64=True) as part:
        for _ in range(times):
            part.write(content)
    return path


def test_a_zip_bomb_is_told_and_not_unpacked(tmp_path, monkeypatch):
    rows = [["text", "label"], ["one", "a"]]
    path = packed(book(tmp_path / "d.xlsx", ("S", rows)), "xl/media/image1.png", bytes(2**20), 20)
    error = fails(path)
    assert error.what.startswith("the file is a zip bomb: its part 'xl/media/image1.png' unpacks from ")
    path = book(tmp_path / "e.xlsx", ("S", rows))
    monkeypatch.setattr("inhouse.sources.bounds.MAX_WHOLE_BYTES", 5_000)
    assert "at most 5,000 bytes in" in fails(path).what
    with zipfile.ZipFile(tmp_path / "f.ods", "w") as file:
        file.writestr("content.xml", b" " * 5_001)
    assert "unpacks to 5,001 bytes in 1 parts" in fails(tmp_path / "f.ods").what


def test_a_part_that_lies_about_its_size_is_damaged(tmp_path):
    path = packed(
        book(tmp_path / "d.xlsx", ("S", [["a", "b"], ["1", "2"]])), "xl/big.xml", b"<a>" + b"x" * 999 + b"</a>", 1
    )
    data = path.read_bytes().replace((1006).to_bytes(4, "little"), (16).to_bytes(4, "little"))
    path.write_bytes(data)
    assert "cannot be read" in fails(path).what


def test_cells_repeated_without_end_in_an_open_document(tmp_path):
    cell = ' table:number-columns-repeated="16384"'
    error = fails(open_document(tmp_path / "d.ods", cell, ' table:number-rows-repeated="1048576"'))
    assert error.what.startswith("a sheet reaches to row 2,097,152 and column AVLH")


def test_a_cell_beyond_all_measure_costs_its_row(tmp_path, monkeypatch):
    monkeypatch.setattr("inhouse.sources.excel_file.EXCEL_CHARS", 100)
    rows = [["text", "label"], *([f"row {i}", "a"] for i in range(4)), ["x" * 101, "b"]]
    source = read_source(book(tmp_path / "d.xlsx", ("S", rows)))
    assert (len(source.records), source.rejections[0].provenance.line) == (4, 6)
    assert "a cell of more than 100 characters" in source.rejections[0].reason
    assert source.notes == ()


def test_a_text_that_fills_its_cell_is_told_as_it_was_cut(tmp_path):
    rows = [["text", "label"], ["x" * 32_767, "a"], *([f"row {i}", "a"] for i in range(4))]
    source = read_source(book(tmp_path / "d.xlsx", ("S", rows)))
    assert (len(source.records), source.rejections) == (5, [])
    (told,) = source.notes
    assert told.startswith("1 row with a text of 32,767 characters")
    assert "the first is row 2): what came behind is lost" in told


def test_an_open_document_may_have_longer_cells(tmp_path):
    source = read_source(open_document(tmp_path / "d.ods", text="y" * 40_000))
    assert rows_of(source) == [(2, "y" * 40_000, "a")]


@pytest.fixture
def sheet(tmp_path):
    """A sheet to write to, whose rows begin with the header `group, text, label` in C2; it is read by calling `done`."""
    workbook = xlsxwriter.Workbook(str(tmp_path / "d.xlsx"))
    sheet = workbook.add_worksheet("Now")
    sheet.write_row("C2", ["group", "text", "label"])
    sheet.book, sheet.path = workbook, tmp_path / "d.xlsx"
    sheet.done = lambda: (workbook.close(), read_source(sheet.path))[1]
    return sheet


def test_a_value_merged_over_rows_counts_in_each_of_them(sheet):
    for line in range(3, 9):
        sheet.write_row(f"D{line}", [f"text {line}", "ab"[line % 2]])
    sheet.merge_range("C3:C5", "Bolt & Co")
    sheet.merge_range("C7:C12", 12)
    sheet.merge_range("D7:D8", "same text")
    sheet.merge_range("E4:E5", "c")
    source = sheet.done()
    assert rows_of(source) == [
        (3, "Bolt & Co", "text 3", "b"),
        (4, "Bolt & Co", "text 4", "c"),
        (5, "Bolt & Co", "text 5", "c"),
        (6, "", "text 6", "a"),
        (7, "12", "same text", "b"),
        (8, "12", "same text", "a"),
    ]
    assert source.notes == ("merged cells count in each of their rows: C3:C5, C7:C12, D7:D8 and 1 more",)


def test_a_header_of_several_rows_stays_as_it_is(sheet):
    for column, name in zip("CDE", ("group", "text", "label"), strict=True):
        sheet.merge_range(f"{column}2:{column}3", name)
    sheet.write_row("C4", ["g", "one", "a"])
    sheet.merge_range("D5:D6", "")
    source = sheet.done()
    assert rows_of(source) == [(4, "g", "one", "a")]
    assert source.notes == ()


def test_a_value_merged_over_columns_is_no_value_of_any_of_them(sheet):
    sheet.merge_range("C3:E3", "Region North")
    for line in (4, 5, 6, 7):
        sheet.write_row(f"C{line}", ["g", f"text {line}", "a"])
    sheet.merge_range("C7:D8", "both")
    sheet.write("E8", "b")
    sheet.merge_range("E4:G4", "a")  # nothing else is in F and G
    source = sheet.done()
    assert rows_of(source) == [(4, "g", "text 4", "a"), (5, "g", "text 5", "a"), (6, "g", "text 6", "a")]
    assert [(r.provenance.line, r.row) for r in source.rejections] == [
        (3, "Region North,,"), (7, "both,text 7,a"), (8, "both,,b"),
    ]  # fmt: skip
    assert source.rejections[0].reason == (
        "the cells C3:E3 of the sheet 'Now' are merged over several columns; split them, and put the value where it belongs"
    )


def without_results(sheet, write):
    """Rows of texts, and a formula in D4 that `write` writes."""
    for line in range(3, 9):
        sheet.write_row(f"C{line}", ["g", f"text {line}", "a"])
    write()
    sheet.book.close()
    return sheet.path


@pytest.mark.parametrize("cell", [b"<f>D3</f>", b"<f>D3</f><v/>", b"<f>D3</f><v></v>"])
def test_a_formula_whose_result_was_never_stored_is_told(sheet, cell):
    path = without_results(sheet, lambda: sheet.write_formula("D4", "=D3", None, 17))
    assert rows_of(read_source(path))[1] == (4, "g", "17", "a")
    source = read_source(edited(path, (b"<f>D3</f><v>17</v>", cell)))
    assert [line for line, *_ in rows_of(source)] == [3, 5, 6, 7, 8]
    [rejection] = source.rejections
    assert (rejection.provenance.file, rejection.provenance.line) == ("d.xlsx", 4)
    assert rejection.row == "g,,a"
    assert rejection.reason == (
        "the cell D4 of the sheet 'Now' is a formula whose result the file does not hold; open the workbook in Excel or "
        "LibreOffice and save it"
    )


def test_a_program_that_stores_nought_and_asks_for_a_computation_holds_no_result(sheet):
    source = read_source(without_results(sheet, lambda: sheet.write_formula("D4", "=D3")))
    assert [r.provenance.line for r in source.rejections] == [4]


def test_an_empty_text_is_a_result(sheet):
    path = without_results(sheet, lambda: sheet.write_formula("D4", '=IF(C4="g","","x")', None, "x"))
    source = read_source(edited(path, (b"<v>x</v>", b"<v></v>"), (b' fullCalcOnLoad="1"', b"")))
    assert rows_of(source)[1] == (4, "g", "", "a")
    assert source.rejections == []


def test_rows_under_a_merged_formula_without_a_result_are_rejected_too(sheet):
    path = without_results(sheet, lambda: sheet.merge_range("C4:C5", "") or sheet.write_formula("C4", "=D3"))
    source = read_source(edited(path, (b"<f>D3</f><v>0</v>", b"<f>D3</f>")))
    assert [r.provenance.line for r in source.rejections] == [4, 5]


def test_a_table_of_formulas_without_results_is_no_empty_table(sheet):
    sheet.write_formula("D2", "=A1")
    assert "the cell D2 of the sheet 'Now' is a formula" in fails(without_results(sheet, lambda: None)).what
    workbook = xlsxwriter.Workbook(str(sheet.path))
    for i in range(20):
        workbook.add_worksheet("Now") if not i else None
        workbook.worksheets()[0].write_formula(i, 0, "=B1")
    workbook.close()
    error = fails(edited(sheet.path, (b"<v>0</v>", b"")))
    assert error.what == "the cell A1 of the sheet 'Now' is a formula whose result the file does not hold"
    assert error.line == 1


@pytest.mark.parametrize(
    ("number_format", "number", "shown"),
    [
        ("00000", 1067, "01067"),
        ("00000", 123456, "123456"),
        ("00000;-00000", 0, "00000"),
        ("[$-407]000", 7, "007"),
        ("000-00-0000", 12345678, "012-34-5678"),
        ('"DE-"0000\\/00', 4711, "DE-0047/11"),
        ("00 00", 12345, "123 45"),
        ("00000", 12.5, "12.5"),
        ("00000", -7, "-7"),
        ("0", 7, "7"),
        ("0.00", 7, "7"),
        ("#,##0", 7000, "7000"),
        ("00000", "7", "7"),
    ],
)
def test_zeros_of_a_number_format_are_kept(sheet, number_format, number, shown):
    sheet.write("C3", "g")
    sheet.write("D3", number, sheet.book.add_format({"num_format": number_format}))
    assert rows_of(sheet.done()) == [(3, "g", shown, "")]


def test_places_that_are_not_written_are_counted(sheet):
    path = without_results(
        sheet,
        lambda: sheet.write("D4", 7, sheet.book.add_format({"num_format": "000"})) or sheet.merge_range("C5:C6", "m"),
    )
    changes = [(f' r="{c}{n}"'.encode(), b"") for n in (2, 3, 4, 5, 6) for c in "DE" if (c, n) != ("D", 2)]
    source = read_source(
        edited(path, *changes, (b'<row r="4" spans="3:5">', b"<row>"), (b"<mergeCell ", b"<mergeCell\n"))
    )
    assert rows_of(source)[1:4] == [(4, "g", "007", "a"), (5, "m", "text 5", "a"), (6, "m", "text 6", "a")]


def test_the_marks_are_those_of_the_sheet_that_is_read(tmp_path):
    rows = [["text", "label"], *([f"message {i}", "a"] for i in range(5))]
    path = book(tmp_path / "d.xlsx", ("Empty", []), ("Now & then", rows))
    merged = b"<mergeCells><mergeCell ref='B2:B3'/></mergeCells>"
    edited(path, (b"<sheetData/>", b"<sheetData/>" + merged))
    assert read_source(path).notes == ()
    edited(path, (b"</sheetData>", b"</sheetData>" + merged))
    assert read_source(path).notes == ("merged cells count in each of their rows: B2:B3",)


@pytest.mark.parametrize("tag", [b"</row>", b"</sheetData>", b"</worksheet>"])
def test_xml_that_is_not_closed(tmp_path, tag):
    with zipfile.ZipFile(book(tmp_path / "good.xlsx", ("S", [["a"], ["b"]]))) as good:
        parts = {name: good.read(name) for name in good.namelist()}
    with zipfile.ZipFile(tmp_path / "d.xlsx", "w") as bad:
        for name, content in parts.items():
            bad.writestr(name, content.replace(tag, b""))
    assert "cannot be read" in fails(tmp_path / "d.xlsx").what


def test_xml_with_a_prefix_that_nothing_names(tmp_path):
    path = edited(book(tmp_path / "d.xlsx", ("S", [["a"], ["b"]])), (b"<sheetData>", b"<x:cols/><sheetData>"))
    assert "unbound prefix" in fails(path).what


def test_open_document_spreadsheets(tmp_path):
    [record] = read_source(open_document(tmp_path / "d.ods")).records
    assert dict(record.values) == {"text": "één", "label": "a"}
    assert record.provenance.line == 2


def test_merged_rows_of_open_document_spreadsheets_are_refused(tmp_path):
    read_source(open_document(tmp_path / "d.ods", ' table:number-columns-spanned="2" table:number-rows-spanned="1"'))
    error = fails(open_document(tmp_path / "d.ods", ' table:number-rows-spanned="2"'))
    assert error.what.startswith("the sheet 'S' has cells merged over rows")
    assert "save it as .xlsx" in error.remedy


def open_document(path, attributes="", of_rows="", text="één"):
    def cell(value):
        return f'<table:table-cell office:value-type="string"{attributes}><text:p>{value}</text:p></table:table-cell>'

    rows = [
        f"<table:table-row{of_rows}>{cell(a)}{cell(b)}</table:table-row>" for a, b in (("text", "label"), (text, "a"))
    ]
    space = "urn:oasis:names:tc:opendocument:xmlns:{0}:1.0"
    cells = "".join(rows)
    names = " ".join(f'xmlns:{n}="{space.format(n)}"' for n in ("office", "table", "text"))
    content = (
        f'<?xml version="1.0"?><office:document-content {names}><office:body><office:spreadsheet>'
        f'<table:table table:name="S">{cells}</table:table></office:spreadsheet></office:body></office:document-content>'
    )
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        file.writestr("META-INF/manifest.xml", _MANIFEST)
        file.writestr("content.xml", content)
    return path
