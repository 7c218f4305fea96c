"""The text of each kind of document: in reading order, tables row by row, nothing hidden and nothing fetched."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from email.message import EmailMessage

import docx
import pytest
from docx.oxml import parse_xml
from hypothesis import given
from hypothesis import strategies as st
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate, Paragraph, SimpleDocTemplate, Table, TableStyle

from inhouse.sources.bounds import Unreadable
from inhouse.sources.documents import mail as mail_reader
from inhouse.sources.documents.html import read_html
from inhouse.sources.documents.layout import Word, page_text
from inhouse.sources.documents.reading import ENDINGS, read_parts
from inhouse.sources.documents.word import read_word
from inhouse.sources.encodings import read_plain

NORMAL = getSampleStyleSheet()["Normal"]
PROSE = "the quick brown fox jumps over the lazy dog and rests under the old tree near the river bank "
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'

# Tesseract may be absent from a developer's machine, never from the one that checks.
needs_tesseract = pytest.mark.skipif(
    shutil.which("tesseract") is None and not os.environ.get("CI"), reason="Tesseract is not installed"
)


def text_of(path):
    [part] = read_parts(path)
    assert part.fault == ""
    return part.text


def fault_of(path):
    [part] = read_parts(path)
    assert part.text == ""
    return part.fault


def two_columns(path):
    document = BaseDocTemplate(str(path), pagesize=A4)
    width = document.width / 2 - 6
    frames = [
        Frame(document.leftMargin + i * (width + 12), document.bottomMargin, width, 300, id=str(i)) for i in (0, 1)
    ]

    def title(canvas, _):
        canvas.drawCentredString(300, 780, "A title over both of the columns of this page")

    document.addPageTemplates([PageTemplate(id="both", frames=frames, onPage=title)])
    document.build([Paragraph(f"Number {i} begins: {PROSE * 2}", NORMAL) for i in range(8)])


def table(path, *style):
    rows = [["Pos", "Description", "Qty", "Amount"]]
    for i in range(1, 6):
        rows.append([str(i), Paragraph(f"Item {i} {PROSE if i % 2 else 'short'}", NORMAL), str(3 * i), f"{7 * i}.50"])
    drawn = Table(rows, colWidths=[40, 200, 50, 70], style=TableStyle(style))
    SimpleDocTemplate(str(path)).build([Paragraph("Before it", NORMAL), drawn, Paragraph("After it", NORMAL)])


def test_columns_are_read_one_after_the_other(tmp_path):
    two_columns(tmp_path / "a.pdf")
    text = text_of(tmp_path / "a.pdf")
    assert text.startswith("A title over both of the columns of this page\n")
    assert " | " not in text
    words = text.split("\n", 1)[1].replace("\f", "").split()
    assert words == " ".join(f"Number {i} begins: {PROSE * 2}" for i in range(8)).split()


@pytest.mark.parametrize("middle", ["TOP", "MIDDLE"])
@pytest.mark.parametrize("grid", [True, False])
def test_tables_are_read_row_by_row_though_cells_have_several_lines(tmp_path, middle, grid):
    style = [("VALIGN", (0, 0), (-1, -1), middle)]
    table(tmp_path / "a.pdf", *style, *([("GRID", (0, 0), (-1, -1), 0.5, colors.black)] if grid else []))
    lines = [line for line in text_of(tmp_path / "a.pdf").splitlines() if line]
    assert lines[:2] == ["Before it", "Pos | Description | Qty | Amount"]
    assert lines[2] == f"1 | Item 1 {PROSE}| 3 | 7.50"
    assert lines[3] == "2 | Item 2 short | 6 | 14.50"
    assert [line.split(" | ")[0] for line in lines[2:7]] == list("12345")
    assert lines[7:] == ["After it"]


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_page_that_is_turned_reads_as_it_is_shown(tmp_path, turn):
    canvas = Canvas(str(tmp_path / "a.pdf"), pagesize=(400, 400))
    canvas.setPageRotation(turn)
    canvas.translate(200, 200)
    canvas.rotate(turn)
    canvas.translate(-200, -200)
    for i, words in enumerate(["Invoice 4711", "Pens", "Paper"]):
        canvas.drawString(50, 350 - 20 * i, words)
        canvas.drawString(250, 350 - 20 * i, f"{i}.00")
    canvas.save()
    assert text_of(tmp_path / "a.pdf") == "Invoice 4711 | 0.00\nPens | 1.00\nPaper | 2.00"


def test_a_pdf_of_too_many_characters_or_with_garbage_is_told(tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7\n" + os.urandom(5000))
    assert "is no PDF that can be read" in fault_of(tmp_path / "a.pdf")


words = st.builds(
    lambda text, left, top, width, height: Word(text, left, top, left + width, top + height),
    st.text("abc", min_size=1, max_size=5),
    *[st.floats(0, 500)] * 2,
    *[st.floats(0, 60)] * 2,
)


@given(st.lists(words, max_size=40))
def test_no_word_is_lost_or_told_twice_wherever_it_stands(found):
    text = page_text(found).replace(" | ", "").replace(" ", "").replace("\n", "")
    assert sorted(text) == sorted("".join(w.text for w in found))


def word_document(path):
    document = docx.Document()
    document.sections[0].header.paragraphs[0].text = "House of Anna"
    document.sections[0].footer.paragraphs[0].text = "IBAN at the foot"
    paragraph = document.add_paragraph("Price ")
    for change, tag, text in (("del", "delText", "10"), ("ins", "t", "12")):
        paragraph._p.append(
            parse_xml(f'<w:{change} {W} w:id="1" w:author="a"><w:r><w:{tag}>{text}</w:{tag}></w:r></w:{change}>')
        )
    box = (
        f'<w:r {W} xmlns:v="urn:schemas-microsoft-com:vml"><w:pict><v:textbox><w:txbxContent><w:p><w:r>'
        "<w:t>in a box</w:t></w:r></w:p></w:txbxContent></v:textbox></w:pict></w:r>"
    )
    document.add_paragraph("Beside ")._p.append(parse_xml(box))
    cells = document.add_table(2, 2)
    for i, cell in enumerate(cell for row in cells.rows for cell in row.cells):
        cell.text = f"cell {i}"
    cells.rows[1].cells[0].add_paragraph("second line")
    cells.rows[1].cells[1].add_table(1, 1).rows[0].cells[0].text = "inner"
    document.add_paragraph("The\tend")
    document.save(str(path))


def test_word_headers_text_boxes_tables_and_tracked_changes(tmp_path):
    word_document(tmp_path / "a.docx")
    assert text_of(tmp_path / "a.docx").splitlines() == [
        "House of Anna",
        "Price 12",
        "Beside ",
        "in a box",
        "cell 0 | cell 1",
        "cell 2 second line | cell 3 inner",
        "The\tend",
        "IBAN at the foot",
    ]


def test_a_zip_bomb_costs_nothing_and_is_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.docx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b" " * 2**26)
    assert "is a zip bomb: its part 'word/document.xml' unpacks from" in fault_of(tmp_path / "bomb.docx")


def test_entities_of_a_word_document_are_not_resolved(tmp_path):
    (tmp_path / "secret").write_text("secret")
    word_document(tmp_path / "a.docx")
    with zipfile.ZipFile(tmp_path / "a.docx") as archive, zipfile.ZipFile(tmp_path / "b.docx", "w") as other:
        for name in archive.namelist():
            data = archive.read(name)
            if name == "word/document.xml":
                entity = f'<!DOCTYPE d [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>'.encode()
                data = data.replace(b"<w:document", entity + b"<w:document", 1).replace(b"Beside", b"Beside &x;", 1)
            other.writestr(name, data)
    [part] = read_parts(tmp_path / "b.docx")
    assert "secret" not in part.text


@given(st.binary(max_size=300))
def test_bytes_that_are_no_word_document_are_refused(data):
    with pytest.raises(Unreadable):
        read_word(data)


HTML = """<html><head><title>t</title><style>p {color: red}</style><script>alert(1)</script></head><body>
<nav>Home | Contact</nav><h1>Invoice</h1><p>Caf&eacute; &amp; Co<br>second   line</p><div style="display:none">trap</div>
<table><tr><th>Article</th><th>Price</th></tr><tr><td>Pens<br>blue</td><td>3&nbsp;&euro;</td></tr></table>
<ul><li>one</li><li>two</li></ul><img src="http://nowhere.invalid/x.png"><p hidden>gone</p><p>End</p></body></html>"""


def test_html_as_it_is_seen():
    assert read_html(HTML.encode()) == (
        "Invoice\n\nCafé & Co\nsecond line\n\nArticle | Price\nPens blue | 3\xa0€\n\n- one\n- two\n\nEnd"
    )


def test_html_tables_that_only_place_things_are_no_rows():
    inner = "<table><tr><td>a</td><td>1</td></tr></table>"
    page = f"<table><tr><td><p>Dear Anna</p>{inner}</td><td>aside</td></tr></table>"
    assert read_html(page.encode()).split("\n") == ["Dear Anna", "", "a | 1", "", "aside"]


def test_html_in_the_encoding_that_it_names():
    page = '<meta charset="windows-1250"><p>Łódź</p>'
    assert read_html(page.encode("cp1250")) == "Łódź"
    assert read_html("<p>Łódź</p>".encode("utf-16")) == "Łódź"
    assert read_html("<p>Łódź</p>".encode("cp1250"), "cp1250") == "Łódź"


def test_html_nested_deeper_than_any_page_is_told_not_cut():
    assert read_html(b"<div>" * 1500 + b"x") == "x"
    with pytest.raises(Unreadable, match="nested too deeply"):
        read_html(b"<div>" * 5000 + b"x")


@given(st.text())
def test_any_html_is_read(text):
    read_html(text.encode("utf-8", "surrogatepass"))


POLISH = "Zażółć gęślą jaźń. W sobotę pojechaliśmy do Łodzi, żeby zobaczyć nową wystawę w muzeum włókiennictwa. " * 4


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("café à la crème", "cp1252"),
        ("10 € für Öl", "cp1252"),
        (POLISH, "cp1250"),
        ("Grüße", "utf-16"),
        ("Grüße aus Köln", "utf-16-le"),
        ("Grüße", "utf-8-sig"),
        ("Grüße", "utf-32"),
    ],
)
def test_plain_text_of_any_encoding(text, encoding):
    assert read_plain(text.encode(encoding)) == text


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(Unreadable, match="no text: 22 of its first 256 characters"):
        read_plain(bytes(range(256)))
    with pytest.raises(Unreadable, match="a NUL byte: it is no text"):
        read_plain(b"a\0b")


def picture(words):
    """A picture of these words, drawn by the reader of PDF."""
    import pypdfium2

    canvas = Canvas(buffer := io.BytesIO(), pagesize=(500, 300))
    canvas.setFont("Helvetica", 18)
    for i, line in enumerate(words):
        for j, cell in enumerate(line):
            canvas.drawString(40 + 280 * j, 240 - 40 * i, cell)
    canvas.save()
    with pypdfium2.PdfDocument(buffer.getvalue()) as document:
        return document[0].render(scale=3).to_pil()


ROWS = [["Rechnung 4711", "Datum"], ["Bleistifte", "12,50"], ["Papier", "7,00"], ["Summe", "19,50"]]


@pytest.fixture
def scan(tmp_path):
    image = picture(ROWS)
    image.save(tmp_path / "a.png")
    canvas = Canvas(str(tmp_path / "scan.pdf"), pagesize=(500, 300))
    canvas.drawImage(str(tmp_path / "a.png"), 0, 0, 500, 300)
    canvas.showPage()
    canvas.drawString(50, 200, "A page with text of its own")
    canvas.save()
    return tmp_path


@needs_tesseract
def test_pictures_and_scanned_pages_are_recognised_row_by_row(scan):
    expected = "\n".join(" | ".join(row) for row in ROWS)
    assert text_of(scan / "a.png").replace("\n\n", "\n") == expected
    first, second = text_of(scan / "scan.pdf").split("\f")
    assert first.strip().replace("\n\n", "\n") == expected
    assert second == "A page with text of its own"


def test_without_tesseract_the_message_says_what_to_install(scan, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert "apt install tesseract-ocr" in fault_of(scan / "a.png")
    text = text_of(scan / "scan.pdf")  # what can be read is read, and what cannot is told in its place
    assert text.startswith("[page 1 is a scan or picture")
    assert text.endswith("A page with text of its own")


@needs_tesseract
def test_what_is_no_picture_is_told(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no picture at all")
    assert "is no picture that Tesseract can read" in fault_of(tmp_path / "a.jpg")


def test_files_beyond_the_bounds_are_told_before_they_are_read(tmp_path):
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(101 * 2**20)
    with (tmp_path / "a.txt").open("wb") as file:
        file.truncate(201 * 2**20)
    assert "has 101 MiB; at most 100" in fault_of(tmp_path / "a.png")
    assert "has 201 MiB; at most 200" in fault_of(tmp_path / "a.txt")


def mail(subject="Order", **parts):
    message = EmailMessage()
    message["From"], message["To"] = "Anna Köhler <anna@example.com>", "shop@example.com"
    message["Date"], message["Subject"] = "Mon, 02 Nov 2026 10:00:00 +0100", subject
    message["Message-ID"] = f"<{abs(hash(subject))}@example.com>"
    message.set_content(parts.get("text", "Please send pens."))
    if "html" in parts:
        message.add_alternative(parts["html"], subtype="html")
    return message


def test_a_mail_with_its_head_text_and_attachments(tmp_path):
    word_document(tmp_path / "order.docx")
    message = mail("Bestellung für Grün", html="<p>Please send <b>HTML</b></p>")
    message.add_attachment(
        (tmp_path / "order.docx").read_bytes(), maintype="application", subtype="octet-stream", filename="../order.docx"
    )
    message.add_attachment(b"PK", maintype="application", subtype="zip", filename="more.zip")
    message.add_attachment(mail("Inner", text="the inner text"))
    (tmp_path / "a.eml").write_bytes(message.as_bytes())
    text = text_of(tmp_path / "a.eml")
    assert text.startswith(
        "From: Anna Köhler <anna@example.com>\nTo: shop@example.com\nDate: Mon, 02 Nov 2026 10:00:00 +0100\n"
        "Subject: Bestellung für Grün\n\nPlease send pens."
    )
    assert "HTML" not in text
    assert "Attachment order.docx:\nHouse of Anna\nPrice 12" in text
    assert "Attachment more.zip:\n[not read: it ends in .zip, which is not read]" in text
    assert "Attachment message:\nFrom: Anna" in text
    assert text.endswith("the inner text")


def test_a_mail_of_html_alone_is_read_as_html(tmp_path):
    message = EmailMessage()
    message["Subject"] = "Hi"
    message.set_content("<p>Gr&uuml;&szlig;e</p>", subtype="html")
    (tmp_path / "a.eml").write_bytes(message.as_bytes())
    assert text_of(tmp_path / "a.eml") == "Subject: Hi\n\nGrüße"


def test_headers_that_no_mail_should_have_do_not_cost_the_mail(tmp_path):
    """Python's own parser fails on some of them; found by mutating mails."""
    (tmp_path / "a.eml").write_bytes(b"From: a:;b@\nTo: <<@>,:;@;\nDate: never\nSubject: =?utf-8?q?=zz?=\n\nhello")
    assert text_of(tmp_path / "a.eml").endswith("hello")


def test_mails_in_mails_end_somewhere(tmp_path):
    message = mail("deepest")
    for i in range(12):
        outer = mail(f"level {i}")
        outer.add_attachment(message)
        message = outer
    (tmp_path / "a.eml").write_bytes(message.as_bytes())
    text = text_of(tmp_path / "a.eml")
    assert "is a mail inside more than four others" in text
    assert "deepest" not in text


def test_a_mailbox_is_a_part_for_each_message(tmp_path):
    box = b"".join(b"From x@y Mon Nov  2 10:00:00 2026\n" + mail(s).as_bytes() + b"\n" for s in ("one", "two", "two"))
    (tmp_path / "a.mbox").write_bytes(box)
    parts = list(read_parts(tmp_path / "a.mbox"))
    assert [p.text.split("Subject: ")[1][:3] for p in parts] == ["one", "two", "two"]
    assert len({p.name for p in parts}) == 3
    assert parts[0].name.endswith("@example.com")
    (tmp_path / "b.mbox").write_bytes(b"no mail")
    assert "is no mailbox" in fault_of(tmp_path / "b.mbox")


@given(
    st.sampled_from([e for e in ENDINGS if e not in (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")]),
    st.binary(max_size=400),
)
def test_any_bytes_are_a_text_or_a_fault(tmp_path_factory, ending, data):
    path = tmp_path_factory.mktemp("any") / f"a{ending}"
    path.write_bytes(data)
    for part in read_parts(path):
        assert bool(part.text) != bool(part.fault)


def test_an_attachment_without_a_name_is_read_and_a_picture_in_the_html_is_not(tmp_path):
    message = mail(html='<p>Please send <img src="cid:logo">')
    message.add_attachment(b"Total: 12.50", maintype="application", subtype="octet-stream")
    message.add_attachment("the terms", subtype="plain")
    message.add_attachment(b"GIF89a", maintype="image", subtype="gif", disposition="inline")
    (tmp_path / "a.eml").write_bytes(message.as_bytes())
    text = text_of(tmp_path / "a.eml")
    assert "Attachment attachment.txt:\nthe terms" in text
    assert text.count("[not read:") == 1
    assert text.count("Attachment ") == 2


def test_a_mail_of_too_many_parts_is_refused_and_not_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(mail_reader, "_MAX_PARTS", 6)
    few, many = mail("few"), mail("many")
    for message, count in ((few, 3), (many, 9)):
        for i in range(count):
            message.add_attachment(f"part {i}", filename=f"{i}.txt")
    assert "part 2" in mail_reader.read_mail(few.as_bytes(), lambda _, data: data.decode())
    with pytest.raises(Unreadable, match="more than 6 parts"):
        mail_reader.read_mail(many.as_bytes(), lambda _, data: data.decode())
