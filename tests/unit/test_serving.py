"""What serves behind the API: the loaded models, the names, and who keeps the traces."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from servers import until
from sqlalchemy.exc import IntegrityError

from inhouse.core import ModelVersion, Parity, Task, Trace
from inhouse.deploy import Chosen, Dispatcher, Served, pool
from inhouse.errors import EngineFault, ModelNotFound, ModelUnavailable, ParityFailed
from inhouse.store import Workspace, model_names, registry, traffic
from inhouse.store.trace_writer import TraceWriter

PASSED = Parity(
    passed=True,
    tokens=1,
    top1_agreement=1.0,
    mean_logprob_difference=0.0,
    worst_logprob_difference=0.0,
    trainer_accuracy=1.0,
    served_accuracy=1.0,
    paired_p_value=1.0,
    validation_examples=1,
)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("INHOUSE_MODELS_DIR", str(tmp_path / "models"))  # no base is here
    workspace = Workspace(tmp_path / "workspace")
    workspace.create()
    yield workspace
    workspace.close()


def version(task="t", number=1, **changes):
    plain = {"contender": "fine-tuned", "run": "run-1", "file_sha256": "a", "adapter_sha256": "b"}
    plain |= {"fields": ("text",), "threshold": 0.5, "parity": PASSED, "lineage": {}}
    return ModelVersion(task=task, number=number, **{**plain, **changes})


# ---------------------------------------------------------------------- loaded models


class Loaded(Served):
    """A model that answers nothing and notes what happens to it."""

    def __init__(self, version):
        super().__init__(version)
        self.closed = 0

    def _question(self, inputs):
        raise NotImplementedError

    predictions = stream = _question

    def close(self):
        self.closed += 1


@pytest.fixture
def models(monkeypatch):
    """A pool with room for three models, and every model that it has loaded."""
    loaded = []

    def load(_workspace, version, *, apart):
        assert apart
        loaded.append(Loaded(version))
        loaded[-1].size = 1
        return loaded[-1]

    monkeypatch.setattr(pool, "open_served", load)
    made = pool.Pool(None, 3)
    yield made, loaded
    made.close()


def test_a_model_is_loaded_once_and_takes_what_was_learned_since(models):
    loader, loaded = models
    for threshold in (0.5, 0.7, 0.7):
        with loader.using(version(threshold=threshold)) as model:
            assert model.version.threshold == threshold
    assert len(loaded) == 1


@pytest.mark.parametrize("changes", [{"file_sha256": "c"}, {"exact": True}, {"engine": "xllamacpp"}])
def test_a_version_whose_file_was_replaced_is_loaded_anew_and_the_old_one_freed(models, changes):
    loader, loaded = models
    with loader.using(version()) as old:
        with loader.using(version(**changes)) as new:
            assert new is not old
        assert old.closed == 0  # somebody still uses it
    until(lambda: old.closed)
    assert (old.closed, new.closed, len(loaded)) == (1, 0, 2)
    with loader.using(version(**changes)) as again:
        assert again is new
    loader.close()
    assert (old.closed, new.closed) == (1, 1)


def test_an_idle_model_whose_file_was_replaced_is_freed_at_once(models):
    loader, _ = models
    with loader.using(version()) as old:
        pass
    with loader.using(version(file_sha256="c")):
        until(lambda: old.closed == 1)


def test_the_least_recently_used_makes_room_but_none_in_use(models):
    loader, loaded = models
    with loader.using(version("busy")):
        for task in ("b", "c", "b", "d", "e"):
            with loader.using(version(task)):
                pass
        until(lambda: sum(one.closed for one in loaded) == 2)
        closed = {one.version.task: one.closed for one in loaded}
    assert closed == {"busy": 0, "b": 1, "c": 1, "d": 0, "e": 0}


def test_where_all_are_busy_the_least_recently_used_answers_what_it_has_and_makes_room(models):
    """There is one over what there is room for, so the next one waits."""
    loader, loaded = models
    with ThreadPoolExecutor(4) as threads, ExitStack() as held:
        first = held.enter_context(ExitStack())
        for task in "abcd":
            (first if task == "a" else held).enter_context(loader.using(version(task)))
        waits = [threads.submit(hold, loader, "e")]
        until(lambda: loader._leaving)
        waits.append(threads.submit(hold, loader, "a"))  # the one that is to leave
        time.sleep(0.1)
        assert [one.done() for one in waits] == [False, False]
        assert [one.closed for one in loaded] == [0] * 4
        first.close()
        assert waits[0].result(60) == "e"
        assert loaded[0].closed == 1
        assert [one.closed for one in loaded[1:4]] == [0] * 3
        held.close()
        assert waits[1].result(60) == "a"
        assert loaded[-1] is not loaded[0]


def hold(loader, task):
    with loader.using(version(task)) as model:
        assert model.closed == 0
        return model.version.task


def test_one_that_is_larger_than_the_room_is_loaded_alone(models):
    loader, loaded = models
    for task in "ab":
        with loader.using(version(task)) as model:
            model.size = 100
    until(lambda: loaded[0].closed == 1)
    assert loaded[1].closed == 0


def test_loading_one_holds_up_nobody_who_asks_for_another(models, monkeypatch):
    loader, _ = models
    with loader.using(version("there")):
        pass
    go, load = threading.Event(), pool.open_served

    def slow(workspace, version, *, apart):
        assert go.wait(60)
        return load(workspace, version, apart=apart)

    monkeypatch.setattr(pool, "open_served", slow)
    with ThreadPoolExecutor(1) as threads:
        slowly = threads.submit(hold, loader, "slow")
        assert hold(loader, "there") == "there"
        assert not slowly.done()
        go.set()
        assert slowly.result(60) == "slow"


def test_who_leaves_while_a_model_is_loaded_does_not_hold_it(models, monkeypatch):
    loader, loaded = models
    go, load = threading.Event(), pool.open_served

    def slow(workspace, version, *, apart):
        assert go.wait(60)
        return load(workspace, version, apart=apart)

    async def leave():
        async with asyncio.timeout(0.1), loader.held(version()):
            raise AssertionError("it is not loaded")

    monkeypatch.setattr(pool, "open_served", slow)
    with pytest.raises(TimeoutError):
        asyncio.run(leave())
    go.set()
    until(lambda: loaded)
    assert hold(loader, "t") == "t"
    assert [one.users for one in loader._loaded.values()] == [0]


def test_a_model_that_cannot_be_loaded_is_told_to_all_who_wait_and_tried_again(models, monkeypatch):
    loader, _ = models
    load = pool.open_served

    def fail(_workspace, _version, *, apart):
        raise ModelUnavailable("the base is gone")

    monkeypatch.setattr(pool, "open_served", fail)
    with ThreadPoolExecutor(4) as threads:
        for one in [threads.submit(hold, loader, "t") for _ in range(4)]:
            with pytest.raises(ModelUnavailable, match="the base is gone"):
                one.result(60)
    monkeypatch.setattr(pool, "open_served", load)
    assert hold(loader, "t") == "t"


def test_twenty_tasks_with_room_for_three_lose_no_request(models):
    """Each is answered by its own model, and never are more than four there."""
    loader, loaded = models

    def ask(number):
        task = f"t{number * 7 % 20}"
        with loader.using(version(task)) as model:
            assert sum(not one.closed for one in loaded) <= 4
            time.sleep(0.001)
            return model.version.task == task and not model.closed

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(ask, range(400)))
    assert len(loaded) >= 20


def test_a_pool_that_is_closed_frees_a_model_in_use_once(models):
    loader, _ = models
    with loader.using(version()) as model:
        loader.close()
        assert model.closed == 1
    assert model.closed == 1
    with pytest.raises(EngineFault, match="the server stops"):
        hold(loader, "t")


# ---------------------------------------------------------------------- names


def test_names_and_how_their_versions_came_to_answer(workspace):
    workspace.save_task(Task(name="t"))
    dispatcher = Dispatcher(workspace)
    with pytest.raises(ModelNotFound, match="`t` does not exist") as none:
        dispatcher.choose("t")
    assert none.value.remedy == "Models here: none"
    for _ in range(2):
        registry.add_version(workspace, version())
    registry.move_alias(workspace, "t", registry.CHAMPION, 1, action="promote")
    registry.move_alias(workspace, "t", registry.CANDIDATE, 2, action="evaluate")
    chosen = {name: dispatcher.choose(name) for name, _ in dispatcher.models()}
    told = {name: (one.version.name, one.route) for name, one in chosen.items()}
    assert told == {
        "t": ("t@1", "champion"),
        "t@candidate": ("t@2", "candidate"),
        "t@1": ("t@1", "version"),
        "t@2": ("t@2", "version"),
    }
    assert chosen["t"].version is chosen["t@1"].version  # read once


def test_a_version_is_read_again_when_its_record_has_changed(workspace):
    workspace.save_task(Task(name="t"))
    made = registry.add_version(workspace, version())
    dispatcher = Dispatcher(workspace)
    before = dispatcher.choose("t@1").version
    assert dispatcher.choose("t@1").version is before
    registry.update_version(workspace, made.model_copy(update={"threshold": 0.9}))
    assert dispatcher.choose("t@1").version.threshold == 0.9
    failed = PASSED.model_copy(update={"passed": False, "reason": "they differ"})
    registry.update_version(workspace, made.model_copy(update={"parity": failed}))
    with pytest.raises(ParityFailed, match="t@1 is not served, as it failed the parity gate: they differ"):
        dispatcher.choose("t@1")


def test_the_event_loop_learns_at_once_what_a_name_means_and_what_another_process_changed(workspace):
    workspace.save_task(Task(name="t"))
    dispatcher, other = Dispatcher(workspace), Workspace(workspace.paths.root)
    made = [registry.add_version(other, version()) for _ in range(2)]
    registry.move_alias(other, "t", registry.CHAMPION, 1, action="promote")
    model_names.add(other, "ft:base:inhouse:t:1", "t", 1, "job")
    assert dispatcher.at_once("t") is None  # not read yet
    names = ("t", "t@1", "t@2")
    chosen = {name: dispatcher.choose(name) for name in names}
    assert {name: dispatcher.at_once(name) for name in names} == chosen
    assert dispatcher.at_once("ft:base:inhouse:t:1") == Chosen(chosen["t@1"].version, "version")
    registry.move_alias(other, "t", registry.CHAMPION, 2, action="promote")
    assert dispatcher.at_once("t").version.name == "t@2"
    registry.move_alias(other, "t", registry.CHAMPION, 1, action="rollback")
    assert dispatcher.at_once("t").version.name == "t@1"
    registry.update_version(other, made[0].model_copy(update={"threshold": 0.9}))
    assert dispatcher.at_once("t") is None
    assert dispatcher.choose("t").version.threshold == 0.9
    assert dispatcher.at_once("t").version.threshold == 0.9
    for name in ("t@candidate", "t@3", "t@x", "u", "ft:base:inhouse:t:2", "../t"):
        assert dispatcher.at_once(name) is None, name


def test_a_look_that_may_not_wait_leaves_the_database_free_and_changes_nothing(workspace):
    workspace.save_task(Task(name="t"))
    registry.add_version(workspace, version())
    assert registry.state_at_once(workspace, "t", 1) == registry.state_of(workspace, "t", 1)
    workspace.database.scrub()  # empties the log, which no reader may hold
    assert registry.state_at_once(workspace, "t", 1) == registry.state_of(workspace, "t", 1)
    assert workspace.database.at_once("DELETE FROM model_versions") is None
    assert registry.state_of(workspace, "t", 1) is not None


# ---------------------------------------------------------------------- traces


def trace(name):
    plain = {"task": "t", "model_version": "t@1", "inputs": {"text": "x"}, "output": "b", "confidence": 0.5}
    plain |= {"needs_review": False, "latency_ms": 1.0, "prompt_tokens": 3, "answer_tokens": 2, "created_at": "now"}
    return Trace(id=name, **plain)


def test_traces_that_come_together_are_written_together(workspace, monkeypatch):
    begun, go, groups, add_traces = threading.Event(), threading.Event(), [], traffic.add_traces

    def slow(workspace, traces):
        begun.set()
        assert go.wait(20)
        groups.append(len(traces))
        add_traces(workspace, traces)

    monkeypatch.setattr(traffic, "add_traces", slow)
    writer = TraceWriter(workspace)
    first = writer.add(trace("c-0"))
    assert begun.wait(20)
    others = [writer.add(trace(f"c-{n}")) for n in range(1, 100)]
    assert not first.cancel()
    go.set()
    for one in (first, *others):
        one.result(20)
    assert groups == [1, 99]
    assert {t.id for t in traffic.traces(workspace, "t")} == {f"c-{n}" for n in range(100)}
    writer.close()


def test_many_threads_lose_no_trace(workspace):
    writer = TraceWriter(workspace)
    with ThreadPoolExecutor(60) as threads:
        kept = list(threads.map(lambda n: writer.add(trace(f"c-{n}")), range(600)))
    writer.close()  # writes what waits
    assert all(one.done() and one.exception() is None for one in kept)
    assert traffic.trace_count(workspace, "t") == 600


def test_a_trace_that_cannot_be_kept_takes_no_other_with_it(workspace):
    traffic.add_trace(workspace, trace("c-1"))
    writer = TraceWriter(workspace)
    with workspace.database.begin():  # the writer waits for it, and the three become one group or two
        kept = [writer.add(trace(name)) for name in ("c-0", "c-1", "c-2")]
    with pytest.raises(IntegrityError):
        kept[1].result(20)
    assert [one.result(20) for one in (kept[0], kept[2])] == [None, None]
    assert traffic.trace_count(workspace, "t") == 3
    writer.close()
