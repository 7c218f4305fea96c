"""What to do about a task: advise."""

from __future__ import annotations

from typing import Annotated

import typer

from inhouse.cli.options import HERE, AsJson, Folder, TaskName
from inhouse.cli.work import do, dump

app = typer.Typer()


@app.command(
    epilog="""\b
    inhouse advise tickets
    inhouse advise tickets --remote-price 2.50 --requests-per-month 40000 --hours 12 --hour-price 45"""
)
def advise(
    task: TaskName,
    remote: Annotated[
        str, typer.Option("--remote", metavar="NAME", help="a model of inhouse.toml to ask too; inputs are sent to it")
    ] = "",
    remote_price: Annotated[
        float | None,
        typer.Option(
            "--remote-price", metavar="N", help="price of a thousand requests to a remote model; else by the evaluation"
        ),
    ] = None,
    requests_per_month: Annotated[
        float | None,
        typer.Option("--requests-per-month", metavar="N", help="expected; else by those that were served"),
    ] = None,
    hours: Annotated[
        float | None, typer.Option("--hours", metavar="N", help="of labelling that the examples take")
    ] = None,
    hour_price: Annotated[
        float | None, typer.Option("--hour-price", metavar="N", help="price of an hour of labelling")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", metavar="N", help="the time that asking may take; what is left out is said"),
    ] = None,
    workspace: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Prompt, retrieve, a classical model, fine-tune, collect more, or leave it: what the evidence speaks for."""
    from inhouse import pipeline
    from inhouse.cli import show_evaluation as show

    do(
        workspace,
        as_json,
        lambda w, t: pipeline.advise(
            w,
            task,
            t,
            remote=remote,
            remote_price=remote_price,
            requests_per_month=requests_per_month,
            hours=hours,
            hour_price=hour_price,
            minutes=minutes,
        ),
        dump,
        show.advised,
    )
