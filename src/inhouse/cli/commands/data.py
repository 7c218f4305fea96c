"""From the files of a company to a dataset worth training on: init, add, label, clean, diff, undo, forget."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inhouse.cli.options import (
    HERE,
    KIND,
    MODEL,
    PATHS,
    AsJson,
    Delimiter,
    DropRare,
    Encoding,
    Folder,
    Group,
    Header,
    Inputs,
    Key,
    Kind,
    Query,
    Sheet,
    Target,
    TaskName,
    TestFile,
    Yes,
)
from inhouse.cli.panels import EXCHANGE, TOGETHER, PanelledCommand
from inhouse.cli.work import as_dict, asking, do, dump, read_options
from inhouse.errors import UsageError

if TYPE_CHECKING:
    from inhouse.cli.terminal import Terminal
    from inhouse.pipeline import Labelled
    from inhouse.store import Workspace

app = typer.Typer()


@app.command(epilog="inhouse init tickets --kind classify")
def init(
    task: TaskName,
    kind: Annotated[str, typer.Option("--kind", help=KIND)] = "classify",
    instruction: Annotated[str, typer.Option("--instruction", help="what the task is, for the prompted model")] = "",
    base: Annotated[str, typer.Option("--base", metavar="MODEL", help=f"base model: {MODEL}")] = "",
    workspace: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Make a task, and the folder a workspace if it is none."""
    from inhouse import pipeline

    do(
        workspace,
        as_json,
        lambda w, _: (
            pipeline.init(w, task, kind=kind, instruction=instruction, base_model=base),
            w.paths.task_file(task),
        ),
        lambda made: {**dump(made[0]), "file": str(made[1])},
        lambda made: f"task {task}: {made[1]}\nnext: inhouse add {task} FILE",
    )


@app.command(
    cls=PanelledCommand,
    epilog="""\b
    inhouse add tickets messages.csv --input text --target category
    inhouse add tickets exports/                  all files below the folder
    inhouse add tickets old.csv --input text=body --target category=class
    inhouse add tickets postgresql://me@localhost/crm --query "SELECT text, category FROM mails"
    inhouse add tickets new.csv --unlabelled      rows without a target, for inhouse label
    inhouse add tickets traces                    the corrections of what was served""",
)
def add(
    task: TaskName,
    paths: Annotated[list[str] | None, typer.Argument(metavar="PATH", help=f"{PATHS}, or the word traces")] = None,
    inputs: Inputs = None,
    target: Target = None,
    kind: Kind = "",
    test: TestFile = None,
    group: Group = "",
    key: Key = "",
    drop_rare: DropRare = False,
    query: Query = "",
    sheet: Sheet = "",
    header: Header = 0,
    encoding: Encoding = "",
    delimiter: Delimiter = "",
    yes: Yes = False,
    unlabelled: Annotated[
        bool,
        typer.Option("--unlabelled", help="keep rows without a target, for `inhouse label`", rich_help_panel=TOGETHER),
    ] = False,
    from_labelstudio: Annotated[
        Path | None,
        typer.Option(
            "--from-labelstudio",
            metavar="FILE",
            help="answers of a Label Studio project (JSON)",
            rich_help_panel=EXCHANGE,
        ),
    ] = None,
    to_labelstudio: Annotated[
        Path | None,
        typer.Option(
            "--to-labelstudio", metavar="FILE", help="write a project for Label Studio", rich_help_panel=EXCHANGE
        ),
    ] = None,
    from_argilla: Annotated[
        Path | None,
        typer.Option(
            "--from-argilla", metavar="FILE", help="answers of an Argilla dataset (JSON)", rich_help_panel=EXCHANGE
        ),
    ] = None,
    to_argilla: Annotated[
        Path | None,
        typer.Option("--to-argilla", metavar="FILE", help="write records for Argilla", rich_help_panel=EXCHANGE),
    ] = None,
    workspace: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Read files into the task's next dataset version; what is not named is inferred, shown and asked once."""
    from inhouse import pipeline
    from inhouse.cli import show, show_data

    exchanges = {
        (tool, way): file
        for tool, way, file in (
            ("labelstudio", "from", from_labelstudio),
            ("labelstudio", "to", to_labelstudio),
            ("argilla", "from", from_argilla),
            ("argilla", "to", to_argilla),
        )
        if file is not None
    }
    if exchanges:
        if len(exchanges) > 1 or paths or test:
            raise UsageError("a project of a labelling tool is exchanged by itself", "give one option, and no PATH")
        ((tool, way), file) = next(iter(exchanges.items()))
        exchange = pipeline.from_tool if way == "from" else pipeline.to_tool
        do(workspace, as_json, lambda w, t: exchange(w, task, file, t, tool=tool), as_dict, show_data.exchanged)
        return
    do(
        workspace,
        as_json,
        lambda w, t: pipeline.add(
            w,
            task,
            paths or [],
            t,
            test=test,
            kind=kind,
            inputs=inputs or (),
            target=target or (),
            group=group,
            key=key,
            drop_rare=drop_rare,
            options=read_options(sheet, header, encoding, delimiter),
            query=query,
            confirm=asking(t, yes=yes, as_json=as_json),
            unlabelled=unlabelled,
        ),
        as_dict,
        show.added,
    )


@app.command(
    epilog="""\b
    inhouse label tickets
    inhouse label tickets --json    the records in their order, without asking"""
)
def label(
    task: TaskName,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="who labels; default: the user of this machine")] = "",
    workspace: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Label records one by one, those first that teach most, each with a suggestion; they become examples."""
    from inhouse import pipeline
    from inhouse.cli.label import Labeller, labelled, require_terminal

    def work(w: Workspace, terminal: Terminal) -> Labelled:
        if as_json:
            return pipeline.label(w, task, terminal, by=by)
        kind = w.load_task(task).kind
        require_terminal(task)
        return pipeline.label(w, task, terminal, ask=Labeller(kind, terminal), by=by)

    do(workspace, as_json, work, as_dict, labelled)


@app.command(
    epilog="""\b
    inhouse clean tickets --apply safe
    inhouse clean tickets --show near_duplicate --page 2    what an earlier look found"""
)
def clean(
    task: TaskName,
    apply: Annotated[
        list[str] | None,
        typer.Option("--apply", metavar="WHAT", help="a finding's id, a check, safe, or all; may be repeated"),
    ] = None,
    whole: Annotated[
        list[str] | None,
        typer.Option("--whole", metavar="CHECK", help="look at all examples, not at a sample of many; may be repeated"),
    ] = None,
    look_up: Annotated[
        str,
        typer.Option("--show", metavar="WHAT", help="kept findings, side by side: a finding's id, a check, or all"),
    ] = "",
    page: Annotated[int, typer.Option("--page", metavar="K", min=1, help="of what --show shows, 100 a page")] = 1,
    no_map: Annotated[
        bool, typer.Option("--no-map", help="forget what the placeholders of masked personal data stand for")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="write a report on personal data for an auditor (.md or .html)"),
    ] = None,
    workspace: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Look for problems in the data; what is applied makes a new dataset version."""
    from inhouse import pipeline
    from inhouse.cli import show, show_data

    if look_up:
        if apply or whole or report:
            raise UsageError(
                "--show only shows what was found; --apply, --whole and --report look again", "give one of them"
            )
        do(
            workspace,
            as_json,
            lambda w, t: pipeline.findings(w, task, t, show=look_up, page=page),
            as_dict,
            show_data.findings_page,
        )
        return
    if page != 1:
        raise UsageError("--page is of what --show shows", "add --show all")
    do(
        workspace,
        as_json,
        lambda w, t: pipeline.clean(
            w, task, t, apply=apply or (), whole=whole or (), keep_map=not no_map, report=report
        ),
        as_dict,
        show.cleaned,
    )


@app.command(
    epilog="""\b
    inhouse diff tickets        the newest version against the one before
    inhouse diff tickets 2 5    version 2 against version 5"""
)
def diff(
    task: TaskName,
    before: Annotated[
        int | None, typer.Argument(metavar="A", help="a dataset version; default: the one before")
    ] = None,
    after: Annotated[int | None, typer.Argument(metavar="B", help="a dataset version; default: the newest")] = None,
    workspace: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Show what differs between two dataset versions: rows side by side, counts, and why."""
    from inhouse import pipeline
    from inhouse.cli import show_data

    do(
        workspace,
        as_json,
        lambda w, t: pipeline.diff(w, task, t, before=before, after=after),
        as_dict,
        show_data.differences,
    )


@app.command(
    epilog="""\b
    inhouse undo tickets           take the newest change back
    inhouse undo tickets --to 3    make version 3 the newest again"""
)
def undo(
    task: TaskName,
    to: Annotated[int | None, typer.Option("--to", metavar="N", help="the dataset version to go back to")] = None,
    workspace: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Take the newest change of the data back, in a new dataset version; nothing is lost."""
    from inhouse import pipeline
    from inhouse.cli import show_data

    do(workspace, as_json, lambda w, t: pipeline.undo(w, task, t, to=to), as_dict, show_data.undone)


@app.command(
    epilog="""\b
    inhouse forget tickets --match "Jane Doe"          what would be erased
    inhouse forget tickets --match "Jane Doe" --yes    erase it
    inhouse forget tickets --source jane.csv --yes"""
)
def forget(
    task: TaskName,
    source: Annotated[
        str, typer.Option("--source", metavar="FILE", help="the rows that came from this file (or name, or checksum)")
    ] = "",
    match: Annotated[str, typer.Option("--match", metavar="TEXT", help="the rows that hold this text")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="erase; without it, only show what would be")] = False,
    workspace: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Erase rows from every dataset version and whatever was made of them; name the models that learned from them."""
    from inhouse import pipeline
    from inhouse.cli import show_data

    do(
        workspace,
        as_json,
        lambda w, t: pipeline.forget(w, task, t, source=source, match=match, yes=yes),
        as_dict,
        partial(show_data.forgotten, again=_again(task, source, match)),
    )


def _again(task: str, source: str, match: str) -> str:
    return shlex.join(["inhouse", "forget", task, *(["--source", source] if source else ["--match", match]), "--yes"])
