"""The commands. Each parses, calls one function, and shows its result."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inhouse.errors import ConfigError, InhouseError, InputError, UsageError
from inhouse.launched import process_count, process_rank

if TYPE_CHECKING:
    from inhouse.cli.terminal import Terminal
    from inhouse.sources import ReadOptions
    from inhouse.store import Workspace

app = typer.Typer(
    name="inhouse",
    help="Fine-tune a pre-trained model on your own examples, on your own machine, and prove whether it helped.",
    epilog="First time? inhouse run tickets messages.csv   (your file, all steps, a verdict)",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
models_app = typer.Typer(help="Base models: what is known, what is here.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(models_app, name="models")

TaskName = Annotated[str, typer.Argument(metavar="TASK", help="name of the task, such as tickets")]
Folder = Annotated[Path, typer.Option("--workspace", "-w", metavar="DIR", help="the workspace folder")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON object on standard output")]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="COLUMN",
        help="input column, a dotted path into JSON, or NAME=COLUMN; may be repeated. Where it holds "
        "names of .pdf, .docx, .txt or .md files, their text is read",
    ),
]
Target = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="COLUMN",
        help="the column with the right answer, or a dotted path into JSON; repeated: an object's fields",
    ),
]
Group = Annotated[
    str,
    typer.Option(
        "--group", metavar="COLUMN", help="a column, or a dotted path into JSON; rows of one group stay in one split"
    ),
]
Key = Annotated[
    str,
    typer.Option(
        "--key",
        metavar="COLUMN",
        help="a column that tells rows apart: a row of a corrected file replaces its older form",
    ),
]
FILES = "CSV, TSV, JSONL (chat files too), JSON or XLSX"
PATHS = f"{FILES}; a folder of them, a pattern such as 'exports/*.csv', or the URL of a database"
MODEL = "a name of `inhouse models list`, a GGUF file, a model folder, or a hub id (ORG/NAME)"
KIND = "classify: one label out of a set; extract: a JSON object; generate: a text of fixed structure"
Kind = Annotated[str, typer.Option("--kind", help=f"of a new task; not given, it is inferred. {KIND}")]
TestFile = Annotated[Path | None, typer.Option("--test", metavar="FILE", help="a file that is the test set, unedited")]
DropRare = Annotated[bool, typer.Option("--drop-rare", help="set labels that appear once aside")]
Query = Annotated[
    str, typer.Option("--query", metavar="SQL", help="what to read from a database; only reading is allowed")
]
Sheet = Annotated[str, typer.Option("--sheet", metavar="NAME", help="the sheet of a workbook")]
Header = Annotated[
    int, typer.Option("--header", metavar="ROW", min=0, help="the row that names the columns, the first is 1")
]
Encoding = Annotated[str, typer.Option("--encoding", metavar="NAME", help="of text files, such as cp1252")]
Delimiter = Annotated[
    str, typer.Option("--delimiter", metavar="TEXT", help=r"between the cells of a CSV file; \t is a tab")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="take what is inferred without asking")]
Which = Annotated[str, typer.Option("--version", metavar="N", help="a version number, champion, candidate or latest")]
TrainedModel = Annotated[
    str,
    typer.Option("--model", metavar="MODEL", help="what to fine-tune: causal, or encoder for a classify task"),
]

HERE = Path()


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


def _do(
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
        _require_one_process()
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


def _require_one_process() -> None:
    """Refuse what several processes that a launcher started would do several times over."""
    if (count := process_count()) > 1:
        if process_rank() > 0:  # the first one tells: a launcher ends all as soon as another one fails
            raise typer.Exit
        raise UsageError(
            f"{count} processes were started, and only a training is for several", "start it without a launcher"
        )


def _options(sheet: str, header: int, encoding: str, delimiter: str) -> ReadOptions:
    """How files are read; a tab is hard to type."""
    from inhouse.sources import ReadOptions

    return ReadOptions(sheet, header, encoding, delimiter.replace("\\t", "\t"))


def _confirm(terminal: Terminal, *, yes: bool, as_json: bool) -> Callable[[str], bool] | None:
    """What asks the person at the terminal; None where there is nobody to ask, or nothing to be asked."""
    talking = sys.stdin.isatty() and sys.stderr.isatty()
    return terminal.confirm if talking and not yes and not as_json else None


def _dump(result: Any) -> Any:  # noqa: ANN401
    return result.model_dump(mode="json")


def _as_dict(result: Any) -> Any:  # noqa: ANN401
    return result.as_dict()


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

    _do(
        workspace,
        as_json,
        lambda w, _: (
            pipeline.init(w, task, kind=kind, instruction=instruction, base_model=base),
            w.paths.task_file(task),
        ),
        lambda made: {**_dump(made[0]), "file": str(made[1])},
        lambda made: f"task {task}: {made[1]}\nnext: inhouse add {task} FILE",
    )


@app.command(
    epilog="""\b
    inhouse add tickets messages.csv --input text --target category
    inhouse add tickets exports/                  all files below the folder
    inhouse add tickets old.csv --input text=body --target category=class
    inhouse add tickets postgresql://me@localhost/crm --query "SELECT text, category FROM mails"
    inhouse add tickets new.csv --unlabelled      rows without a target, for inhouse label
    inhouse add tickets traces                    the corrections of what was served"""
)
def add(
    task: TaskName,
    paths: Annotated[list[str] | None, typer.Argument(metavar="PATH", help=f"{PATHS}, or the word traces")] = None,
    kind: Kind = "",
    inputs: Inputs = None,
    target: Target = None,
    group: Group = "",
    key: Key = "",
    test: TestFile = None,
    drop_rare: DropRare = False,
    query: Query = "",
    sheet: Sheet = "",
    header: Header = 0,
    encoding: Encoding = "",
    delimiter: Delimiter = "",
    yes: Yes = False,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="keep rows without a target, for `inhouse label`")
    ] = False,
    from_labelstudio: Annotated[
        Path | None, typer.Option("--from-labelstudio", metavar="FILE", help="answers of a Label Studio project (JSON)")
    ] = None,
    to_labelstudio: Annotated[
        Path | None, typer.Option("--to-labelstudio", metavar="FILE", help="write a project for Label Studio")
    ] = None,
    from_argilla: Annotated[
        Path | None, typer.Option("--from-argilla", metavar="FILE", help="answers of an Argilla dataset (JSON)")
    ] = None,
    to_argilla: Annotated[
        Path | None, typer.Option("--to-argilla", metavar="FILE", help="write records for Argilla")
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
        _do(workspace, as_json, lambda w, t: exchange(w, task, file, t, tool=tool), _as_dict, show_data.exchanged)
        return
    _do(
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
            options=_options(sheet, header, encoding, delimiter),
            query=query,
            confirm=_confirm(t, yes=yes, as_json=as_json),
            unlabelled=unlabelled,
        ),
        _as_dict,
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

    def work(w: Workspace, terminal: Terminal) -> pipeline.Labelled:
        if as_json:
            return pipeline.label(w, task, terminal, by=by)
        kind = w.load_task(task).kind
        require_terminal(task)
        return pipeline.label(w, task, terminal, ask=Labeller(kind, terminal), by=by)

    _do(workspace, as_json, work, _as_dict, labelled)


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
        _do(
            workspace,
            as_json,
            lambda w, t: pipeline.findings(w, task, t, show=look_up, page=page),
            _as_dict,
            show_data.findings_page,
        )
        return
    if page != 1:
        raise UsageError("--page is of what --show shows", "add --show all")
    _do(
        workspace,
        as_json,
        lambda w, t: pipeline.clean(
            w, task, t, apply=apply or (), whole=whole or (), keep_map=not no_map, report=report
        ),
        _as_dict,
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

    _do(
        workspace,
        as_json,
        lambda w, t: pipeline.diff(w, task, t, before=before, after=after),
        _as_dict,
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

    _do(workspace, as_json, lambda w, t: pipeline.undo(w, task, t, to=to), _as_dict, show_data.undone)


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

    _do(
        workspace,
        as_json,
        lambda w, t: pipeline.forget(w, task, t, source=source, match=match, yes=yes),
        _as_dict,
        partial(show_data.forgotten, again=_again(task, source, match)),
    )


def _again(task: str, source: str, match: str) -> str:
    return shlex.join(["inhouse", "forget", task, *(["--source", source] if source else ["--match", match]), "--yes"])


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
    from inhouse import pipeline
    from inhouse.cli import show

    if sum((dry_run, curve, seeds is not None)) > 1:
        raise UsageError("--dry-run, --curve and --seeds are different things to do", "give one of them")
    if again and (dry_run or curve):
        raise UsageError("--again repeats a training; --dry-run and --curve make no version", "leave --again out")
    verb: Callable[..., Any] = partial(pipeline.train, again=again)
    told: Callable[[Any], str] = show.trained
    if curve:
        verb, told = pipeline.train_curve, show.curve
    elif dry_run:
        verb, told = pipeline.plan_training, show.planned
    elif seeds is not None:
        verb, told = partial(pipeline.train_seeds, seeds=seeds, again=again), show.seeds
    together = not (dry_run or curve)
    _do(workspace, as_json, lambda w, t: verb(w, task, t, minutes=minutes, model=model), _dump, told, together=together)


@app.command(epilog="inhouse evaluate tickets")
def evaluate(task: TaskName, which: Which = "latest", workspace: Folder = HERE, as_json: AsJson = False) -> None:
    """Compare a version with prompting and with classical models on the test examples; give the verdict."""
    from inhouse import pipeline
    from inhouse.cli import show

    _do(workspace, as_json, lambda w, t: pipeline.evaluate(w, task, t, which=which), _dump, show.evaluated)


@app.command(epilog='inhouse promote tickets --force --reason "trial for two weeks"')
def promote(
    task: TaskName,
    which: Which = "",
    force: Annotated[bool, typer.Option("--force", help="serve what the verdict does not support")] = False,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="why; kept with the version")] = "",
    workspace: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Let the candidate serve; refused (exit code 4) without a verdict that supports it."""
    from inhouse import pipeline
    from inhouse.cli import show

    _do(
        workspace,
        as_json,
        lambda w, t: pipeline.promote(w, task, t, which=which, force=force, reason=reason),
        _as_dict,
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

    _do(workspace, as_json, lambda w, t: pipeline.rollback(w, task, t, reason=reason), _as_dict, show.promoted)


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

    _do(
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
            options=_options(sheet, header, encoding, delimiter),
            query=query,
        ),
        _as_dict,
        show.predicted,
    )


@app.command(epilog="inhouse export tickets --to ollama --out tickets-ollama")
def export(
    task: TaskName,
    to: Annotated[
        str,
        typer.Option("--to", help="gguf, ollama, adapter (PEFT) or merged (transformers); of an encoder: openvino"),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="the folder to write")],
    which: Which = "champion",
    workspace: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Write a version as another tool reads it, with chat template and what to do next."""
    from inhouse import pipeline
    from inhouse.cli import show

    _do(
        workspace,
        as_json,
        lambda w, t: pipeline.export(w, task, t, to=to, out=out, which=which),
        _as_dict,
        show.exported,
    )


@app.command(epilog="inhouse serve --port 8000")
def serve(
    host: Annotated[str, typer.Option("--host", help="address to listen on (inhouse.toml: serve.host)")] = "",
    port: Annotated[int | None, typer.Option("--port", help="0 takes a free one (inhouse.toml: serve.port)")] = None,
    workspace: Folder = HERE,
) -> None:
    """Serve the champions to any OpenAI client, on this machine only."""
    from inhouse import api
    from inhouse.cli.terminal import Terminal
    from inhouse.store import Workspace

    _require_one_process()
    api.serve(Workspace(workspace), Terminal(), host=host, port=port)


@app.command(epilog="inhouse monitor tickets")
def monitor(task: TaskName, workspace: Folder = HERE, as_json: AsJson = False) -> None:
    """Quality and drift of what was served; keep, collect, retrain or go back."""
    from inhouse import pipeline
    from inhouse.cli import show

    _do(workspace, as_json, lambda w, t: pipeline.monitor(w, task, t), _dump, show.monitored)


@app.command(epilog="inhouse retrain tickets")
def retrain(task: TaskName, workspace: Folder = HERE, as_json: AsJson = False) -> None:
    """Train on old data and Corrections; compare candidate and champion. Nothing is promoted."""
    from inhouse import pipeline
    from inhouse.cli import show

    _do(
        workspace,
        as_json,
        lambda w, t: pipeline.retrain(w, task, t),
        _as_dict,
        lambda done: show.evaluated(done.evaluation),
    )


@app.command(
    epilog="""\b
    inhouse run tickets messages.csv --input text --target category
    inhouse run support chat.jsonl
    inhouse run invoices invoices.jsonl --target fields --group fields.supplier
    """
)
def run(
    task: TaskName,
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help=PATHS)],
    kind: Kind = "",
    inputs: Inputs = None,
    target: Target = None,
    group: Group = "",
    key: Key = "",
    test: TestFile = None,
    drop_rare: DropRare = False,
    query: Query = "",
    sheet: Sheet = "",
    header: Header = 0,
    encoding: Encoding = "",
    delimiter: Delimiter = "",
    yes: Yes = False,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, max=50, help="passes over the data")] = None,
    model: TrainedModel = "",
    workspace: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """All of it in one go: init, add, clean, train, evaluate; the new version becomes the candidate."""
    from inhouse import pipeline
    from inhouse.cli import show

    _do(
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
            options=_options(sheet, header, encoding, delimiter),
            query=query,
            confirm=_confirm(t, yes=yes, as_json=as_json),
            epochs=epochs,
            model=model,
        ),
        _as_dict,
        lambda done: show.evaluated(done.evaluation),
    )


@app.command(epilog="inhouse status")
def status(workspace: Folder = HERE, as_json: AsJson = False) -> None:
    """Tasks, data, versions, traffic, and the next step of each."""
    from inhouse import pipeline
    from inhouse.cli import show

    _do(workspace, as_json, lambda w, _: pipeline.status(w), lambda found: found, show.status)


@app.command(epilog="inhouse doctor")
def doctor(workspace: Folder = HERE, as_json: AsJson = False) -> None:
    """What this machine has for the work, what is missing, and how to get it."""
    from inhouse import pipeline
    from inhouse.cli import show

    _do(workspace, as_json, lambda w, _: pipeline.doctor(w.settings), _as_dict, show.checkup)


@models_app.command("list", epilog="inhouse models list")
def models_list(workspace: Folder = HERE, as_json: AsJson = False) -> None:
    """The base models that inhouse knows, and those of the hub that were pulled."""
    from inhouse import pipeline
    from inhouse.cli import show

    _do(workspace, as_json, lambda w, _: pipeline.list_models(w.settings), lambda found: {"models": found}, show.models)


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

    _do(workspace, as_json, lambda w, t: pipeline.pull_model(w.settings, name, t), lambda found: found, show.pulled)


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
