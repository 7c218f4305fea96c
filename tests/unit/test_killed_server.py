"""A server that is killed under load loses no Trace of an answer that a client has seen whole."""

from __future__ import annotations

import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

import pytest
from servers import start

from inhouse.store import Workspace, traffic

CLIENTS = 16
BODY = {"model": "intents", "messages": [{"role": "user", "content": "where is my card now"}]}


def seen_whole(status, said, *, stream):
    """The id of an answer that came to its end."""
    assert status == 200, said
    if not stream:
        return said["id"]
    return json.loads(said.split("\n\n")[0][6:])["id"] if said.endswith("data: [DONE]\n\n") else None


@pytest.mark.parametrize("seed", range(3))
def test_no_answer_that_was_seen_is_without_its_trace(copy_of_trained, environment, seed):
    server, killed = start(copy_of_trained, environment), threading.Event()
    server.post("/v1/chat/completions", **BODY)  # the model is loaded
    seen = []

    def client(number):
        stream = number % 2 == 0
        while not killed.is_set():
            try:
                status, _, said = server.post("/v1/chat/completions", **BODY, stream=stream)
            except (OSError, HTTPException, ValueError):  # it was killed in the midst of it
                return
            if (answer := seen_whole(status, said, stream=stream)) is not None:
                seen.append(answer)

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(client, number) for number in range(CLIENTS)]
        end = time.monotonic() + 60
        while len(seen) < 50 and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(random.Random(seed).random() / 5)
        server.kill()
        killed.set()
        for one in clients:
            one.result()
    workspace = Workspace(copy_of_trained)
    kept = {trace.id for trace in traffic.traces(workspace, "intents")}
    workspace.close()
    assert len(seen) >= 50
    assert set(seen) - kept == set()
