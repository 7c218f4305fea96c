"""Good documents to be broken, and what must hold of whatever is read of a broken one."""

from __future__ import annotations

import io
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import docx
from reportlab.lib import colors
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Table, TableStyle

from inhouse.sources.documents.reading import read_parts

NORMAL = getSampleStyleSheet()["Normal"]
CELLS = [["Pos", "Item", "Amount"], ["1", "Pens", "7.50"], ["2", "Größe 4", "1.00"]]


def pdf_seeds() -> list[bytes]:
    """Prose, a table and a second page; the streams as they are, so that a change reaches what they say, and packed."""
    seeds = []
    for packed in (0, 1):
        data = io.BytesIO()
        table = Table(CELLS, style=TableStyle([("GRID", (0, 0), (-1, -1), 0.5, colors.black)]))
        story = [Paragraph("Invoice of today " * 9, NORMAL), table, PageBreak(), Paragraph("The end", NORMAL)]
        SimpleDocTemplate(data, pageCompression=packed, invariant=1).build(story)
        seeds.append(data.getvalue())
    return seeds


def docx_seeds() -> list[bytes]:
    """A header, text, a table in a table, a footer."""
    document, data = docx.Document(), io.BytesIO()
    document.sections[0].header.paragraphs[0].text = "House of Anna"
    document.sections[0].footer.paragraphs[0].text = "the foot"
    document.add_paragraph("Prices\tof today")
    table = document.add_table(3, 3)
    for row, cells in zip(table.rows, CELLS, strict=True):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text
    table.cell(1, 1).add_table(1, 1).cell(0, 0).text = "inner"
    document.save(data)
    return [data.getvalue()]


HTML = (
    '<!doctype html><html><head><meta charset="{0}"><title>t</title><style>p {{color: red}}</style></head><body>'
    "<h1>Größe</h1><p>One<br>two &amp; three<script>x()</script></p><table><tr><th>Pos</th><th>Item</th></tr>"
    '<tr><td colspan="2">Pens</td></tr></table><ul><li>a<li>b</ul><div style="display:none">no</div></body></html>'
)


def html_seeds() -> list[bytes]:
    """A page in several encodings."""
    return [HTML.format(name).encode(name) for name in ("utf-8", "cp1252", "utf-16")]


def txt_seeds() -> list[bytes]:
    """Lines in several encodings."""
    return ["Grüße aus Köln,\r\n10 € für Öl\n".encode(name) for name in ("utf-8", "utf-8-sig", "utf-16", "cp1252")]


def mail(subject: str) -> EmailMessage:
    """A mail with another form of its text, an attachment of each kind, and a mail in it."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Anna Köhler <anna@example.com>", "shop@example.com", subject
    message["Date"], message["Message-ID"] = "Mon, 02 Nov 2026 10:00:00 +0100", f"<{subject}@example.com>"
    message.set_content("Please send pens für 10 €.")
    message.add_alternative(HTML.format("utf-8"), subtype="html")
    message.add_attachment(txt_seeds()[3], maintype="text", subtype="plain", filename="note.txt")
    message.add_attachment(docx_seeds()[0], maintype="application", subtype="octet-stream", filename="../order.docx")
    inner = EmailMessage()
    inner["Subject"] = "Inner"
    inner.set_content("the inner text")
    message.add_attachment(inner)
    return message


def eml_seeds() -> list[bytes]:
    """A mail of many parts, and a plain one."""
    plain = EmailMessage()
    plain["From"], plain["Subject"] = "a@example.com", "=?iso-8859-1?q?Gr=FC=DFe?="
    plain.set_content("Hello\n", cte="quoted-printable")
    return [mail("order").as_bytes(), plain.as_bytes()]


def mbox_seeds() -> list[bytes]:
    """A mailbox of three messages."""
    return [b"".join(b"From x@y Mon Nov  2 10:00:00 2026\n" + data + b"\n" for data in (*eml_seeds(), eml_seeds()[1]))]


DOCUMENTS: dict[str, Callable[[], list[bytes]]] = {
    "pdf": pdf_seeds,
    "docx": docx_seeds,
    "html": html_seeds,
    "txt": txt_seeds,
    "eml": eml_seeds,
    "mbox": mbox_seeds,
}


def check_document(path: Path) -> bool:
    """Read a document; raises for a part that is neither text nor fault, and for a fault that its reader does not know.

    Returns whether all of it was read.
    """
    parts = list(read_parts(path))
    for part in parts:
        assert bool(part.text) != bool(part.fault)
        assert "its reader does not know" not in part.fault, part.fault
        part.text.encode()
    return bool(parts) and not any(part.fault for part in parts)
