"""What every command does: open the workspace, call one function, show its result."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from inhouse.errors import InputError, UsageError
from inhouse.launched import process_count, process_rank

if TYPE_CHECKING:
    from inhouse.cli.terminal import Terminal
    from inhouse.sources import ReadOptions
    from inhouse.store import Workspace


def do(
    folder: Path,
    as_json: bool,
    work: Callable[[Workspace, Terminal], Any],
    to_dict: Callable[[Any], Any],
    to_text: Callable[[Any], str],
    *,
    together: bool = False,
) -> None:
    """Open the workspace, do the work, show the result one way or the other.

    Args:
        together: whether several processes, as `accelerate launch` starts them, can do it as one.
    """
    from inhouse.cli.terminal import Terminal
    from inhouse.store import Workspace

    rank = process_rank()  # an odd one is told before the work
    if not together:
        require_one_process()
    if not folder.is_dir() and folder.exists():
        raise InputError(f"--workspace {folder} is not a folder", "name a folder")
    workspace = Workspace(folder)
    terminal = Terminal()
    try:
        result = work(workspace, terminal)
    except KeyboardInterrupt as stop:
        terminal.warn("stopped; the same command goes on from here")
        raise typer.Exit(130) from stop
    finally:
        terminal.close()
        workspace.close()
    if rank == 0:
        print(json.dumps(to_dict(result), ensure_ascii=False, allow_nan=False) if as_json else to_text(result))


def require_one_process() -> None:
    """Refuse what several processes that a launcher started would do several times over."""
    if (count := process_count()) > 1:
        if process_rank() > 0:  # the first one tells: a launcher ends all as soon as another one fails
            raise typer.Exit
        raise UsageError(
            f"{count} processes were started, and only a training is for several", "start it without a launcher"
        )


def read_options(sheet: str, header: int, encoding: str, delimiter: str) -> ReadOptions:
    """How files are read; a tab is hard to type."""
    from inhouse.sources import ReadOptions

    return ReadOptions(sheet, header, encoding, delimiter.replace("\\t", "\t"))


def asking(terminal: Terminal, *, yes: bool, as_json: bool) -> Callable[[str], bool] | None:
    """What asks the person at the terminal, or says yes for them; None where there is nobody to ask."""
    if yes:
        return lambda _: True
    talking = sys.stdin.isatty() and sys.stderr.isatty()
    return terminal.confirm if talking and not as_json else None


def dump(result: Any) -> Any:  # noqa: ANN401
    return result.model_dump(mode="json")


def as_dict(result: Any) -> Any:  # noqa: ANN401
    return result.as_dict()
