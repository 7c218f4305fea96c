"""The whole of it: run, status, doctor, and the base models."""

from __future__ import annotations

from typing import Annotated

import typer

from inhouse.cli.options import (
    HERE,
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
    TrainedModel,
    Yes,
)
from inhouse.cli.panels import PanelledCommand
from inhouse.cli.work import as_dict, asking, do, read_options

app = typer.Typer()
models_app = typer.Typer(help="Base models: what is known, what is here.", no_args_is_help=True, rich_markup_mode=None)


@app.command(
    cls=PanelledCommand,
    epilog="""\b
    inhouse run tickets messages.csv --input text --target category
    inhouse run support chat.jsonl
    inhouse run invoices invoices.jsonl --target fields --group fields.supplier
    """,
)
def run(
    task: TaskName,
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help=PATHS)],
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
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, max=50, help="passes over the data")] = None,
    model: TrainedModel = "",
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", metavar="N", help="the time that all training together may take"),
    ] = None,
    workspace: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """All of it in one go: init, add, clean, train, evaluate; the new version becomes the candidate."""
    from inhouse import pipeline
    from inhouse.cli import show

    do(
        workspace,
        as_json,
        lambda w, t: pipeline.run(
            w,
            task,
            paths,
            t,
            test=test,
            inputs=inputs or (),
            kind=kind,
            target=target or (),
            group=group,
            key=key,
            drop_rare=drop_rare,
            options=read_options(sheet, header, encoding, delimiter),
            query=query,
            confirm=asking(t, yes=yes, as_json=as_json),
            epochs=epochs,
            model=model,
            minutes=minutes,
        ),
        as_dict,
        lambda done: show.evaluated(done.evaluation),
    )


@app.command(epilog="inhouse status")
def status(workspace: Folder = HERE, as_json: AsJson = False) -> None:
    """Tasks, data, versions, traffic, and the next step of each."""
    from inhouse import pipeline
    from inhouse.cli import show

    do(workspace, as_json, lambda w, _: pipeline.status(w), lambda found: found, show.status)


@app.command(epilog="inhouse doctor")
def doctor(workspace: Folder = HERE, as_json: AsJson = False) -> None:
    """What this machine has for the work, what is missing, and how to get it."""
    from inhouse import pipeline
    from inhouse.cli import show

    do(workspace, as_json, lambda w, _: pipeline.doctor(w.settings), as_dict, show.checkup)


@models_app.command("list", epilog="inhouse models list")
def models_list(workspace: Folder = HERE, as_json: AsJson = False) -> None:
    """The base models that inhouse knows, and those of the hub that were pulled."""
    from inhouse import pipeline
    from inhouse.cli import show

    do(workspace, as_json, lambda w, _: pipeline.list_models(w.settings), lambda found: {"models": found}, show.models)


@models_app.command(
    "pull",
    epilog="""\b
    inhouse models pull smollm2-135m-instruct
    inhouse models pull Qwen/Qwen3-0.6B
    """,
)
def models_pull(
    name: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL)],
    workspace: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Fetch a base model, check it and convert it for training."""
    from inhouse import pipeline
    from inhouse.cli import show

    do(workspace, as_json, lambda w, t: pipeline.pull_model(w.settings, name, t), lambda found: found, show.pulled)
