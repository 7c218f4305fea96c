"""Pictures of text through Tesseract, where it is installed."""

from __future__ import annotations

import csv
import functools
import io
import os
import shutil
import subprocess

from inhouse.sources.bounds import MAX_IMAGE_BYTES, Unreadable, check_size
from inhouse.sources.documents.layout import Word, page_text

# A page of A4 at 300 dots per inch has 8.7 million.
MAX_PIXELS = 40_000_000

PAGE_LIMIT_S = 110

# Each language costs time, so of many only the first of these are asked for.
_MOST_LANGUAGES = 4
_USUAL = ("eng", "deu", "nld", "fra", "ita", "spa", "pol", "por")

# What Tesseract itself is less sure of (0 to 100) is mostly dirt and lines.
_LEAST_SURE = 10.0

INSTALL = "install Tesseract (Debian: apt install tesseract-ocr, and tesseract-ocr-deu or the like for other languages)"


def read_image(data: bytes) -> str:
    """The text on a picture; raises `Unreadable` where Tesseract is missing or finds that it is no picture."""
    check_size(len(data), MAX_IMAGE_BYTES)
    return recognised(data)


def recognised(picture: bytes) -> str:
    """The text that Tesseract sees, in reading order.

    Raises:
        Unreadable: not installed, no picture, or not done in time.
    """
    program = shutil.which("tesseract")
    if program is None:
        raise Unreadable(f"is a scan or picture, whose text must be recognised (OCR): {INSTALL}")
    command = [program, "stdin", "stdout", "-l", "+".join(languages(program)), "--psm", "3", "tsv"]
    try:
        done = subprocess.run(
            command,
            input=picture,
            capture_output=True,
            timeout=PAGE_LIMIT_S,
            check=False,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},  # several documents are read at once
        )
    except subprocess.TimeoutExpired:
        raise Unreadable(f"took Tesseract more than {PAGE_LIMIT_S} seconds a page") from None
    if done.returncode:
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise Unreadable(f"is no picture that Tesseract can read ({reason[-1][:120] if reason else done.returncode})")
    return page_text(_words(done.stdout.decode("utf-8", "replace")))


@functools.cache
def languages(program: str) -> tuple[str, ...]:
    """The languages to recognise: all that are installed, or the usual ones among many."""
    done = subprocess.run([program, "--list-langs"], capture_output=True, text=True, timeout=60, check=False)
    installed = [name for name in done.stdout.split("\n")[1:] if name and name not in ("osd", "equ")]
    if not installed:
        raise Unreadable(f"cannot be recognised, as Tesseract has no language: {INSTALL}")
    known = [name for name in _USUAL if name in installed]
    return tuple([*known, *(name for name in installed if name not in known)][:_MOST_LANGUAGES])


def _words(table: str) -> list[Word]:
    words = []
    for row in csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE):
        text = (row.get("text") or "").strip()
        if row.get("level") != "5" or not text or float(row["conf"]) < _LEAST_SURE:
            continue
        left, top = float(row["left"]), float(row["top"])
        words.append(Word(text, left, top, left + float(row["width"]), top + float(row["height"])))
    return words
