"""From a dataset to a model that is used: train, evaluate, promote, rollback, predict, export."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from inhouse.cli.options import (
    HERE,
    PATHS,
    AsJson,
    Delimiter,
    Encoding,
    Folder,
    Header,
    Inputs,
    Query,
    Sheet,
    TaskName,
    TrainedModel,
    Which,
)
from inhouse.cli.work import as_dict, do, dump, read_options
from inhouse.errors import UsageError
from inhouse.loading import loading

app = typer.Typer()


@app.command(
    epilog="""\b
    inhouse train tickets
    inhouse train tickets --dry-run       what it would do and take
    inhouse train tickets --minutes 10    the best that ten minutes have room for
    inhouse train tickets --curve         what more examples would bring"""
)
def train(
    task: TaskName,
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", metavar="N", help="the time that the training may take"),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="only tell what it would do, and what it would take"),
    ] = False,
    seeds: Annotated[
        int | None, typer.Option("--seeds", metavar="N", help="train N times, to see how far results differ by chance")
    ] = None,
    curve: Annotated[
        bool, typer.Option("--curve", help="train on growing shares, and say what more examples would bring")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="repeat a training that is done")] = False,
    model: TrainedModel = "",
    workspace: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Fine-tune the base model, or an encoder, on the newest data; goes on where an interrupted training was."""
    with loading():
        from inhouse import pipeline
        from inhouse.cli import show

        verb: Callable[..., Any] = partial(pipeline.train, again=again)
    if sum((dry_run, curve, seeds is not None)) > 1:
        raise UsageError("--dry-run, --curve and --seeds are different things to do", "give one of them")
    if again and (dry_run or curve):
        raise UsageError("--again repeats a training; --dry-run and --curve make no version", "leave --again out")
    told: Callable[[Any], str] = show.trained
    if curve:
        verb, told = pipeline.train_curve, show.curve
    elif dry_run:
        verb, told = pipeline.plan_training, show.planned
    elif seeds is not None:
        verb, told = partial(pipeline.train_seeds, seeds=seeds, again=again), show.seeds
    together = not (dry_run or curve)
    do(workspace, as_json, lambda w, t: verb(w, task, t, minutes=minutes, model=model), dump, told, together=together)


@app.command(
    epilog="""\b
    inhouse evaluate tickets
    inhouse evaluate tickets --minutes 10            what ten minutes have room for
    inhouse evaluate tickets --contender prompted    that one the whole test
    inhouse evaluate letters --grades graded.csv     how far a model as judge agrees with people"""
)
def evaluate(
    task: TaskName,
    which: Which = "latest",
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", metavar="N", help="the time that asking may take; what is left out is said"),
    ] = None,
    contender: Annotated[
        list[str] | None,
        typer.Option("--contender", metavar="NAME", help="ask this one all, beside what is quick or kept; repeatable"),
    ] = None,
    grades: Annotated[
        Path | None,
        typer.Option("--grades", metavar="FILE", help="answers that people graded 1 to 5, to check a model as judge"),
    ] = None,
    workspace: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Compare what was fine-tuned, if anything was, with prompting and classical models; give the verdict."""
    from inhouse import pipeline
    from inhouse.cli import show

    do(
        workspace,
        as_json,
        lambda w, t: pipeline.evaluate(
            w, task, t, which=which, minutes=minutes, contenders=contender or (), grades=grades
        ),
        dump,
        show.evaluated,
    )


@app.command(epilog='inhouse promote tickets --force --reason "trial for two weeks"')
def promote(
    task: TaskName,
    which: Which = "",
    contender: Annotated[
        str,
        typer.Option(
            "--contender",
            metavar="NAME",
            help="a contender of its evaluation; absent: the model itself, or another one that is enough",
        ),
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="serve what the verdict does not support")] = False,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="why; kept with the version")] = "",
    workspace: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Let the candidate serve; refused (exit code 4) without a verdict that supports it."""
    from inhouse import pipeline
    from inhouse.cli import show

    do(
        workspace,
        as_json,
        lambda w, t: pipeline.promote(w, task, t, which=which, contender=contender, force=force, reason=reason),
        as_dict,
        show.promoted,
    )


@app.command(epilog="inhouse rollback tickets")
def rollback(
    task: TaskName,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="why; kept with the version")] = "",
    workspace: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Let the champion before this one serve again."""
    from inhouse import pipeline
    from inhouse.cli import show

    do(workspace, as_json, lambda w, t: pipeline.rollback(w, task, t, reason=reason), as_dict, show.promoted)


@app.command(epilog="inhouse predict tickets new.csv --out answers.csv")
def predict(
    task: TaskName,
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH", help=f"{PATHS}; documents: PDF, Word, HTML, mails, pictures")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="the CSV to write")],
    inputs: Inputs = None,
    query: Query = "",
    sheet: Sheet = "",
    header: Header = 0,
    encoding: Encoding = "",
    delimiter: Delimiter = "",
    which: Which = "champion",
    workspace: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Answer every row of tables and databases, and every document: prediction, confidence, needs_review, error."""
    from inhouse import pipeline
    from inhouse.cli import show

    do(
        workspace,
        as_json,
        lambda w, t: pipeline.predict(
            w,
            task,
            paths,
            out,
            t,
            which=which,
            inputs=inputs or (),
            options=read_options(sheet, header, encoding, delimiter),
            query=query,
        ),
        as_dict,
        show.predicted,
    )


@app.command(epilog="inhouse export tickets --to ollama --out tickets-ollama")
def export(
    task: TaskName,
    to: Annotated[
        str,
        typer.Option("--to", help="gguf, ollama, openvino, adapter (PEFT), merged (transformers) or vllm"),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="the folder to write")],
    which: Which = "champion",
    workspace: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Write a version as another tool reads it, with chat template and what to do next."""
    from inhouse import pipeline
    from inhouse.cli import show

    do(
        workspace,
        as_json,
        lambda w, t: pipeline.export(w, task, t, to=to, out=out, which=which),
        as_dict,
        show.exported,
    )
