"""The engine in a process of its own: the same answers, and what becomes of requests when it dies."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from servers import served_copy

from inhouse.engine import engine_process
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.choice import open_engine
from inhouse.engine.engine_child import NOBODY
from inhouse.engine.engine_process import GRAMMARS, HUNG_SECONDS, EngineProcess
from inhouse.engine.grammar import labels_grammar
from inhouse.engine.openvino_engine import OpenVinoEngine
from inhouse.engine.prompts import trained_messages
from inhouse.engine.protocol import Sampling, Wishes
from inhouse.errors import EngineFault, InputError, ModelUnavailable

LABELS = ["cancel_transfer", "declined_transfer", "card_arrival", 'a "q" \\ é 🙂']
GRAMMAR = labels_grammar(LABELS)
LONG = labels_grammar(["é" * 400])


@pytest.fixture(scope="module")
def template(tiny_base):
    return ChatTemplate(tiny_base.folder)


@pytest.fixture(scope="module")
def engine(tiny_base, template):
    engine = open_engine("openvino-genai", tiny_base.gguf, template.end_of_turn, threads=1, exact=True, apart=True)
    yield engine
    engine.close()


def prompts(template, count):
    return [template.prompt_ids(trained_messages("", {"text": f"card number {n}"})) for n in range(count)]


def whole(told):
    """All that was told of a request, until its end."""
    items = [told.get(timeout=60)]
    while items[-1] is not None and not isinstance(items[-1], EngineFault):
        items.append(told.get(timeout=60))
    return items


def until(happened):
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def pid(engine):
    return engine._child._process.pid


# ---------------------------------------------------------------------- the engine itself


def test_it_answers_as_the_engine_in_this_process_does(engine, tiny_base, template):
    asked = prompts(template, 5)
    here = OpenVinoEngine(tiny_base.gguf, template.end_of_turn, threads=1, exact=True)
    expected = here.generate(asked, max_new_tokens=40, grammar=GRAMMAR)
    top, _ = here.next_tokens(asked)
    here.close()
    seen = []
    given = engine.generate(asked, max_new_tokens=40, grammar=GRAMMAR, progress=seen.append)
    assert [a.ids for a in given] == [a.ids for a in expected]
    assert [a.finished for a in given] == [True] * 5
    for answer, other in zip(given, expected, strict=True):
        assert answer.logprobs == pytest.approx(other.logprobs, abs=1e-3)
    assert engine.next_tokens(asked)[0] == top
    assert seen == [1, 2, 3, 4, 5]


def test_a_stream_grows_by_tokens(engine, template):
    (prompt,) = prompts(template, 1)
    (expected,) = engine.generate([prompt], max_new_tokens=40, grammar=GRAMMAR)
    parts = list(engine.stream(prompt, max_new_tokens=40, grammar=GRAMMAR))
    assert [p.ids for p in parts] == [expected.ids[:n] for n in range(1, len(expected.ids) + 1)]
    assert [p.finished for p in parts] == [False] * (len(parts) - 1) + [True]
    assert all(len(p.logprobs) == len(p.ids) for p in parts)
    drawn = [
        list(engine.stream(prompt, max_new_tokens=20, sampling=Sampling(5.0, 1.0, seed), every_token=False))[-1].ids
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_more_grammars_than_are_kept_are_each_the_requests_own(engine, template):
    (prompt,) = prompts(template, 1)
    for label in [*range(GRAMMARS + 5), 0, GRAMMARS, 3]:
        (answer,) = engine.generate([prompt], max_new_tokens=40, grammar=labels_grammar([f"label_{label}"]))
        assert template.decode(answer.ids) == f"label_{label}"


def test_a_cancelled_request_is_dropped(engine, template):
    (prompt,) = prompts(template, 1)
    told = queue.SimpleQueue()
    ticket = engine.submit(prompt, Wishes(900, LONG), told.put, every_token=True)
    assert not told.get(timeout=60).finished
    ticket.cancel()
    *more, end = whole(told)
    assert end is None
    assert all(len(part.ids) < 400 for part in more)
    assert not engine._sent


def test_one_who_cannot_be_told_ends_no_request_of_others(engine, template):
    def deaf(_):
        raise RuntimeError("the loop is closed")

    (prompt,) = prompts(template, 1)
    engine.submit(prompt, Wishes(40, GRAMMAR), deaf, every_token=True)
    told = queue.SimpleQueue()
    engine.submit(prompt, Wishes(40, GRAMMAR), told.put, every_token=False)
    assert whole(told)[-2].finished


def test_requests_under_way_when_the_engine_is_killed_are_answered_all_the_same(engine, template):
    asked = prompts(template, 12)
    expected = engine.generate(asked, max_new_tokens=40, grammar=GRAMMAR)
    (long,) = engine.generate(asked[:1], max_new_tokens=60, grammar=LONG)
    boxes = [queue.SimpleQueue() for _ in asked]
    stream = queue.SimpleQueue()
    engine.submit(asked[0], Wishes(60, LONG), stream.put, every_token=True)
    first = stream.get(timeout=60)
    for prompt, box in zip(asked, boxes, strict=True):
        engine.submit(prompt, Wishes(40, GRAMMAR), box.put, every_token=False)
    before = pid(engine)
    os.kill(before, signal.SIGKILL)
    for box, answer in zip(boxes, expected, strict=True):
        assert [item and item.ids for item in whole(box)] == [answer.ids, None]
    parts = [first, *whole(stream)[:-1]]
    assert [len(p.ids) for p in parts] == list(range(1, 61))  # nothing is told twice
    assert parts[-1].ids == long.ids
    assert pid(engine) != before
    assert engine.memory() > 1_000_000


def test_a_file_that_is_no_model_is_refused_as_in_this_process(tmp_path):
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF" + b"\0" * 64)
    with pytest.raises(ModelUnavailable, match=r"broken.gguf is not a whole GGUF file") as apart:
        open_engine("openvino-genai", file, 2, threads=1, exact=False, apart=True)
    with pytest.raises(ModelUnavailable) as here:
        open_engine("openvino-genai", file, 2, threads=1, exact=False)
    assert (apart.value.what, apart.value.remedy) == (here.value.what, here.value.remedy)


OPENED = """
import sys, time
from pathlib import Path
from inhouse.engine.choice import open_engine
engine = open_engine("openvino-genai", Path(sys.argv[1]), 2, threads=1, exact=False, apart=True)
engine.submit([5, 6, 7], __import__("inhouse.engine.protocol").engine.protocol.Wishes(10**6), print, every_token=False)
print(engine._child._process.pid, flush=True)
time.sleep(600)
"""


def test_it_ends_with_the_process_that_started_it(tiny_gguf):
    with subprocess.Popen([sys.executable, "-c", OPENED, str(tiny_gguf)], stdout=subprocess.PIPE, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        child.send_signal(signal.SIGINT)  # as Ctrl-C does, which reaches both: it is the parent that ends it
        child.send_signal(signal.SIGTERM)
        assert child.is_running()
        parent.kill()
        child.wait(60)


# ---------------------------------------------------------------------- one that does what the prompt says

# 0: answers with nothing. 1: ends, or is killed. 2: tells a fault. 3: tells its own process' number, and waits. Others are
# answered with themselves, those above 99 after a while. Each process notes what it is asked.
SCRIPTED = """
import json, os, signal, sys, threading, time
if os.path.exists(sys.argv[1] + ".broken"):
    sys.exit(7)
print('["ready"]', flush=True)
say = lambda *told: print(json.dumps(told), flush=True)
for line in sys.stdin:
    kind, number, *more = json.loads(line)
    if kind != "ask":
        continue
    with open(sys.argv[1], "a") as log:
        print(os.getpid(), more[0][0], file=log)
    what = more[0][0]
    if what == 1:
        os.abort()
    elif what == 3:
        say(number, [os.getpid()], [-0.5], False, None)
    elif what in (0, 2):
        say(number, [], [], True, "it broke" if what else None)
    else:
        again = threading.Timer(0.5 if what > 99 else 0, say, (number, [what, 9], [-0.5, -0.25], True, None))
        again.start()
"""


@pytest.fixture
def scripted(tmp_path, monkeypatch):
    command = [sys.executable, "-c", SCRIPTED, str(tmp_path / "asked")]
    monkeypatch.setattr(engine_process, "_command", lambda *_: command)
    engine = EngineProcess("scripted", Path("scripted.gguf"), 9, threads=1, exact=False)
    yield engine
    engine.close()


def asked_of(tmp_path):
    """What each process was asked, in order."""
    found = {}
    for line in (tmp_path / "asked").read_text().splitlines():
        process, what = line.split()
        found.setdefault(process, []).append(int(what))
    return list(found.values())


def ask(engine, *whats, every_token=False):
    boxes = [queue.SimpleQueue() for _ in whats]
    for what, box in zip(whats, boxes, strict=True):
        engine.submit([what], Wishes(5), box.put, every_token=every_token)
    return boxes


def test_a_request_that_ends_every_engine_fails_alone(scripted, tmp_path):
    *others, poison, late = ask(scripted, 100, 101, 102, 1, 103)
    with pytest.raises(EngineFault, match="was ended by SIGABRT at the request"):
        raise whole(poison)[-1]
    for box, what in zip([*others, late], (100, 101, 102, 103), strict=True):
        answer, end = whole(box)
        assert (answer.ids, answer.logprob, answer.finished, end) == ([what, 9], -0.75, True, None)
    (new,) = ask(scripted, 50)
    assert whole(new)[0].ids == [50, 9]
    *_, third, fourth = asked_of(tmp_path)
    assert third[-1] == 1  # what was beside it at two deaths was asked singly, and it last or between
    assert 1 not in fourth


def test_one_alone_that_ends_the_engine_twice_fails(scripted, tmp_path):
    (poison,) = ask(scripted, 1)
    assert isinstance(whole(poison)[-1], EngineFault)
    until(lambda: scripted._ready)
    assert asked_of(tmp_path) == [[1], [1]]


def test_an_answer_of_nothing_is_asked_for_once_more_and_is_a_fault_then(scripted, tmp_path):
    (box,) = ask(scripted, 0)
    with pytest.raises(EngineFault, match="gave no answer"):
        raise whole(box)[-1]
    assert asked_of(tmp_path) == [[0, 0]]


def test_a_fault_that_the_engine_tells_is_tried_again_and_then_told(scripted, tmp_path):
    slow, broken = ask(scripted, 100, 2)
    with pytest.raises(EngineFault, match="it broke"):
        raise whole(broken)[-1]
    assert whole(slow)[0].ids == [100, 9]
    assert asked_of(tmp_path) == [[100, 2, 2, 2]]


def test_a_text_that_would_go_on_otherwise_ends_with_a_fault(scripted):
    (box,) = ask(scripted, 3, every_token=True)
    assert box.get(timeout=60).ids == [pid(scripted)]
    os.kill(pid(scripted), signal.SIGKILL)
    with pytest.raises(EngineFault, match="goes on otherwise"):
        raise box.get(timeout=60)
    assert whole(ask(scripted, 50)[0])[0].ids == [50, 9]


def test_where_no_engine_can_be_started_anew_all_are_told_and_the_next_request_tries_again(scripted, tmp_path):
    (tmp_path / "asked.broken").touch()
    boxes = ask(scripted, 100, 101)
    os.kill(pid(scripted), signal.SIGKILL)
    for box in boxes:
        with pytest.raises(EngineFault, match="ended with exit code 7 while it loaded the model"):
            raise whole(box)[-1]
    (tmp_path / "asked.broken").unlink()
    assert whole(ask(scripted, 50)[0])[0].ids == [50, 9]


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(engine_process, "HUNG_SECONDS", 0.3)


def test_one_that_hangs_is_ended_and_asked_again(impatient, scripted, tmp_path):
    (box,) = ask(scripted, 3)
    with pytest.raises(EngineFault, match="was ended by SIGKILL at the request"):
        raise whole(box)[-1]
    assert asked_of(tmp_path) == [[3], [3]]
    until(lambda: scripted._ready)


def test_one_that_comes_on_or_has_nothing_to_do_does_not_hang(scripted):
    later = scripted._heard_at + 10 * HUNG_SECONDS
    assert not scripted._hangs(later)  # it has nothing to do
    ask(scripted, 3)
    assert not scripted._hangs(scripted._heard_at + HUNG_SECONDS - 60)
    assert scripted._hangs(scripted._heard_at + HUNG_SECONDS + 60)
    before = scripted._heard_at
    scripted._hear(NOBODY, [], [], False, None)
    assert scripted._heard_at > before


@pytest.mark.parametrize("name", ["openvino-genai", "xllamacpp"])
def test_an_engine_tells_that_it_comes_on(tiny_base, template, name):
    engine = open_engine(name, tiny_base.gguf, template.end_of_turn, threads=1, exact=False)
    before = engine.steps
    list(engine.stream(*prompts(template, 1), max_new_tokens=3, every_token=False))
    assert engine.steps >= before + 1
    engine.close()


def test_llama_cpp_answers_apart_and_refuses_what_it_cannot_do(tiny_base, template):
    (prompt,) = prompts(template, 1)
    here = open_engine("xllamacpp", tiny_base.gguf, template.end_of_turn, threads=1, exact=True)
    (expected,) = here.generate([prompt], max_new_tokens=40, grammar=GRAMMAR)
    here.close()
    apart = open_engine("xllamacpp", tiny_base.gguf, template.end_of_turn, threads=1, exact=True, apart=True)
    try:
        assert isinstance(apart, EngineProcess)
        assert apart.generate([prompt], max_new_tokens=40, grammar=GRAMMAR)[0].ids == expected.ids
        with pytest.raises(InputError, match=r"a temperature of 0\.7 cannot be had"):
            list(apart.stream(prompt, max_new_tokens=1, sampling=Sampling(0.7, 1.0, 1)))
        with pytest.raises(EngineFault, match="without tokens"):  # a request that it refuses ends no process
            apart.generate([[]], max_new_tokens=1)
        before = pid(apart)
        os.kill(before, signal.SIGKILL)
        assert apart.generate([prompt], max_new_tokens=40, grammar=GRAMMAR)[0].ids == expected.ids
        assert pid(apart) != before
    finally:
        apart.close()


def test_closing_ends_the_requests_under_way(scripted):
    boxes = ask(scripted, 3, 3)
    process = psutil.Process(pid(scripted))
    scripted.close()
    for box in boxes:
        assert "closed" in str(whole(box)[-1])
    assert not process.is_running()
    with pytest.raises(EngineFault, match="closed"):
        scripted.submit([1], Wishes(1), print, every_token=False)
    assert scripted.memory() == 0


# ---------------------------------------------------------------------- behind the server


def engines_of(server):
    found = []
    for process in psutil.Process(server.process.pid).children(recursive=True):
        if "inhouse.engine.engine_child" in process.cmdline():
            found.append(process)
    return found


def test_no_client_of_a_server_sees_that_its_engine_was_killed(trained, tmp_path, environment):
    asked = {"messages": [{"role": "user", "content": "my card has not arrived"}]}
    with served_copy(trained, tmp_path, environment) as server, ThreadPoolExecutor(24) as clients:
        status, _, first = server.post("/v1/chat/completions", model="intents", **asked)
        assert status == 200
        label = first["choices"][0]["message"]["content"]
        for _ in range(2):
            (engine,) = engines_of(server)
            answers = [
                clients.submit(server.post, "/v1/chat/completions", model="intents", stream=n % 2 == 1, **asked)
                for n in range(96)
            ]
            until(lambda answers=answers: sum(a.done() for a in answers) >= 8)
            engine.kill()
            for n, answer in enumerate(answers):
                status, _, told = answer.result(60)
                assert status == 200, told
                assert (streamed(told) if n % 2 else told["choices"][0]["message"]["content"]) == label
        (engine,) = engines_of(server)
        _, _, figures = server.raw("GET", "/metrics")
        assert 'inhouse_engine_memory_bytes{task="intents",version="intents@1"}' in figures
        log = (tmp_path / "serve.log").read_text()
    assert log.count("was ended by SIGKILL; another one is started") == 2
    engine.wait(60)  # with the server


def streamed(text):
    events = [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: {")]
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])
