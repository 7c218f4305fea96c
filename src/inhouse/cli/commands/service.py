"""A model at work: serve, monitor, retrain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inhouse.cli.options import HERE, AsJson, Folder, TaskName
from inhouse.cli.work import as_dict, do, dump, require_one_process

if TYPE_CHECKING:
    from inhouse.store import Workspace
    from inhouse.store.jobs import Job

app = typer.Typer()


@app.command(epilog="inhouse serve --port 8000")
def serve(
    host: Annotated[str, typer.Option("--host", help="address to listen on (inhouse.toml: serve.host)")] = "",
    port: Annotated[int | None, typer.Option("--port", help="0 takes a free one (inhouse.toml: serve.port)")] = None,
    tls_cert: Annotated[
        Path | None,
        typer.Option("--tls-cert", metavar="FILE", help="certificate, PEM (inhouse.toml: serve.tls_cert)"),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option("--tls-key", metavar="FILE", help="its key, PEM (inhouse.toml: serve.tls_key)")
    ] = None,
    workspace: Folder = HERE,
) -> None:
    """Serve the champions to any OpenAI client; on this machine only, unless you say otherwise."""
    from inhouse import api
    from inhouse.cli.terminal import Terminal
    from inhouse.store import Workspace

    require_one_process()
    api.serve(Workspace(workspace), Terminal(), host=host, port=port, tls_cert=tls_cert, tls_key=tls_key)


@app.command(epilog="inhouse worker")
def worker(
    once: Annotated[bool, typer.Option("--once", help="end when no job waits")] = False,
    job: Annotated[
        str, typer.Option("--job", metavar="ID", help="what the worker starts for one job", hidden=True)
    ] = "",
    workspace: Folder = HERE,
) -> None:
    """Work on the jobs that were asked for over the API, until Ctrl-C."""
    from inhouse.cli.terminal import Terminal
    from inhouse.pipeline.jobs.child import do_job
    from inhouse.pipeline.jobs.worker import work
    from inhouse.store import Workspace

    require_one_process()
    opened = Workspace(workspace)
    try:
        if job:
            do_job(opened, job, {"batch": _answer_batch, "fine-tune": _fine_tune})
        else:
            work(opened, Terminal(), once=once)
    finally:
        opened.close()


def _answer_batch(workspace: Workspace, job: Job) -> None:
    from inhouse.api.batches import answer_batch

    answer_batch(workspace, job)


def _fine_tune(workspace: Workspace, job: Job) -> None:
    from inhouse.pipeline.jobs.fine_tuning import fine_tune

    fine_tune(workspace, job)


@app.command(epilog="inhouse monitor tickets")
def monitor(task: TaskName, workspace: Folder = HERE, as_json: AsJson = False) -> None:
    """Quality and drift of what was served; keep, collect, retrain or go back."""
    from inhouse import pipeline
    from inhouse.cli import show

    do(workspace, as_json, lambda w, t: pipeline.monitor(w, task, t), dump, show.monitored)


@app.command(epilog="inhouse retrain tickets")
def retrain(task: TaskName, workspace: Folder = HERE, as_json: AsJson = False) -> None:
    """Train on old data and Corrections; compare candidate and champion. Nothing is promoted."""
    from inhouse import pipeline
    from inhouse.cli import show

    do(
        workspace,
        as_json,
        lambda w, t: pipeline.retrain(w, task, t),
        as_dict,
        lambda done: show.evaluated(done.evaluation),
    )
