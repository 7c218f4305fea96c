"""Word documents: the text that a reader sees, in the document's order.

The parts are read as XML (ECMA-376, WordprocessingML) and not through python-docx, which leaves out text boxes, and
with them headers and footers in place; what was inserted with changes tracked is kept, what was deleted is left out.
"""

from __future__ import annotations

import io
import posixpath
import zlib
from collections.abc import Iterator
from typing import Any
from zipfile import BadZipFile, ZipFile

from inhouse.sources.bounds import Unreadable, check_archive
from inhouse.sources.documents.layout import CELL_GAP

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_STRICT = "{http://purl.oclc.org/ooxml/wordprocessingml/main}"
_REL = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_STRICT_REL = "{http://purl.oclc.org/ooxml/officeDocument/relationships}id"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"

# Deleted text and where moved text was; properties, which hold names of fonts and no text; an older drawing of the
# same text box.
_LEFT_OUT = {"del", "moveFrom", "delText", "pPr", "rPr", "tblPr", "trPr", "tcPr", "sectPr", "instrText", "fldData"}
_BLANKS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "ptab": "\t"}

# Deeper than any table in a table that a person makes.
_MAX_DEPTH = 100

_OLD_OFFICE = b"\xd0\xcf\x11\xe0"  # Office wraps what it encrypts in its old format


def read_word(data: bytes) -> str:
    """Headers, the body's paragraphs and tables in their order, footnotes, then footers.

    A table's row is a line, its cells parted by ` | `. A header or footer that several sections share stands once.

    Raises:
        Unreadable: a password, the old format, damaged, a zip bomb.
    """
    from lxml import etree

    if data.startswith(_OLD_OFFICE):
        raise Unreadable("is protected with a password, or in the old .doc format; save a copy as .docx without one")
    try:
        with ZipFile(io.BytesIO(data)) as archive:
            check_archive(archive)
            return "\n".join(_lines(archive)).strip()
    except (BadZipFile, zlib.error, etree.XMLSyntaxError, LookupError, ValueError, RuntimeError, EOFError) as error:
        # RuntimeError: a zip with a password, or parts nested too deeply
        raise Unreadable(f"is no Word document that can be read ({str(error)[:80]})") from None


def _lines(archive: ZipFile) -> Iterator[str]:
    names = set(archive.namelist())
    main = _main_part(archive)
    body = _xml(archive, main)
    related = _relations(archive, main)
    headers, footers = _running(body, "headerReference"), _running(body, "footerReference")
    yield from _parts(archive, names, [related.get(i, "") for i in headers])
    yield from _blocks(body)
    notes = [posixpath.join(posixpath.dirname(main), f"{kind}.xml") for kind in ("footnotes", "endnotes")]
    yield from _parts(archive, names, notes)
    yield from _parts(archive, names, [related.get(i, "") for i in footers])


def _parts(archive: ZipFile, names: set[str], wanted: list[str]) -> Iterator[str]:
    told = set()
    for name in dict.fromkeys(wanted):
        if name not in names:
            continue
        lines = [line for line in _blocks(_xml(archive, name)) if line.strip()]
        if lines and tuple(lines) not in told:
            told.add(tuple(lines))
            yield from lines


def _main_part(archive: ZipFile) -> str:
    for target, kind in _relation_rows(archive, ""):
        if kind.endswith("/officeDocument"):
            return target.lstrip("/")
    raise KeyError("it names no main part")


def _relations(archive: ZipFile, part: str) -> dict[str, str]:
    folder = posixpath.dirname(part)
    return {
        row.get("Id", ""): posixpath.normpath(posixpath.join("/", folder, row.get("Target", ""))).lstrip("/")
        for row in _relation_elements(archive, part)
        if row.get("TargetMode") != "External"
    }


def _relation_rows(archive: ZipFile, part: str) -> Iterator[tuple[str, str]]:
    for row in _relation_elements(archive, part):
        yield row.get("Target", ""), row.get("Type", "")


def _relation_elements(archive: ZipFile, part: str) -> list[Any]:
    folder, name = posixpath.split(part)
    path = posixpath.join(folder, "_rels", f"{name}.rels")
    return list(_xml(archive, path)) if path in archive.namelist() else []


def _xml(archive: ZipFile, name: str) -> Any:  # noqa: ANN401 - lxml has no types
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    return etree.fromstring(archive.read(name), parser)


def _running(body: Any, kind: str) -> list[str]:  # noqa: ANN401
    found = body.iter(f"{_W}{kind}", f"{_STRICT}{kind}")
    return [e.get(_REL) or e.get(_STRICT_REL) or "" for e in found]


def _name(element: Any) -> str:  # noqa: ANN401
    """The element's name without its name space; empty for comments and for an older drawing of the same."""
    tag = element.tag
    if not isinstance(tag, str) or tag == _FALLBACK:
        return ""
    return tag.rpartition("}")[2]


def _blocks(parent: Any, depth: int = 0) -> Iterator[str]:  # noqa: ANN401
    """The lines of the paragraphs and tables below an element."""
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    for element in parent:
        name = _name(element)
        if name == "p":
            text, boxes = _paragraph(element, depth)
            yield text
            yield from boxes
        elif name == "tbl":
            yield from _table(element, depth)
        elif name and name not in _LEFT_OUT:
            yield from _blocks(element, depth + 1)


def _table(table: Any, depth: int) -> Iterator[str]:  # noqa: ANN401
    for row in _below(table, "tr"):
        if _is_deleted(row):
            continue
        cells = [" ".join(filter(None, map(str.strip, _blocks(c, depth + 1)))) for c in _below(row, "tc")]
        if any(cells):
            yield CELL_GAP.join(cells)


def _below(parent: Any, wanted: str) -> Iterator[Any]:  # noqa: ANN401
    """Rows of a table or cells of a row, also those inside content controls and insertions."""
    for element in parent:
        name = _name(element)
        if name == wanted:
            yield element
        elif name in ("sdt", "sdtContent", "ins", "moveTo", "customXml", "smartTag"):
            yield from _below(element, wanted)


def _is_deleted(row: Any) -> bool:  # noqa: ANN401
    return any(_name(mark) == "del" for p in row if _name(p) == "trPr" for mark in p)


def _paragraph(paragraph: Any, depth: int) -> tuple[str, list[str]]:  # noqa: ANN401
    """The paragraph's text, and the lines of the text boxes that are anchored in it."""
    pieces: list[str] = []
    boxes: list[str] = []

    def walk(parent: Any, level: int) -> None:  # noqa: ANN401
        if level > _MAX_DEPTH:
            raise ValueError("nested too deeply")
        for element in parent:
            name = _name(element)
            if name == "t":
                pieces.append(element.text or "")
            elif name in _BLANKS:
                pieces.append(_BLANKS[name])
            elif name == "txbxContent":
                boxes.extend(line for line in _blocks(element, level + 1) if line.strip())
            elif name and name not in _LEFT_OUT:
                walk(element, level + 1)

    walk(paragraph, depth)
    return "".join(pieces), boxes
