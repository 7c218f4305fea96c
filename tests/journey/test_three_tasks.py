"""Three tasks, 64 clients, promotions and roll-backs meanwhile: every answer comes from the model that was asked for."""

from __future__ import annotations

import json
import os
import random
import shutil
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import gguf
import numpy as np
import pytest
from conftest import many_intents
from servers import served_copy

from inhouse.core import Task
from inhouse.deploy import open_served
from inhouse.deploy.version_files import GGUF
from inhouse.errors import InhouseError
from inhouse.store import Workspace, registry, traffic

CLIENTS = 64
SECONDS = 30 if os.environ.get("CI") else 60
TASKS = ("red", "green", "blue")
VERSIONS = 2
TEXTS = [row["text"] for row in many_intents()]


def words_of(task, number):
    """The labels of a version: its grammar lets it answer nothing else."""
    return (f"{task}@{number} yes", f"{task}@{number} no")


def turned(file, to):
    """A model that likes best what another one likes least: its last norm has the other sign."""
    shutil.copyfile(file, to)
    (norm,) = (t for t in gguf.GGUFReader(to, "r+").tensors if t.name == "output_norm.weight")
    np.negative(norm.data, out=norm.data)
    return to


def add_tasks(workspace):
    """Three tasks with two versions each, whose labels differ, and the weights of the second one from the first one's."""
    like = registry.find_version(workspace, "intents", 1)
    other = turned(workspace.blobs.path(like.file_sha256, GGUF), workspace.paths.root / "turned.gguf")
    files = (like.file_sha256, workspace.blobs.put_file(other, GGUF))
    for task in TASKS:
        workspace.save_task(Task(name=task, labels=tuple(sorted(words_of(task, 1)))))
        for number, file in enumerate(files, 1):
            changed = {"task": task, "labels": words_of(task, number), "calibrator": None, "file_sha256": file}
            registry.add_version(workspace, like.model_copy(update=changed))
        registry.move_alias(workspace, task, registry.CHAMPION, 1, action="promote")


def answers_of(folder, name):
    """What a version answers to the texts; None where it says something else when it is asked them one by one, as two
    answers are equally likely."""
    workspace = Workspace(folder)
    task, _, number = name.partition("@")
    served = open_served(workspace, registry.find_version(workspace, task, int(number)))
    asked = [{"text": text} for text in TEXTS]
    together = [one.prediction.target for one in served.answer(asked)]
    singly = [served.answer([one])[0].prediction.target for one in asked]
    served.close()
    workspace.close()
    return {text: a if a == b else None for text, a, b in zip(TEXTS, together, singly, strict=True)}


@pytest.fixture
def server(tmp_path, trained, environment):
    """With all its models loaded: each starts a process, one after the other."""
    with served_copy(trained, tmp_path, environment, add_tasks) as server:
        for task in TASKS:
            for number in range(1, VERSIONS + 1):
                messages = [{"role": "user", "content": TEXTS[0]}]
                assert server.post("/v1/chat/completions", model=f"{task}@{number}", messages=messages)[0] == 200
        yield server


def content_of(text):
    """The whole text of a stream of events."""
    chunks = [json.loads(line[6:]) for line in text.split("\n\n") if line.startswith("data: {")]
    assert not any("error" in chunk for chunk in chunks), text
    return chunks[0]["id"], "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])


@dataclass(frozen=True)
class Told:
    """One answer: to what, under which name, when it was asked for and there; its id, text, and version."""

    task: str
    name: str
    asked: str
    begun: float
    ended: float
    answer: str
    version: str
    text: str


@dataclass(frozen=True)
class Move:
    """A promotion or roll-back: from when on, at the earliest and at the latest, which version is the champion."""

    task: str
    begun: float
    ended: float
    number: int


def ask(server, task, rng):
    """One request."""
    name, stream = rng.choice((task, task, f"{task}@{rng.randint(1, VERSIONS)}")), rng.random() < 0.5
    asked, begun = rng.choice(TEXTS), time.monotonic()
    messages = [{"role": "user", "content": asked}]
    status, headers, said = server.post("/v1/chat/completions", model=name, messages=messages, stream=stream)
    assert status == 200, said
    if stream:
        answer, text = content_of(said)
    else:
        answer, text = said["id"], said["choices"][0]["message"]["content"]
        assert said["inhouse"]["model_version"] == headers["x-inhouse-model"]
    return Told(task, name, asked, begun, time.monotonic(), answer, headers["x-inhouse-model"], text)


def champions(moves: Sequence[Move], told: Told) -> set[str]:
    """The versions that were the champion at some time while the request was under way."""
    before = [move.number for move in moves if move.ended <= told.begun]
    during = [move.number for move in moves if move.ended > told.begun and move.begun <= told.ended]
    return {f"{told.task}@{number}" for number in ((before or [1])[-1], *during)}


def test_every_answer_comes_from_the_model_that_was_asked_for(server):
    names = [f"{task}@{number}" for task in TASKS for number in range(1, VERSIONS + 1)]
    expected = {name: answers_of(server.folder, name) for name in names}
    for task in TASKS:  # who takes one's file for the other's is found out
        yes = [{a.split()[1] if a else None for a in expected[f"{task}@{n}"].values()} for n in (1, 2)]
        assert all(said - {None} for said in yes)
        first, second = (expected[f"{task}@{n}"] for n in (1, 2))
        assert any(
            a and b and a.split()[1] != b.split()[1] for a, b in zip(first.values(), second.values(), strict=True)
        )
    end, ended = time.monotonic() + SECONDS, threading.Event()

    def client(number):
        rng, told = random.Random(number), []
        while time.monotonic() < end:
            told.append(ask(server, rng.choice(TASKS), rng))
        return told

    def switch():
        workspace, rng, moves = Workspace(server.folder), random.Random(0), []
        while not ended.wait(0.2):
            task, begun = rng.choice(TASKS), time.monotonic()
            if len(moves) % 3 == 2:
                with suppress(InhouseError):  # there was no other champion before
                    registry.roll_back(workspace, task, "trial")
            else:
                number = rng.randint(1, VERSIONS)
                registry.move_alias(workspace, task, registry.CHAMPION, number, action="promote")
            now = registry.alias_number(workspace, task, registry.CHAMPION)
            moves.append(Move(task, begun, time.monotonic(), now))
        workspace.close()
        return moves

    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        switching = pool.submit(switch)
        try:
            told = [one for some in pool.map(client, range(CLIENTS)) for one in some]
        finally:
            ended.set()
        moves = switching.result()
    workspace = Workspace(server.folder)
    kept = {trace.id: trace for task in TASKS for trace in traffic.traces(workspace, task)}
    workspace.close()
    assert len(moves) > SECONDS
    assert len(told) > CLIENTS
    assert {one.version for one in told} == set(names)
    of = {task: [move for move in moves if move.task == task] for task in TASKS}
    for one in told:
        assert one.version in (champions(of[one.task], one) if one.name == one.task else {one.name})
        assert one.text == (expected[one.version][one.asked] or one.text)
        assert one.text.partition(" ")[0] == one.version
        trace = kept[one.answer]
        assert (trace.task, trace.model_version, trace.output) == (one.task, one.version, one.text)
    assert len(kept) == len(told) + len(TASKS) * VERSIONS
