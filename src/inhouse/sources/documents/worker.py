"""The process in which documents are parsed: `python -m inhouse.sources.documents.worker`.

A path comes in on each line of standard input, as JSON. Lines of JSON go out: `null` as a sign of life, a list
`[name, text, fault]` for each part, and `true` when the document is done.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TextIO

from inhouse.sources.documents.reading import read_parts

# Python, pdfium and a page at 300 dots per inch need a tenth of it.
MEMORY_LIMIT = 6 * 2**30


def serve(asked: TextIO, answers: TextIO) -> None:
    """Read documents until the input ends."""
    for line in asked:
        for part in read_parts(Path(json.loads(line)), lambda: _send(answers, None)):
            _send(answers, list(part))
        _send(answers, True)


def _send(answers: TextIO, message: object) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def _limit_memory() -> None:
    """What a document makes its parser ask for beyond the limit is refused: it costs the document, not the machine."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEMORY_LIMIT if hard == resource.RLIM_INFINITY else min(MEMORY_LIMIT, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


if __name__ == "__main__":
    _limit_memory()
    answers = sys.stdout
    sys.stdout = sys.stderr  # what a library prints must not stand between the answers
    serve(sys.stdin, answers)
