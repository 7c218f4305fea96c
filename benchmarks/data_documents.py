"""How fast documents become text, and whether it comes in reading order with tables row by row.

    python benchmarks/data_documents.py

Writes 200 pages of PDF (letters, reports in two columns, invoices with cells of several lines) with reportlab and 200
of DOCX with python-docx, from a seeded generator, so what each page says is known. Reads them as `add` and
`predict` do. `make bench-data` joins `measure()` into benchmarks/results/data.json.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docx
from common import machine
from docx.enum.text import WD_BREAK
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    FrameBreak,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

from inhouse.sources import read_document_folder

FILES, PAGES = 20, 10
NORMAL = getSampleStyleSheet()["Normal"]
WORDS = [
    *("order", "delivery", "invoice", "machine", "report", "supplier", "customer", "price", "quantity", "storage"),
    *("repair", "contract", "payment", "date", "number", "office", "winter", "steel", "paper", "engine", "value"),
    *("quality", "member", "project", "summer", "bridge", "water", "measure", "result"),
]


@dataclass
class Page:
    """What a page says: its words in reading order, and its tables' rows as they must come out."""

    words: list[str]
    rows: list[str]


def prose(dice: random.Random, count: int) -> str:
    """That many words as sentences."""
    return " ".join(dice.choice(WORDS) for _ in range(count)).capitalize() + "."


def table_rows(dice: random.Random, count: int) -> list[list[str]]:
    """A header and the lines of an invoice; every third description takes several lines."""
    lines = [[str(i), prose(dice, 18 if i % 3 == 0 else 3), str(dice.randint(1, 99)), f"{dice.random() * 900:.2f}"]
             for i in range(1, count + 1)]  # fmt: skip
    return [["Pos", "Description", "Qty", "Amount"], *lines]


def pdf(path: Path, dice: random.Random) -> list[Page]:
    """Write a file of letters, two-column reports or invoices; what its pages say."""
    kind = dice.choice(("letter", "columns", "invoice"))
    gap = 14
    document = BaseDocTemplate(str(path), pagesize=A4)
    left, bottom, width, height = document.leftMargin, document.bottomMargin, document.width, document.height
    half = (width - gap) / 2
    frames = {
        "letter": [Frame(left, bottom, width, height)],
        "invoice": [Frame(left, bottom, width, height)],
        "columns": [Frame(left, bottom, half, height), Frame(left + half + gap, bottom, half, height)],
    }[kind]
    document.addPageTemplates([PageTemplate(frames=frames)])
    grid = dice.random() < 0.5
    story: list[Flowable] = []
    pages = []
    for number in range(PAGES):
        texts, rows = [], []
        if kind == "columns":
            for column in (0, 1):
                for _ in range(5):
                    texts.append(prose(dice, 55))
                    story += [Paragraph(texts[-1], NORMAL), Spacer(1, 6)]
                if column == 0:
                    story.append(FrameBreak())
        else:
            for _ in range(2 if kind == "invoice" else 8):
                texts.append(prose(dice, 50))
                story += [Paragraph(texts[-1], NORMAL), Spacer(1, 8)]
            if kind == "invoice":
                cells = table_rows(dice, 12)
                rows = [" | ".join(row) for row in cells]
                shown = [[Paragraph(c, NORMAL) if i == 1 else c for i, c in enumerate(row)] for row in cells]
                style = [("VALIGN", (0, 0), (-1, -1), dice.choice(("TOP", "MIDDLE")))]
                style += [("GRID", (0, 0), (-1, -1), 0.5, colors.black)] if grid else []
                story += [Table(shown, [40, 230, 50, 70], style=TableStyle(style)), Spacer(1, 8)]
                texts += rows
        if number < PAGES - 1:
            story.append(PageBreak())
        pages.append(Page(" ".join(texts).split(), rows))
    document.build(story)
    return pages


def word(path: Path, dice: random.Random) -> list[Page]:
    """Write a Word document of prose and tables; what it says, as one page."""
    document = docx.Document()
    texts, rows = [], []
    for number in range(PAGES):
        for _ in range(6):
            texts.append(prose(dice, 60))
            document.add_paragraph(texts[-1])
        cells = table_rows(dice, 5)
        table = document.add_table(len(cells), 4)
        for row, values in zip(table.rows, cells, strict=True):
            for cell, value in zip(row.cells, values, strict=True):
                cell.text = value
        rows += [" | ".join(row) for row in cells]
        texts += [" | ".join(row) for row in cells]
        if number < PAGES - 1:
            document.add_paragraph().add_run().add_break(WD_BREAK.PAGE)
    document.save(str(path))
    return [Page(" ".join(texts).split(), rows)]


def measured(folder: Path, truth: dict[str, list[Page]]) -> dict[str, Any]:
    """Pages per second, and the shares of pages in order and of table rows that are right."""
    begun = time.perf_counter()
    source = read_document_folder(folder, targets=False)
    seconds = time.perf_counter() - begun
    assert not source.rejections, source.rejections[:3]
    in_order = right = 0
    rows = 0
    for record in source.records:
        pages = truth[record.values["file"]]
        texts = record.values["document"].split("\f") if len(pages) > 1 else [record.values["document"]]
        assert len(texts) == len(pages), (len(texts), len(pages))
        for text, page in zip(texts, pages, strict=True):
            in_order += text.split() == page.words
            lines = set(text.splitlines())
            rows += len(page.rows)
            right += sum(row in lines for row in page.rows)
    texts_told = sum(map(len, truth.values()))
    return {
        "pages": FILES * PAGES,
        "seconds": round(seconds, 2),
        "pages_per_second": round(FILES * PAGES / seconds, 1),
        "in_reading_order": round(in_order / texts_told, 4),
        "table_rows": rows,
        "table_rows_right": round(right / max(rows, 1), 4),
    }


def measure(seed: int = 0) -> dict[str, Any]:
    """Both formats, each in a folder of its own."""
    found = {}
    for ending, write in (("pdf", pdf), ("docx", word)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            dice = random.Random(seed)
            files = [folder / f"{i:02}.{ending}" for i in range(FILES)]
            truth = {file.name: write(file, dice) for file in files}
            found[ending] = measured(folder, truth)
    return found


if __name__ == "__main__":
    json.dump({"machine": machine(), "documents": measure()}, sys.stdout, indent=1)
    print()
