"""A CV as a Word document whose bytes do not change."""

import io
import zipfile
from datetime import datetime

from docx import Document
from docx.document import Document as WordDocument
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.oxml.ns import qn
from layouts import Blocks

STYLES = {"name": "Title", "heading": "Heading 1", "line": "Normal", "bullet": "List Bullet"}
# As python-docx's template names them; the styles above refer to the others.
KEPT_STYLES = {
    "title",
    "title char",
    "heading 1",
    "heading 1 char",
    "normal",
    "list bullet",
    "table grid",
    "normal table",
    "default paragraph font",
    "no list",
}
# Parts of python-docx's template that these documents do without: they would be most of each file.
UNUSED = {
    RELATIONSHIP_TYPE.THEME,
    RELATIONSHIP_TYPE.THUMBNAIL,
    RELATIONSHIP_TYPE.WEB_SETTINGS,
    RELATIONSHIP_TYPE.FONT_TABLE,
    RELATIONSHIP_TYPE.CUSTOM_XML,
    "http://schemas.microsoft.com/office/2007/relationships/stylesWithEffects",
}
WRITTEN = datetime(2026, 2, 2, 9, 0)
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def docx_bytes(blocks: Blocks, title: str) -> bytes:
    """The blocks as paragraphs; rows that follow each other are one table.

    Times are fixed, and nothing is compressed: the bytes would depend on the machine's zlib.
    """
    document = Document()
    _drop_unused(document)
    _set_properties(document, title)
    table = None
    for block in blocks:
        if block.kind != "row":
            table = None
            document.add_paragraph(block.text, style=STYLES[block.kind])
            continue
        if table is None:
            table = document.add_table(rows=0, cols=len(block.cells), style="Table Grid")
        for cell, words in zip(table.add_row().cells, block.cells, strict=True):
            cell.text = words
    out = io.BytesIO()
    document.save(out)
    return _plain_zip(out.getvalue())


def _drop_unused(document: WordDocument) -> None:
    package = document.part.package
    for owner in (package, document.part):
        for key, relation in list(owner.rels.items()):
            if relation.reltype in UNUSED:
                del owner.rels[key]
    styles = document.styles.element
    for style in styles.findall(qn("w:style")):
        if style.find(qn("w:name")).get(qn("w:val")).lower() not in KEPT_STYLES:
            styles.remove(style)
    for latent in styles.findall(qn("w:latentStyles")):
        styles.remove(latent)


def _set_properties(document: WordDocument, title: str) -> None:
    properties = document.core_properties
    properties.author = properties.last_modified_by = "examples/cv/generate.py"
    properties.title, properties.comments, properties.revision = title, "", 1
    properties.created = properties.modified = WRITTEN


def _plain_zip(data: bytes) -> bytes:
    """The same archive without compression and with one fixed time, as if written on Unix."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as target:
        for entry in source.namelist():
            info = zipfile.ZipInfo(entry, ZIP_EPOCH)
            info.create_system = 3
            target.writestr(info, source.read(entry))
    return out.getvalue()
