"""The command line: all commands in their order, and the exit codes of the contract."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from inhouse.cli.commands import access, advice, data, journey, model, service
from inhouse.errors import ConfigError, InhouseError
from inhouse.launched import process_rank

app = typer.Typer(
    name="inhouse",
    help="Fine-tune a pre-trained model on your own examples, on your own machine, and prove whether it helped.",
    epilog="First time? inhouse run tickets messages.csv   (your file, all steps, a verdict)",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for part in (data, advice, model, service, access, journey):
    app.add_typer(part.app)
app.add_typer(access.keys_app, name="keys")
app.add_typer(journey.models_app, name="models")


def _version(wanted: bool) -> None:
    if wanted:
        from inhouse import __version__

        print(f"inhouse {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="show the version")
    ] = False,
) -> None:
    """Fine-tune a pre-trained model on your own examples, on your own machine, and prove whether it helped."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the code of the contract: 0, 1, 2, 3 or 4."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        app(args=given, prog_name="inhouse")
    except SystemExit as end:
        if end.code == 2 and "--json" in given:  # typer has said on standard error what is wrong
            told = {"type": "UsageError", "message": "wrong usage: see standard error", "exit_code": 2}
            print(json.dumps({"error": told}))
        raise
    except InhouseError as error:
        _fail(error.as_dict(), str(error), error.exit_code, as_json="--json" in given)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "inhouse":
            raise
        what = f"the library {error.name!r} is not installed"
        remedy = 'pip install "inhouse[all]"'
        _fail(
            {"message": what, "remedy": remedy, "exit_code": 3}, f"{what}\n  -> {remedy}", 3, as_json="--json" in given
        )
    except Exception as error:
        if "--json" in given:
            print(json.dumps({"error": _fault(error)}, ensure_ascii=False))
        raise


def _fault(error: Exception) -> dict[str, object]:
    return {"type": type(error).__name__, "message": f"a fault of inhouse: {error}", "exit_code": 1}


def _fail(error: dict[str, object], text: str, code: int, *, as_json: bool) -> None:
    print(f"error: {text}", file=sys.stderr)
    if as_json and _speaks_for_all():
        print(json.dumps({"error": error}, ensure_ascii=False))
    sys.exit(code)


def _speaks_for_all() -> bool:
    """Whether this process, of those that train together, writes the one JSON object."""
    try:
        return process_rank() == 0
    except ConfigError:  # it is the error that is told
        return True
