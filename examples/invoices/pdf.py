"""A page of an invoice as a PDF file whose bytes do not change."""

import io

from layouts import Page
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

FONT, SIZE, LEADING = "Helvetica", 10, 14
LEFT, TOP = 56, A4[1] - 64
# Where the cells of a row begin, by their number; a long first cell pushes the others on.
STOPS: dict[int, tuple[int, ...]] = {
    1: (0,),
    2: (0, 300),
    3: (0, 240, 360),
    4: (0, 190, 290, 390),
    5: (0, 40, 230, 310, 400),
}
SPACE = 12


def pdf_bytes(page: Page, title: str) -> bytes:
    """One sheet of A4 with the rows of a page.

    Nothing is compressed: the bytes would depend on the machine's zlib. ``invariant`` leaves the time out.
    """
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, pageCompression=0, invariant=1)
    canvas.setTitle(title)
    canvas.setFont(FONT, SIZE)
    for number, row in enumerate(page):
        x = 0.0
        for stop, cell in zip(STOPS.get(len(row), ()), row, strict=True):
            x = max(x, stop)
            canvas.drawString(LEFT + x, TOP - number * LEADING, cell)
            x += canvas.stringWidth(cell, FONT, SIZE) + SPACE
    canvas.save()
    return out.getvalue()
