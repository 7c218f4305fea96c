"""Every error that `inhouse` raises on purpose: what happened, the value, the remedy, and an exit code.

A mistake of the user's is shown as its message alone. Anything that is not an `InhouseError` is a fault of
ours: it keeps its traceback and ends with exit code 1.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The beginning of a remedy that names the known word nearest to `name`, or nothing where none is near."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean `{close[0]}`? " if close else ""


class InhouseError(Exception):
    """Base of the tree.

    Args:
        what: what happened, in one sentence, with the offending value.
        remedy: what the user can do about it.
        file: the file at fault, where there is one.
        line: the 1-based line in that file, where there is one.
    """

    exit_code = 1

    def __init__(self, what: str, remedy: str = "", *, file: Path | str | None = None, line: int | None = None) -> None:
        self.what = what
        self.remedy = remedy
        self.file = str(file) if file is not None else None
        self.line = line or None  # a document has none
        super().__init__(self.message)

    @property
    def place(self) -> str:
        """`file:line`, `file`, or an empty string."""
        if self.file is None:
            return ""
        return self.file if self.line is None else f"{self.file}:{self.line}"

    @property
    def message(self) -> str:
        """The whole text that a user reads: place, what, remedy."""
        head = f"{self.place}: {self.what}" if self.place else self.what
        return f"{head}\n  -> {self.remedy}" if self.remedy else head

    def __str__(self) -> str:
        return self.message

    def as_dict(self) -> dict[str, object]:
        """The error as the `error` object of `--json` output."""
        return {
            "type": type(self).__name__,
            "message": self.what,
            "remedy": self.remedy,
            "file": self.file,
            "line": self.line,
            "exit_code": self.exit_code,
        }


class UsageError(InhouseError, ValueError):
    """The command or call was put wrongly (exit code 2)."""

    exit_code = 2


class InputError(InhouseError, ValueError):
    """The input cannot be used (exit code 3)."""

    exit_code = 3


class PromptTooLong(InputError):
    """An input has more tokens than the model reads."""


class NotFound(InputError, LookupError):
    """A task, dataset, version or answer that is asked for does not exist."""


class ModelNotFound(NotFound):
    """A model is asked for by a name that no version has."""


class ConfigError(InputError):
    """`inhouse.toml` or `task.toml` holds a key or value that is not known."""


class SourceError(InputError):
    """A data file cannot be read, or holds nothing that can be learned from."""


class TooFewExamples(SourceError):
    """There are not enough examples, or not enough of a label, to learn from and to test with."""


class RareLabels(TooFewExamples):
    """Labels appear once; the examples of all others may well be learned from."""


class ModelUnavailable(InputError, FileNotFoundError):
    """A base model is not on this machine and may not be, or could not be, fetched."""


class NothingToLearn(InputError):
    """A training example or a whole batch holds no answer token to learn from."""


class DiskFull(InputError, OSError):
    """No space is left where the workspace lives; nothing was half-written."""


class Busy(InputError):
    """Another process is already doing this work in this workspace."""


class Overloaded(Busy):
    """More requests wait at the server than may.

    Args:
        retry_s: seconds until those that wait now will have been begun.
    """

    def __init__(self, what: str, remedy: str, *, retry_s: int) -> None:
        super().__init__(what, remedy)
        self.retry_s = retry_s


class Stopping(Busy):
    """The server stops, and did not wait for a request any longer."""


class TimedOut(InhouseError, TimeoutError):
    """A request was not answered in the time that the server gives it."""


class Refused(InhouseError, PermissionError):
    """A gate refused the action (exit code 4)."""

    exit_code = 4


class ParityFailed(Refused):
    """A version is asked for that failed the parity gate: what would answer is not what was evaluated."""


class OutboundForbidden(InputError):
    """Something wanted to leave the machine while `INHOUSE_OFFLINE=1`."""


class EngineFault(InhouseError, RuntimeError):
    """A model engine gave something that it must never give; a fault of ours or of the engine."""


class NoMetric(InhouseError, ArithmeticError):
    """A metric of nothing was asked for."""
