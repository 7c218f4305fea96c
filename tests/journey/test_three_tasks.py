"""Three tasks, 64 clients, promotions and roll-backs meanwhile: every answer comes from the model that was asked for."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from conftest import many_intents
from servers import served_copy

from inhouse.core import Task
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


def add_tasks(workspace):
    """Three tasks with two versions each, which differ in their labels alone."""
    like = registry.find_version(workspace, "intents", 1)
    for task in TASKS:
        workspace.save_task(Task(name=task, labels=tuple(sorted(words_of(task, 1)))))
        for number in range(1, VERSIONS + 1):
            changed = {"task": task, "labels": words_of(task, number), "calibrator": None}
            registry.add_version(workspace, like.model_copy(update=changed))
        registry.move_alias(workspace, task, registry.CHAMPION, 1, action="promote")


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


def ask(server, task, rng):
    """One request: the id of the answer, the version in its header, and its text."""
    name, stream = rng.choice((task, task, f"{task}@{rng.randint(1, VERSIONS)}")), rng.random() < 0.5
    messages = [{"role": "user", "content": rng.choice(TEXTS)}]
    status, headers, said = server.post("/v1/chat/completions", model=name, messages=messages, stream=stream)
    assert status == 200, said
    if stream:
        answer, text = content_of(said)
    else:
        answer, text = said["id"], said["choices"][0]["message"]["content"]
        assert said["inhouse"]["model_version"] == headers["x-inhouse-model"]
    if "@" in name:
        assert headers["x-inhouse-model"] == name
    return answer, headers["x-inhouse-model"], text


def test_every_answer_comes_from_the_model_that_was_asked_for(server):
    end, ended = time.monotonic() + SECONDS, threading.Event()

    def client(number):
        rng, told = random.Random(number), []
        while time.monotonic() < end:
            task = rng.choice(TASKS)
            told.append((task, *ask(server, task, rng)))
        return told

    def switch():
        workspace, rng, switched = Workspace(server.folder), random.Random(0), 0
        while not ended.wait(0.2):
            task = rng.choice(TASKS)
            if switched % 3 == 2:
                with suppress(InhouseError):  # there was no other champion before
                    registry.roll_back(workspace, task, "trial")
            else:
                number = rng.randint(1, VERSIONS)
                registry.move_alias(workspace, task, registry.CHAMPION, number, action="promote")
            switched += 1
        workspace.close()
        return switched

    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        switching = pool.submit(switch)
        try:
            told = [one for some in pool.map(client, range(CLIENTS)) for one in some]
        finally:
            ended.set()
        assert switching.result() > SECONDS
    workspace = Workspace(server.folder)
    kept = {trace.id: trace for task in TASKS for trace in traffic.traces(workspace, task)}
    workspace.close()
    assert len(told) > CLIENTS
    assert {version for _, _, version, _ in told} == {f"{t}@{n}" for t in TASKS for n in range(1, VERSIONS + 1)}
    for task, answer, version, text in told:
        assert version.partition("@")[0] == task
        assert text.partition(" ")[0] == version
        assert (kept[answer].task, kept[answer].model_version, kept[answer].output) == (task, version, text)
    assert len(kept) == len(told) + len(TASKS) * VERSIONS
