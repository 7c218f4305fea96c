"""HTML pages and mails: what a reader of the page sees; nothing is ever fetched."""

from __future__ import annotations

import re
from typing import Any

from inhouse.sources.bounds import Unreadable
from inhouse.sources.documents.layout import CELL_GAP
from inhouse.sources.encodings import decoded

_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?([A-Za-z0-9_:.-]{1,40})""", re.IGNORECASE)
_HIDDEN = {"script", "style", "nav", "noscript", "template", "head", "svg", "iframe", "object", "select", "button"}
_BLOCKS = {
    "address", "article", "aside", "blockquote", "body", "br", "caption", "center", "dd", "details", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li",
    "main", "ol", "p", "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul",
}  # fmt: skip
_CELLS = {"td", "th"}
_APART = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "blockquote", "pre"}
_INVISIBLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\n\r\f\v\u200b]+")
_NO_XML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")


def read_html(data: bytes, declared: str = "") -> str:
    """The visible text: a block is a line, a table's row is a line with its cells parted by ` | `.

    Scripts, styles, navigation and what is hidden are left out. `declared`: the encoding that came with the page.

    Raises:
        Unreadable: it is no text.
    """
    from lxml import etree

    found = _CHARSET.search(data[:4096])
    text = decoded(data, declared or (found[1].decode("ascii") if found else ""))
    text = _NO_XML.sub("", text)
    if not text.strip():
        return ""
    # As UTF-8 bytes: of a string lxml would believe the encoding that the page itself names.
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True, huge_tree=True)
    try:
        root = etree.fromstring(text.encode(), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Unreadable(f"is no HTML page that can be read ({str(error)[:80]})") from None
    if any(entry.type_name == "ERR_RESOURCE_LIMIT" for entry in parser.error_log):  # the rest would be missing
        raise Unreadable("is nested too deeply")
    return "" if root is None else _Text().of(root)


class _Text:
    """Collects the lines of a page. Tags are walked as events, so that no nesting is too deep."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []
        self._cells: list[str] | None = None  # of the table row that is open

    def of(self, root: Any) -> str:  # noqa: ANN401 - lxml has no types
        from lxml import etree

        layout = _layout_rows(root)
        hidden = None
        for event, element in etree.iterwalk(root, events=("start", "end")):
            if hidden is not None:
                if event == "end" and element is hidden:
                    hidden = None
                    self._add(element.tail)
            elif event == "start" and _is_hidden(element):
                hidden = element
            elif event == "start":
                self._open(element.tag, is_row=element.tag == "tr" and element not in layout)
                self._add(element.text, keep=element.tag == "pre")
            else:
                self._close(element.tag)
                self._add(element.tail)
        self._end_line()
        return "\n".join(self._lines).strip()

    def _add(self, text: str | None, *, keep: bool = False) -> None:
        if not text:
            return
        if not keep or self._cells is not None:
            self._line.append(_SPACE.sub(" ", text))
            return
        *whole, rest = text.split("\n")
        for line in whole:
            self._line.append(line)
            self._end_line()
        self._line.append(rest)

    def _open(self, tag: str, *, is_row: bool) -> None:
        if is_row:
            self._end_row()
            self._end_line()
            self._cells = []
        elif tag in _BLOCKS or (tag in _CELLS and self._cells is None):
            self._end_block(tag)
        if tag == "li" and self._cells is None:
            self._line.append("- ")

    def _close(self, tag: str) -> None:
        if tag in _CELLS and self._cells is not None:
            self._cells.append(self._taken())
        elif tag == "tr":
            self._end_row()
        elif tag in _BLOCKS and tag != "br":
            self._end_block(tag)

    def _end_row(self) -> None:
        if self._cells is None:
            return
        cells = [*self._cells, *filter(None, [self._taken()])]
        self._cells = None
        if any(cells):
            self._lines.append(CELL_GAP.join(cells))

    def _end_block(self, tag: str) -> None:
        if self._cells is not None:
            self._line.append(" ")
            return
        self._end_line()
        if tag in _APART and self._lines and self._lines[-1]:
            self._lines.append("")

    def _end_line(self) -> None:
        text = self._taken()
        if text and text != "-":
            self._lines.append(text)

    def _taken(self) -> str:
        text = "".join(self._line).strip()
        self._line.clear()
        return re.sub(" {2,}", " ", text)


def _is_hidden(element: Any) -> bool:  # noqa: ANN401
    return element.tag in _HIDDEN or "hidden" in element.attrib or bool(_INVISIBLE.search(element.get("style", "")))


def _layout_rows(root: Any) -> set[Any]:  # noqa: ANN401
    """Rows that hold a table themselves: they only place things on the page, as mails do."""
    found: set[Any] = set()
    for table in root.iter("table"):
        for row in table.iterancestors("tr"):
            if row in found:
                break
            found.add(row)
    return found
