"""What stands beside the report: the figures as JSON and Markdown, and the model card for who owns the model."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pypdfium2
import pytest
from evaluations import HALF, PLAIN, WHOLE
from pages import EVIL, Page, assert_inert

from inhouse.core import SliceResult, Task
from inhouse.evaluate.card import CardData, card_html, card_markdown
from inhouse.evaluate.report import report_markdown

CARD = CardData(
    evaluation=WHOLE.model_copy(
        update={"slices": (SliceResult(by="language", value="de", metric=HALF, worst=True),), "warnings": ("a twin",)}
    ),
    task=Task(name="tickets", instruction="Sort the mails.", labels=("a", "b")),
    base="SmolLM2",
    limits="mostly English",
    counts={"train": 1234, "test": 100},
    again=("Every month: inhouse monitor tickets.",),
    created_at="2025-01-02",
)


def tables(text: str) -> list[list[list[str]]]:
    """The tables of a Markdown page, as rows of cells."""
    found: list[list[list[str]]] = []
    for before, line in zip(["", *text.splitlines()], text.splitlines(), strict=False):
        if line.startswith("|"):
            if not before.startswith("|"):
                found.append([])
            found[-1].append([c.strip() for c in line.replace("\\|", "¦").strip("|").split("|")])
    return found


def test_markdown_has_every_part_that_was_measured_and_no_other():
    whole, plain = report_markdown(WHOLE), report_markdown(PLAIN)
    headings = [line.removeprefix("## ") for line in whole.splitlines() if line.startswith("## ")]
    assert headings == [
        "Contenders",
        "Left out",
        "Comparisons",
        "Review",
        "Calibration error",
        "Slices",
        "Consistency",
        "Hidden instructions obeyed",
        "Base models",
        "Warnings",
    ]
    assert [line for line in plain.splitlines() if line.startswith("## ")] == ["## Contenders"]
    assert "78.0\u00a0% go straight through, 22.0\u00a0% to a person." in whole


def test_tables_of_markdown_have_as_many_cells_in_every_row_whatever_names_hold():
    ugly = PLAIN.contenders[0].model_copy(update={"name": "a|b\nc *d* <script>"})
    known = WHOLE.model_copy(
        update={"contenders": (ugly,), "slices": (SliceResult(by="label", value=f"x|{EVIL}", metric=HALF),)}
    )
    found = tables(report_markdown(known))
    assert len(found) == 8
    assert all(len({len(row) for row in rows}) == 1 for rows in found)
    assert "<script" not in report_markdown(known).replace("\\<", "")


def test_the_card_says_what_how_good_what_not_and_when_again():
    text = card_markdown(CARD).replace("\u00a0", " ")
    parts = [line for line in text.splitlines() if line.startswith("## ")]
    assert [p.removeprefix("## ") for p in parts] == [
        "What it does",
        "How good it is",
        "What it cannot do",
        "What it costs",
        "When to look again",
    ]
    for told in (
        "Sort the mails.",
        "1,234 training examples",
        "Accuracy 50.0 %",
        "+20.0 points",
        "22.0 % to a person",
        "mostly English",
        "worst where language is de",
        "Mind: a twin.",
        "50 requests a second",
        "Every month",
    ):
        assert told in text


def test_a_review_that_is_not_certain_says_so():
    doubtful = WHOLE.reviews[0].model_copy(update={"certain": False, "more_examples": 140})
    known = CARD.evaluation.model_copy(update={"reviews": (doubtful,)})
    assert "not certain with so few examples: 140 more would tell" in card_markdown(replace(CARD, evaluation=known))


def test_the_card_page_is_inert_and_says_the_same():
    evil = replace(CARD, limits=EVIL, again=(EVIL,))
    page = Page(card_html(evil))
    assert_inert(page)
    assert page.plain.count("<script>alert('1')</script>") == 2
    assert all(word in Page(card_html(CARD)).plain for word in ("Sort the mails.", "mostly English", "a twin"))


def printed(html: str, folder: Path, browser: str) -> int:
    """How many sheets chromium prints a page on."""
    (folder / "page.html").write_text(html, "utf-8")
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    subprocess.run(
        [
            browser,
            *words,
            f"--user-data-dir={folder / 'profile'}",
            f"--print-to-pdf={folder / 'page.pdf'}",
            str(folder / "page.html"),
        ],
        capture_output=True,
        check=False,
        timeout=120,
    )
    return len(pypdfium2.PdfDocument(folder / "page.pdf"))


def test_the_card_prints_on_one_sheet(tmp_path: Path, browser: str):
    many = tuple(
        f"{n} test examples have a twin in the training examples, which makes it look better" for n in range(6)
    )
    known = CARD.evaluation.model_copy(update={"warnings": many})
    assert printed(card_html(replace(CARD, evaluation=known)), tmp_path, browser) == 1


@pytest.fixture(scope="module")
def browser() -> str:
    """A browser that prints."""
    import shutil

    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no chromium on this machine")
    return found
