"""PDF: the characters with their places, in reading order; pages without characters go through text recognition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from inhouse.sources.bounds import MAX_PAGES, Unreadable
from inhouse.sources.documents import image
from inhouse.sources.documents.layout import Rule, Word, page_text

# A line that begins with it begins a page, as in the output of pdftotext.
PAGE_BREAK = "\n\f"

# Characters and drawings of one page; beyond that it is a map or an attack.
_MOST_CHARS, _MOST_DRAWINGS = 200_000, 5_000
_LEAST_RULE, _LEAST_BOX = 20.0, 3.0

# Of the characters' height: the width of a gap that stands for a blank.
_GAP = 0.22

# Fewer characters beside a picture are a stamp on a scan, such as its page number.
_FEW_CHARS = 10

# pdfium puts these in place of a hyphen at the end of a line.
_HYPHENS = {0x02, 0xFFFE, 0xAD}


# Left, top, right, bottom.
_Box = tuple[float, float, float, float]


def read_pdf(data: bytes) -> Iterator[str]:
    """The text of one page after the other.

    Raises:
        Unreadable: a password, damaged, too many pages; a scan where no text recognition is installed.
    """
    from pypdfium2 import PdfDocument, PdfiumError

    try:
        document = PdfDocument(data)
    except PdfiumError as error:
        if "password" in str(error).lower():
            raise Unreadable("is protected with a password; save a copy without it") from None
        raise Unreadable(f"is no PDF that can be read ({error})") from None
    try:
        if len(document) > MAX_PAGES:
            raise Unreadable(f"has {len(document):,} pages; at most {MAX_PAGES:,} are read: divide it")
        yield from _pages(document)
    except PdfiumError as error:
        raise Unreadable(f"is no PDF that can be read ({error})") from None
    finally:
        document.close()


def _pages(document: Any) -> Iterator[str]:  # noqa: ANN401 - pypdfium2 has no types
    """Each page; one that cannot be recognised is told in its place, unless no page can be read."""
    found, fault = False, None
    for number in range(len(document)):
        try:
            text = _page(document, number)
            found = found or bool(text)
        except Unreadable as error:
            fault = error
            text = f"[page {number + 1} {error}]"
        yield text
    if fault and not found:
        raise fault


def _page(document: Any, number: int) -> str:  # noqa: ANN401
    page = document[number]
    try:
        frame = _Frame(page)
        words = list(_words(page, frame))
        if sum(len(w.text) for w in words) > _FEW_CHARS or not _has_image(page):
            return page_text(words, list(_rules(page, frame)))
        scanned = image.recognised(_picture(page))
        return scanned or page_text(words)
    finally:
        page.close()


class _Frame:
    """Turns a place as the file has it, from the lower left corner, to one as a reader sees it, from the upper left."""

    def __init__(self, page: Any) -> None:  # noqa: ANN401
        self._left, self._lower, self._right, self._upper = page.get_mediabox()
        self._turned = page.get_rotation() // 90

    def box(self, left: float, lower: float, right: float, upper: float) -> _Box:
        """Left, top, right, bottom."""
        if self._turned == 1:
            return lower, left, upper, right
        if self._turned == 2:
            return self._right - right, lower, self._right - left, upper
        if self._turned == 3:
            return self._upper - upper, self._right - right, self._upper - lower, self._right - left
        return left, self._upper - upper, right, self._upper - lower


def _words(page: Any, frame: _Frame) -> Iterator[Word]:  # noqa: ANN401
    """The words of a page in the order of the file, with their boxes."""
    text, blank, edges = "", True, (0.0, 0.0, 0.0, 0.0)
    for char, is_drawn, box in _chars(page, frame):
        if char.isspace():
            if text:
                yield Word(text, *edges, blank)
                text, blank = "", False
            blank = blank or (char in " \xa0" and is_drawn)
            continue
        if text and not _touches(edges, box):
            yield Word(text, *edges, blank)
            text, blank = "", False
        if text:
            edges = (edges[0], min(edges[1], box[1]), max(edges[2], box[2]), max(edges[3], box[3]))
        else:
            edges = box
        text += char
    if text:
        yield Word(text, *edges, blank)


def _chars(page: Any, frame: _Frame) -> Iterator[tuple[str, bool, _Box]]:  # noqa: ANN401
    """Each character, whether the file has it (pdfium adds blanks where it sees a gap), and its box."""
    import pypdfium2.raw as raw

    text_page = page.get_textpage()
    try:
        count, handle, box = text_page.count_chars(), text_page.raw, raw.FS_RECTF()
        if count > _MOST_CHARS:
            raise Unreadable(f"has a page of {count:,} characters; at most {_MOST_CHARS:,} are read")
        for i in range(count):
            code = raw.FPDFText_GetUnicode(handle, i)
            char = "-" if code in _HYPHENS else chr(code)
            if not code or 0xD800 <= code <= 0xDFFF:
                continue
            if char.isspace():
                yield char, not raw.FPDFText_IsGenerated(handle, i), (0.0, 0.0, 0.0, 0.0)
            elif raw.FPDFText_GetLooseCharBox(handle, i, box):
                yield char, True, frame.box(box.left, box.bottom, box.right, box.top)
    finally:
        text_page.close()


def _touches(edges: _Box, box: _Box) -> bool:
    height = min(edges[3] - edges[1], box[3] - box[1])
    gap = box[0] - edges[2]
    return abs((box[1] + box[3]) - (edges[1] + edges[3])) <= height and -2 * height <= gap <= _GAP * height


def _rules(page: Any, frame: _Frame) -> Iterator[Rule]:  # noqa: ANN401
    """The upper and lower edges of what is drawn: lines between rows of a table, boxes of its cells."""
    import pypdfium2.raw as raw

    for count, drawn in enumerate(page.get_objects(filter=[raw.FPDF_PAGEOBJ_PATH], max_depth=1)):
        if count >= _MOST_DRAWINGS:
            return
        left, top, right, bottom = frame.box(*drawn.get_bounds())
        if right - left >= _LEAST_RULE:
            yield Rule(left, right, top)
            if bottom - top > _LEAST_BOX:
                yield Rule(left, right, bottom)


def _has_image(page: Any) -> bool:  # noqa: ANN401
    import pypdfium2.raw as raw

    return next(page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=3), None) is not None


def _picture(page: Any) -> bytes:  # noqa: ANN401
    """The page as a grey picture in the portable grey map format, at 300 dots per inch or what fits."""
    width, height = page.get_size()
    scale = min(300 / 72, (image.MAX_PIXELS / max(width * height, 1)) ** 0.5)
    bitmap = page.render(scale=scale, grayscale=True)
    try:
        pixels = bitmap.to_numpy()
        pixels = pixels.reshape(pixels.shape[0], -1)
        head = b"P5 %d %d 255\n" % (pixels.shape[1], pixels.shape[0])
        return head + bytes(pixels.tobytes())
    finally:
        bitmap.close()
