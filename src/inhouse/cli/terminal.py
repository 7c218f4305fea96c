"""Showing progress and messages on standard error."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from inhouse.core import Bar

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

QUIET_SECONDS = 10.0


def clock(seconds: float) -> str:
    """Seconds as m:ss."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Terminal:
    """A reporter for a person: bars with time left on a terminal, a line now and then in a log."""

    def __init__(self) -> None:
        self._rich: Progress | None = None
        self._live = sys.stderr.isatty()

    def say(self, message: str) -> None:
        """One line."""
        self._print(message)

    def warn(self, message: str) -> None:
        """One line that stands out."""
        self._print(f"warning: {message}", style="yellow")

    def bar(self, title: str, total: float) -> Bar:
        """A new bar; the one before ends where it is."""
        if not self._live:
            return _LogBar(title, total)
        progress = self._progress()
        for task in progress.tasks:
            progress.stop_task(task.id)
        return _LiveBar(progress, progress.add_task(title, total=total, note=""), total)

    def confirm(self, question: str) -> bool:
        """Ask the person, on standard error; the return key says yes, and the end of the input no."""
        self.close()
        while True:
            print(f"{question} [Y/n] ", end="", file=sys.stderr, flush=True)
            answer = sys.stdin.readline()
            if answer.strip().casefold() in ("y", "yes") or answer == "\n":
                return True
            if answer.strip().casefold() in ("n", "no") or not answer:
                return False

    def close(self) -> None:
        """Leave the terminal tidy."""
        if self._rich is not None:
            self._rich.stop()
            self._rich = None

    def _print(self, message: str, style: str = "") -> None:
        if not self._live:
            print(message, file=sys.stderr, flush=True)
            return
        from rich.text import Text

        self._progress().console.print(Text(message, style=style))

    def _progress(self) -> Progress:
        if self._rich is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._rich = Progress(
                TextColumn("{task.description:<24}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(elapsed_when_finished=True),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True, highlight=False),
            )
            self._rich.start()
        return self._rich


class _LiveBar:
    def __init__(self, progress: Progress, task: TaskID, total: float) -> None:
        self._progress, self._task, self._total = progress, task, total

    def update(self, done: float, note: str = "") -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=done, note=note)
        if done >= self._total:
            self._progress.stop_task(self._task)


class _LogBar:
    """For logs and pipes: a line every ten seconds, with the time left."""

    def __init__(self, title: str, total: float) -> None:
        self._title, self._total = title, total
        self._begun = self._shown = time.monotonic()
        self._first: float | None = None

    def update(self, done: float, note: str = "") -> None:
        """Tell, if it is time."""
        now = time.monotonic()
        if self._first is None:
            self._first = done
        if now - self._shown < QUIET_SECONDS and not (done >= self._total and self._shown > self._begun):
            return
        self._shown = now
        rate = (done - self._first) / max(now - self._begun, 1e-9)
        left = f", {clock((self._total - done) / rate)} left" if rate > 0 and done < self._total else ""
        print(f"{self._title} {done:.0f}/{self._total:.0f}{left} {note}".rstrip(), file=sys.stderr, flush=True)
