"""Answers a batch: each of its requests goes through the endpoints of the server, without a socket between.

So a request is refused, answered and kept as a Trace as one that comes over HTTP would be. The requests to one model
are answered together, and it is freed before the next one is loaded.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import IO, Any

from fastapi import FastAPI
from starlette.types import Message

from inhouse.api.app import make_app
from inhouse.api.caller import Caller
from inhouse.api.errors import error_body
from inhouse.api.shapes.batches import CANCEL, expires_at
from inhouse.core.json_schema import compact
from inhouse.deploy.runtime import AT_ONCE
from inhouse.errors import Busy, NotFound
from inhouse.pipeline.jobs.batches import Asked, body_of, check_batch, names_of, requests_of
from inhouse.store import Workspace, files, jobs, keys
from inhouse.store import database as db
from inhouse.store.batch_answers import Answers
from inhouse.store.jobs import Job

# How often what is wished, and what was done, is looked at and told.
LOOK_SECONDS = 1.0
# How long requests under way may go on when a batch is to end: an engine that hangs ends it all the same.
LATE_SECONDS = 120.0
_REASONS = {
    "expired": "This request could not be executed before the completion window expired.",
    "cancelled": "This request was not executed before the batch was cancelled.",
}


def answer_batch(workspace: Workspace, job: Job) -> None:
    """Work on a batch to its end, or to where it was expired or cancelled.

    Raises:
        Busy: `forget` took lines out of the file of requests meanwhile: it is to be begun again.
    """
    batch = _Batch(workspace, job)
    try:
        caller, path = batch.caller(), files.open_file(workspace, job.request["input_file_id"])
    except NotFound as error:
        batch.fail([{"code": "input_not_usable", "message": error.what, "param": "input_file_id", "line": None}])
        return
    if job.status == "validating":
        faults, total = check_batch(path, job.request["endpoint"])
        if faults:
            batch.fail(
                [{"code": f.code, "message": f.message, "param": f.param or None, "line": f.line} for f in faults]
            )
            return
        batch.begin(total)
    asked = requests_of(path, batch.answers.done)
    for model, group in groupby(asked, key=lambda one: one.model):
        if not batch.ended():
            asyncio.run(batch.answer(path, model, list(group), caller))
    batch.finish(path, asked)


@dataclass
class _Batch:
    """A batch that is worked on."""

    workspace: Workspace
    job: Job
    answers: Answers = field(init=False)
    result: dict[str, Any] = field(init=False)
    ended_at: float | None = None  # when it was seen that no more is to be answered
    stopped: bool = False  # what was under way then was ended

    def __post_init__(self) -> None:
        self.answers = Answers(self.workspace.paths.batches / f"{self.job.id}.jsonl")
        self.result = dict(self.job.result or {})

    def caller(self) -> Caller:
        """Who made the batch.

        Raises:
            NotFound: with a key that is not in force any more.
        """
        if not self.job.key:
            return Caller()
        key = next((one for one in keys.every(self.workspace) if one.id == self.job.key and one.in_force), None)
        if key is None:
            raise NotFound("the key that made the batch was revoked, or expired")
        return Caller(key)

    def begin(self, total: int) -> None:
        """Note that the file is good."""
        self.result["counts"] = {"total": total, "completed": 0, "failed": 0}
        self._tell("in_progress")

    def fail(self, errors: list[dict[str, Any]]) -> None:
        """End it unanswered."""
        self.result["errors"] = errors
        self._end("failed")
        self.answers.remove()

    def ended(self) -> str:
        """`cancelled` or `expired` where no more is to be answered; else empty."""
        if jobs.find(self.workspace, self.job.id).wish == CANCEL:
            return "cancelled"
        return "expired" if expires_at(self.job) <= db.now() else ""

    async def answer(self, path: Path, model: str, asked: Sequence[Asked], caller: Caller) -> None:
        """Answer requests to one model, as many at a time as an engine takes, until there is a reason to end."""
        app = make_app(Workspace(self.workspace.paths.root), caller=caller)
        async with app.router.lifespan_context(app):
            with path.open("rb") as file:
                left = iter(asked)
                working = [asyncio.create_task(self._work(app, file, left)) for _ in range(min(AT_ONCE, len(asked)))]
                done = asyncio.gather(*working)
                try:
                    while not done.done():
                        await asyncio.wait([done], timeout=LOOK_SECONDS)
                        if not done.done():
                            await asyncio.to_thread(self._look, path, left)
                        if not self.stopped and self._is_late():
                            self.stopped = True
                            app.state.runtime.stop()
                    await done
                finally:
                    done.cancel()
                    with suppress(asyncio.CancelledError):
                        await done

    def _is_late(self) -> bool:
        return self.ended_at is not None and time.monotonic() - self.ended_at >= LATE_SECONDS

    async def _work(self, app: FastAPI, file: IO[bytes], left: Iterator[Asked]) -> None:
        for one in left:
            answer = await _answered(app, self.job.request["endpoint"], one.custom_id, body_of(file, one))
            if not self.stopped:  # else it has none
                self.answers.add(answer)

    def _look(self, path: Path, left: Iterator[Asked]) -> None:
        """Tell how far it is; and begin no further request where it is to end.

        Raises:
            Busy: the file of requests is another now.
        """
        self._tell()
        if not path.is_file():
            raise Busy("lines were taken out of the file of requests")
        if self.ended():
            self.ended_at = self.ended_at or time.monotonic()
            for _ in left:
                pass

    def finish(self, path: Path, asked: Sequence[Asked]) -> None:
        """Make the files of answers and errors, and end it."""
        outcome = self.ended() if any(one.custom_id not in self.answers.done for one in asked) else ""
        for one in asked if outcome else ():
            if one.custom_id not in self.answers.done:
                error = {"code": f"batch_{outcome}", "message": _REASONS[outcome]}
                self.answers.add(_line(one.custom_id, None, error))
        if outcome == "cancelled":
            self.result.setdefault("times", {}).setdefault("cancelling", db.now())
        self._tell("finalizing")
        with files.receiving(self.workspace) as folder:
            output, errors = folder / "output", folder / "errors"
            self.answers.write(output, errors, names_of(path))
            for what, made in (("output", output), ("error", errors)):
                if made.stat().st_size and not self.result.get(f"{what}_file_id"):
                    self.result[f"{what}_file_id"] = self._kept(made, what)
                    self._tell()
        self._end(outcome or "completed")
        self.answers.remove()

    def _kept(self, path: Path, what: str) -> str:
        wish, name = self.job.request["output_expires_after"], f"{self.job.id}_{what}.jsonl"
        seconds = None if wish is None else wish["seconds"]
        return files.add_file(self.workspace, path, name, "batch_output", self.job.key, expires_after=seconds).id

    def _tell(self, status: str = "") -> None:
        """Keep how far it is, and a new status."""
        self._count()
        values: dict[str, Any] = {"result": self.result}
        if status:
            self.result.setdefault("times", {}).setdefault(status, db.now())
            values["status"] = status
        jobs.change(self.workspace, self.job.id, owner=self.job.lease_owner or "", **values)

    def _end(self, status: str) -> None:
        self._count()
        self.result.setdefault("times", {})[status] = db.now()
        jobs.finish(self.workspace, self.job.id, status, owner=self.job.lease_owner or "", result=self.result)

    def _count(self) -> None:
        if "counts" in self.result:
            done = {"completed": len(self.answers.completed), "failed": len(self.answers.failed)}
            self.result["counts"] = {**self.result["counts"], **done}


async def _answered(app: FastAPI, endpoint: str, custom_id: str, body: dict[str, Any]) -> dict[str, Any]:
    """The line of a request in the output, or in the errors."""
    if body.get("stream"):
        told = error_body(400, "`stream` is not done in a batch", code="unsupported_value", param="stream")
        return _line(custom_id, {"status_code": 400, "request_id": "", "body": told}, None)
    status, request, answer = await _posted(app, endpoint, compact(body).encode("utf-8"))
    return _line(custom_id, {"status_code": status, "request_id": request, "body": json.loads(answer)}, None)


def _line(custom_id: str, response: dict[str, Any] | None, error: dict[str, Any] | None) -> dict[str, Any]:
    return {"id": f"batch_req_{uuid.uuid4().hex}", "custom_id": custom_id, "response": response, "error": error}


async def _posted(app: FastAPI, path: str, body: bytes) -> tuple[int, str, bytes]:
    """A request to the application: its status, its id, and its body."""
    head = {"host": "localhost", "content-type": "application/json", "content-length": str(len(body))}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in head.items()],
        "client": None,
        "server": None,
        "state": {},
    }
    status, request, content, sent = 0, "", bytearray(), False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            await asyncio.Event().wait()  # nobody leaves
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, request
        if message["type"] == "http.response.start":
            status = message["status"]
            request = next((value.decode() for name, value in message["headers"] if name == b"x-request-id"), "")
        else:
            content.extend(message.get("body", b""))

    with suppress(Exception):  # a fault of ours was answered with 500, and is raised for the server's log
        await app(scope, receive, send)
    return status, request, bytes(content)
