"""Scorers of the user's own: functions from an answer to a score, in a file that the task names.

Such a file is run for the task that names it, and for nothing else; what it registers is kept nowhere.
"""

from __future__ import annotations

import inspect
import math
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar, get_args

from inhouse.core import PRIMARY_METRICS, Example, Kind
from inhouse.errors import ConfigError, InputError, UsageError, did_you_mean

# From the answer, the expected one and the fields of the input to a score, 0 to 1; more is better.
Function = Callable[[str, str, Mapping[str, str]], float]
F = TypeVar("F", bound=Callable[..., object])

ALL_KINDS: tuple[Kind, ...] = get_args(Kind)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_BUILT_IN = {
    *(name for names in PRIMARY_METRICS.values() for name in names),
    *("valid", "checks_passed", "nothing_invented", "similarity", "judge", "top_3", "top_5"),
}
_HOW = 'such as `@inhouse.scorer("polite", kinds=("generate",))` above `def polite(answer, expected, inputs):`'


@dataclass(frozen=True)
class OwnScorer:
    """A registered scorer, the kinds of task that it is for, and where it stands."""

    name: str
    kinds: tuple[Kind, ...]
    function: Function
    file: Path
    line: int

    def score(self, example: Example, answer: str | None) -> float:
        """The score of an answer, 0 to 1; no answer scores 0 without being shown to the function.

        Raises:
            InputError: the function failed, or gave no number from 0 to 1.
        """
        if answer is None:
            return 0.0
        try:
            found = self.function(answer, example.target, dict(example.inputs))
        except Exception as error:
            raise InputError(
                f"the scorer {self.name!r} failed on the answer to {example.provenance}: {_told(error)}",
                "mend it there",
                file=self.file,
                line=_line_in(self.file, error) or self.line,
            ) from error
        try:
            value = math.nan if isinstance(found, str) else float(found)
        except (TypeError, ValueError):
            value = math.nan
        if not 0.0 <= value <= 1.0:
            raise InputError(
                f"the scorer {self.name!r} gave {found!r} for the answer to {example.provenance}",
                "give a number from 0 to 1, more being better",
                file=self.file,
                line=self.line,
            )
        return value


_REGISTERED: ContextVar[list[OwnScorer] | None] = ContextVar("registered", default=None)


def scorer(name: str, *, kinds: Sequence[Kind] = ALL_KINDS) -> Callable[[F], F]:
    """Register a function as a metric of the task whose `metrics.scorers` names its file.

    Args:
        name: under which reports show it, and `metrics.primary` may name it.
        kinds: of task that it can judge.

    The function takes the answer, the expected one (both texts) and the fields of the input, and gives a score from 0
    to 1. Outside such a file the decorator does nothing, so that the function can be tried.

    Raises:
        UsageError: the name is no plain one or that of a built-in metric, or a kind is none.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _BUILT_IN:
        taken = name in _BUILT_IN
        raise UsageError(
            f"{name!r} is {'a built-in metric' if taken else 'no name for a scorer'}",
            f"{'choose another name' if taken else 'use small letters, digits and _'}, {_HOW}",
        )
    if odd := [kind for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind not in ALL_KINDS]:
        raise UsageError(f"{odd[0]!r} is no kind of task", f"there are {', '.join(ALL_KINDS)}, {_HOW}")

    def register(function: F) -> F:
        there = _REGISTERED.get()
        if there is not None:
            there.append(_checked(name, (kinds,) if isinstance(kinds, str) else tuple(kinds), function))  # type: ignore[arg-type]
        return function

    return register


def load_scorers(folder: Path, files: Sequence[str], kind: Kind) -> tuple[OwnScorer, ...]:
    """Run the files below a task's folder, and give back the scorers of its kind that they register.

    Raises:
        ConfigError: a file is not there, or not below the folder, fails, or registers nothing; or a name comes twice.
    """
    found: dict[str, OwnScorer] = {}
    for name in files:
        for one in _registered_by(_file_of(folder, name)):
            if one.name in found:
                raise ConfigError(
                    f"the scorer {one.name!r} is there twice",
                    "give one of them another name",
                    file=one.file,
                    line=one.line,
                )
            found[one.name] = one
    return tuple(one for one in found.values() if kind in one.kinds)


def require_metric(primary: str, kind: Kind, own: Sequence[OwnScorer], task_file: Path) -> None:
    """Refuse a primary metric that is neither built in nor a scorer of the user's own.

    Raises:
        ConfigError
    """
    known = (*PRIMARY_METRICS[kind], *(one.name for one in own))
    if primary not in known:
        raise ConfigError(
            f"metrics.primary = {primary!r} is no metric of kind {kind}, and none of metrics.scorers has that name",
            f"{did_you_mean(primary, known)}there are {', '.join(known)}",
            file=task_file,
        )


def _file_of(folder: Path, name: str) -> Path:
    path = folder / name
    if path.suffix != ".py" or not path.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(
            f"metrics.scorers names {name!r}, which is no Python file below {folder}",
            "put the file there, and name it as `my_scorers.py`",
            file=folder / "task.toml",
        )
    if not path.is_file():
        raise ConfigError(
            f"metrics.scorers names {name!r}, which is not there",
            f"write {path}, or take it out of `scorers`",
            file=folder / "task.toml",
        )
    return path


def _registered_by(path: Path) -> list[OwnScorer]:
    """What a file registers when it is run. Nothing is written beside it."""
    found: list[OwnScorer] = []
    module = ModuleType(f"inhouse_scorers.{path.stem}")
    module.__file__ = str(path)
    token = _REGISTERED.set(found)
    sys.modules[module.__name__] = module  # dataclasses look their module up
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except Exception as error:
        remedy = error.remedy if isinstance(error, UsageError) else "mend it there"
        raise ConfigError(
            f"it cannot be used for scorers: {_told(error)}", remedy, file=path, line=_line_in(path, error)
        ) from error
    finally:
        _REGISTERED.reset(token)
        sys.modules.pop(module.__name__, None)
    if not found:
        raise ConfigError("it registers no scorer", f"write one, {_HOW}", file=path)
    return found


def _checked(name: str, kinds: tuple[Kind, ...], function: Function) -> OwnScorer:
    if not inspect.isfunction(function):
        raise UsageError(f"the scorer {name!r} is no function", _HOW)
    try:
        inspect.signature(function).bind("", "", {})
    except TypeError as error:
        raise UsageError(
            f"the scorer {name!r} does not take an answer, the expected one and the input: {error}", _HOW
        ) from None
    code = function.__code__
    return OwnScorer(name, kinds, function, Path(code.co_filename), code.co_firstlineno)


def _line_in(path: Path, error: Exception) -> int | None:
    """The line of the file at which an error came up, the deepest one."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    return lines[-1] if lines else None


def _told(error: Exception) -> str:
    if isinstance(error, UsageError):
        return error.what
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
