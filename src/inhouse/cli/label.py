"""Labelling at the terminal: a record, a suggestion, and one key to accept it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from inhouse.cli.terminal import Terminal
from inhouse.core import Kind, folded
from inhouse.errors import UsageError
from inhouse.pipeline import Labelled, Move, Shown

# Labels that are listed whole; of more the likely ones are shown, and `?` lists all.
_LISTED = 20
_MOVES = {"s": Move.SKIP, "u": Move.BACK, "q": Move.QUIT}
_LINES = 40


def require_terminal(task: str) -> None:
    """Raise `UsageError` where nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "labelling needs a terminal, and the input is none",
            f"start it in one; or `inhouse label {task} --json` lists the records in their order",
        )


class Labeller:
    """Shows records on standard error and reads answers from standard input.

    Args:
        kind: of the task: labels are picked, other answers are written or edited.
        terminal: whose bars end before a record is shown.
    """

    def __init__(self, kind: Kind, terminal: Terminal) -> None:
        self._kind, self._terminal = kind, terminal
        self._begun = False

    def __call__(self, shown: Shown) -> str | Move:
        """What the person says of a record; the end of the input ends the session."""
        self._terminal.close()
        if not self._begun:
            self._begun = True
            _say(self._help())
        self._show(shown)
        while True:
            print("> ", end="", file=sys.stderr, flush=True)
            line = sys.stdin.readline()
            if not line:
                return Move.QUIT
            said = line.strip()
            if said in _MOVES:
                return _MOVES[said]
            if not said and shown.suggestion is not None:
                return shown.suggestion
            reply = self._label(said, shown) if self._kind == "classify" else _text(said, shown)
            if reply is not None:
                return reply

    def _help(self) -> str:
        answer = (
            "a number or the beginning of a label picks it"
            if self._kind == "classify"
            else "e edits the suggestion, or write the answer on one line"
        )
        return f"Enter accepts the suggestion; {answer}; s skips, u takes the last one back, q ends"

    def _show(self, shown: Shown) -> None:
        _say(f"\n--- {shown.answered} answered, {shown.left} left ({shown.place})")
        for name, value in shown.inputs.items():
            lines = value.splitlines() or [""]
            rest = f"\n... {len(lines) - _LINES} more lines" if len(lines) > _LINES else ""
            _say((f"{name}: " if len(shown.inputs) > 1 else "") + "\n".join(lines[:_LINES]) + rest)
        if self._kind == "classify":
            some = shown.labels if len(shown.labels) <= _LISTED else shown.likely
            _say(_numbered(some, shown.labels))
        if shown.suggestion is not None:
            sure = "" if shown.confidence is None else f", {shown.confidence:.0%} sure"
            _say(f"suggestion ({shown.suggested_by}{sure}): {shown.suggestion}")
        if shown.fault:
            _say(f"not taken: {shown.fault}")

    def _label(self, said: str, shown: Shown) -> str | None:
        """The label that is meant; None where that is not clear, once told."""
        if not said:
            _say("there is no suggestion: pick a label")
            return None
        if said == "?":
            _say(_numbered(shown.labels, shown.labels))
            return None
        if said in shown.labels:
            return said
        if said.isascii() and said.isdecimal() and _are_numbered(shown.labels):
            if 1 <= int(said) <= len(shown.labels):
                return shown.labels[int(said) - 1]
            _say(f"there are {len(shown.labels)} labels")
            return None
        begun = [label for label in shown.labels if folded(label).startswith(folded(said))]
        if len(begun) == 1:
            return begun[0]
        if begun:
            _say(f"several begin so: {_numbered(begun[:_LISTED], shown.labels)}")
            return None
        print(f"{said!r} is a new label: use it? [y/N] ", end="", file=sys.stderr, flush=True)
        return said if sys.stdin.readline().strip().casefold() in ("y", "yes") else None


def _text(said: str, shown: Shown) -> str | None:
    """The text that is meant, edited or as it was written; None where there is none."""
    if said == "e":
        return edited(shown.draft)
    if not said:
        _say("there is no suggestion: e opens an editor, or write the answer here")
        return None
    return said


def edited(draft: str) -> str | None:
    """A text as the person leaves it in $VISUAL or $EDITOR; None where the editor failed, or there is none."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        _say("no editor is set: set EDITOR, or write the answer on one line")
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "answer.txt"
        file.write_text(draft, "utf-8")
        try:
            code = subprocess.run([*shlex.split(editor), str(file)], check=False).returncode
        except (OSError, ValueError) as error:
            _say(f"the editor {editor!r} cannot be started: {error}")
            return None
        if code:
            _say(f"the editor {editor!r} ended with code {code}: nothing was taken")
            return None
        return file.read_text("utf-8")


def _numbered(some: Sequence[str], labels: Sequence[str]) -> str:
    """Labels with the numbers that pick them."""
    more = "   ? lists all" if len(some) < len(labels) else ""
    shown = [
        f"{labels.index(label) + 1} {label}" if _are_numbered(labels) else label for label in some if label in labels
    ]
    return "   ".join(shown) + more


def _are_numbered(labels: Sequence[str]) -> bool:
    """Whether a number picks a label: not where labels are numbers themselves."""
    return not any(label.isascii() and label.isdecimal() for label in labels)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def labelled(result: Labelled) -> str:
    """What a session did."""
    lines = [f"{result.task}: records labelled: {result.answered}, as suggested: {result.agreed}, left: {result.left}"]
    if result.used:
        lines.append(f"answers in dataset version {result.dataset}: {result.used}")
    if result.waiting:
        lines.append(f"answers kept that wait for more: {result.waiting}")
    command = f"inhouse clean {result.task}" if result.used else f"inhouse label {result.task}"
    return "\n".join([*lines, f"next: {command}"])
