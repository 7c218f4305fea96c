"""Which contenders are asked where time is short, and what is said of those that are not."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from fields import bare_field

from inhouse.core import Example, Prediction, Provenance, Task
from inhouse.engine.answers import answer_form, text_prediction
from inhouse.engine.remote_engine import RemoteAnswer
from inhouse.errors import ModelUnavailable, UsageError
from inhouse.evaluate.contenders import asking
from inhouse.evaluate.contenders.asking import TimeBudget, ask_all, require_contenders, seconds_for
from inhouse.evaluate.contenders.recall import ask_once
from inhouse.evaluate.contenders.registry import NEEDED, PAID, QUICK, WRITING, Contender
from inhouse.evaluate.contenders.remote import remote
from inhouse.pipeline.evaluating.answers import keep_answers
from inhouse.scoring import summarise
from inhouse.store import Workspace, predictions


def rows(count: int) -> list[Example]:
    return [Example({"text": f"order {i}"}, "ab"[i % 2], "", Provenance("f.csv", i, "s")) for i in range(count)]


def a_field(**changes):
    task = Task.model_validate({"name": "t", "kind": "classify", "labels": ["a", "b"]})
    return bare_field(task, rows(40), rows(20)[:10], rows(40)[10:], **changes)


class Lazy:
    """Takes a hundredth of a second for each question, and remembers how many it was asked at a time."""

    def __init__(self, each: float = 0.01) -> None:
        self.asked: list[int] = []
        self.each = each

    def __call__(self, given):
        self.asked.append(len(given.questions))
        time.sleep(self.each * len(given.questions))
        return [Prediction(target="a", confidence=0.5)] * len(given.questions)


@pytest.fixture
def contenders(monkeypatch):
    """Four of them, in the order of reports; their asking is what the test looks at."""
    made = {
        "fine-tuned": Contender("fine-tuned", Lazy(0.0), fine_tuned=True, turn=NEEDED),
        "remote:x": Contender("remote:x", Lazy(), remote=True, turn=PAID),
        "prompted": Contender("prompted", Lazy(), turn=WRITING),
        "tfidf-linear": Contender("tfidf-linear", Lazy(0.0), turn=QUICK),
        "majority": Contender("majority", Lazy(0.0), turn=NEEDED),
    }
    monkeypatch.setattr(asking, "contenders_of", lambda task: list(made.values()))
    return made


def test_without_a_budget_all_are_asked_once_in_the_order_of_reports(contenders):
    given = a_field()
    found = ask_all(given)
    assert [a.name for a in found] == list(contenders)
    assert all(c.ask.asked == [40] for c in contenders.values())
    assert given.left_out == []
    assert given.notes == []


def test_what_there_is_no_time_for_is_left_out_with_its_minutes_and_how_to_ask_for_it(contenders):
    given = a_field()
    found = ask_all(given, budget=TimeBudget(0.3 / 60))  # forty questions take 0.4 s
    assert [a.name for a in found] == ["fine-tuned", "tfidf-linear", "majority"]
    assert [one.contender for one in given.left_out] == ["prompted", "remote:x"]  # the cheaper one was looked at first
    assert contenders["prompted"].ask.asked == [1, 8]  # a first question, and eight that are timed
    prompted = given.left_out[0]
    assert prompted.minutes >= 0.4 / 60  # sleeping takes longer where the cores are busy, never shorter
    assert "`inhouse evaluate t --minutes 2` has room for it" in prompted.reason
    (note,) = given.notes
    assert "nothing is known of those that were not asked: prompted, remote:x" in note


def test_what_a_verdict_needs_is_asked_though_no_time_is_left(contenders):
    budget = TimeBudget(0.0001)
    time.sleep(0.01)
    given = a_field()
    assert [a.name for a in ask_all(given, budget=budget, command="advise")] == ["fine-tuned", "majority"]
    assert contenders["prompted"].ask.asked == []  # not even a few questions
    assert all("no time was left" in one.reason and one.minutes is None for one in given.left_out)
    assert "inhouse advise t --minutes" in given.left_out[0].reason


def test_some_can_be_asked_by_name(contenders):
    given = a_field()
    found = ask_all(given, ["prompted"])
    assert [a.name for a in found] == ["fine-tuned", "prompted", "majority"]
    assert "inhouse evaluate t --contender tfidf-linear" in given.left_out[0].reason


def test_a_fine_tuned_kind_without_a_version_is_none_of_them(contenders):
    assert "fine-tuned" not in [a.name for a in ask_all(a_field(tuned_names=("fine-tuned-encoder",)))]


def test_an_unknown_name_is_refused_with_those_that_there_are():
    task = Task.model_validate({"name": "t", "kind": "generate"})
    require_contenders(task, ["prompted"])
    with pytest.raises(UsageError, match="tfidf-linear") as refused:
        require_contenders(task, ["tfidf-linear"])
    assert "few-shot" in str(refused.value)


def test_learning_is_estimated_by_a_part_of_the_training_examples():
    class Learner(Lazy):
        def __call__(self, given):
            time.sleep(0.001 * len(given.train))
            return super().__call__(given)

    task = Task.model_validate({"name": "t", "kind": "classify", "labels": ["a", "b"]})
    given = bare_field(task, rows(3000), [], rows(8))
    takes = seconds_for(given, Contender("l", Learner(0.0), turn=QUICK))
    assert 2.9 < takes < 20


def test_what_is_kept_costs_nothing_and_what_was_asked_to_see_the_cost_is_not_asked_twice():
    told: list[int] = []

    def answered(places):
        told.extend(places)
        return [Prediction(target="a", confidence=0.5, prompt_tokens=3)] * len(places)

    def ask(given):
        prompts = {i: ([1], e.inputs["text"]) for i, e in enumerate(given.questions)}
        return [ask_once(given, "prompted", "base", prompts, answered)[i] for i in prompts]

    from types import SimpleNamespace

    one = Contender("prompted", ask)
    given = a_field(form=SimpleNamespace(max_tokens=5), identities={"base": "file engine"})
    seconds_for(given, one)
    assert len(told) == 9
    ask(given)
    assert len(told) == 40
    assert given.asked["prompted"].cached == 0  # no earlier evaluation gave them
    again = a_field(form=given.form, identities=given.identities, known=given.known)
    seconds_for(again, one)
    ask(again)
    assert again.asked["prompted"].cached == 40
    assert len(told) == 40


def test_a_model_that_is_not_there_is_no_estimate():
    def gone(given):
        raise ModelUnavailable("it is gone")

    assert seconds_for(a_field(), Contender("remote:x", gone, remote=True)) == 0.0


def test_a_sample_lends_the_models_and_frees_none():
    closed = []
    model = type("M", (), {"close": lambda self: closed.append(1)})()
    given = a_field(make_base=partial(lambda: model))
    few = given.sample(given.train, given.test[:2])
    assert few.base is given.base is model
    few.close()
    assert closed == []
    assert (few.validation, len(few.test)) == ([], 2)
    given.close()
    assert closed == [1]


# ---------------------------------------------------------------------- remote models


class Vendor:
    """A remote model that knows every answer, and is down after some requests; it remembers what it was asked."""

    def __init__(self, until: int = 10**6, text: str = "") -> None:
        self.until, self.text, self.note = until, text, ""
        self.asked: list[str] = []

    def __call__(self, name):
        return self

    def answer(self, messages, *, max_new_tokens, json_schema, progress):
        found = []
        for one in messages:
            number = re.search(r"order (\d+)", one[-1]["content"])[1]
            if down := len(self.asked) >= self.until:
                found.append(RemoteAnswer(error="429 slow down", lost=True))
                continue
            self.asked.append(number)
            found.append(RemoteAnswer(self.text or "ab"[int(number) % 2], 7, 1, finished=not self.text))
        assert down or len(found) == len(messages)
        return found

    def close(self):
        pass


def with_remote(monkeypatch, vendor, tests=900, **changes):
    """A field whose remote model is the vendor, and nobody else but the floor."""
    one = Contender("remote:x", partial(remote, name="x"), remote=True, turn=PAID)
    floor = Contender("majority", Lazy(0.0), turn=NEEDED)
    monkeypatch.setattr(asking, "contenders_of", lambda task: [one, floor])
    task = Task.model_validate({"name": "t", "kind": "classify", "labels": ["a", "b"]})
    form = answer_form("classify", labels=["a", "b"])
    given = bare_field(task, [], rows(20), rows(20 + tests)[20:], form=form, make_remote=vendor, **changes)
    return replace(given, template=SimpleNamespace(prompt_ids=lambda m: [1], text_ids=lambda t: [1]), context=4000)


REMOTE = {"identities": {"remote:x": "https://x m"}}


def test_a_remote_model_that_breaks_off_is_left_out_and_what_it_answered_is_not_asked_again(monkeypatch):
    vendor = Vendor(until=150)
    given = with_remote(monkeypatch, vendor, **REMOTE)
    assert [a.name for a in ask_all(given)] == ["majority"]
    (left,) = given.left_out
    assert "170 of 320 requests got no answer (429 slow down)" in left.reason
    assert any(note.startswith("remote:x was not compared: 170 of 320") for note in given.notes)
    came = given.unfinished["remote:x"]
    assert sum(p.asked for p in (*came.validation, *came.test)) == 150
    assert sum(bool(key) for key in came.asked.keys) == 150
    assert len(came.asked.keys) == len(given.questions)
    vendor.until = 10**6
    again = with_remote(monkeypatch, vendor, **REMOTE, known=given.known)
    (found, _) = ask_all(again)
    assert len(vendor.asked) == len(set(vendor.asked)) == 920, "it is ahead, so all are asked, and each once"
    assert all(p.target == e.target for p, e in zip(found.test, again.test, strict=True))


def test_what_a_remote_model_answered_that_is_left_out_is_kept_with_the_others(monkeypatch, tmp_path):
    given = with_remote(monkeypatch, Vendor(until=150), **REMOTE)
    answers = ask_all(given)
    workspace = Workspace(tmp_path)
    workspace.create()
    version = SimpleNamespace(task="t", name="t@1", contender="fine-tuned")
    parts = {"validation": given.validation, "test": given.test}
    dataset = SimpleNamespace(of=parts.__getitem__, fingerprint="f")
    keep_answers(workspace, version, [version], dataset, answers, given)
    assert predictions.known(workspace, "t") == given.known
    assert len(given.known) == 150
    workspace.close()


def test_a_few_answers_that_never_came_count_for_nothing(monkeypatch):
    given = with_remote(monkeypatch, Vendor(until=310), tests=300, **REMOTE)
    (found, _) = ask_all(given)
    lost = [p for p in found.test if not p.asked]
    assert len(lost) == 10
    assert not found.sampled, "it was asked all"
    assert summarise(given.judging(given.test, found.test), [e.target for e in given.test], "accuracy").value == 1.0
    assert any("10 of 320 requests got no answer" in note and "count for nothing" in note for note in given.notes)
    assert given.left_out == []


def test_where_the_rest_of_the_test_gets_no_answer_the_sample_stands(monkeypatch):
    given = with_remote(monkeypatch, Vendor(until=400), **REMOTE)
    (found, _) = ask_all(given)
    assert found.tested == asking.SAMPLED
    assert given.left_out == []
    assert any(note.startswith("remote:x was asked 300 test examples: 520 of 920 requests") for note in given.notes)
    assert len(given.unfinished["remote:x"].asked.keys) == 920


def test_a_remote_answer_that_was_cut_is_judged_as_a_local_one_is(monkeypatch):
    given = with_remote(monkeypatch, Vendor(text="Dear"), tests=30, **REMOTE)
    for form, target in ((given.form, None), (answer_form("generate", answer_tokens=5), "Dear")):
        (found, _) = ask_all(replace(given, form=form))
        local = text_prediction("Dear", form, prompt_tokens=7, answer_tokens=1, finished=False)
        assert {p.model_dump_json() for p in found.test} == {local.model_dump_json()}
        assert local.target == target


def test_a_remote_answer_that_is_none_of_the_labels_is_paid_for_once(monkeypatch):
    vendor = Vendor(text="neither")
    given = with_remote(monkeypatch, vendor, tests=30, **REMOTE)
    assert {p.target for p in ask_all(given)[0].test} == {None}
    ask_all(with_remote(monkeypatch, vendor, tests=30, **REMOTE, known=given.known))
    assert len(vendor.asked) == 50


# ---------------------------------------------------------------------- a sample of a large test


class Knows:
    """Answers so many of ten questions rightly, and remembers which it was asked."""

    def __init__(self, right: int) -> None:
        self.right = right
        self.asked: list[list[str]] = []

    def __call__(self, given):
        self.asked.append([e.inputs["text"] for e in given.questions])
        given.notes.append(f"{self.right} of ten")
        targets = [e.target if i % 10 < self.right else None for i, e in enumerate(given.questions)]
        return [Prediction(target=target, confidence=0.5, prompt_tokens=3) for target in targets]


def of_many(monkeypatch, tests: int = 900, **knows: int):
    """A field with a large test, and who is asked: a fine-tuned one, a linear one, and some that write."""
    linear = Contender("linear", Knows(knows.pop("linear", 1)), turn=QUICK)
    made = [
        Contender("fine-tuned", Knows(9), fine_tuned=True, turn=NEEDED),
        *(Contender(name, Knows(right)) for name, right in knows.items()),
        linear,
    ]
    monkeypatch.setattr(asking, "contenders_of", lambda task: made)
    task = Task.model_validate({"name": "t", "kind": "classify", "labels": ["a", "b"]})
    return bare_field(task, rows(10), rows(20), rows(20 + tests)[20:]), {c.name: c.ask for c in made}


def test_of_a_large_test_only_the_best_alternative_is_asked_all(monkeypatch):
    given, ask = of_many(monkeypatch, poor=4, good=6)
    found = {a.name: a for a in ask_all(given)}
    assert [len(some) for some in ask["fine-tuned"].asked] == [920]
    assert [len(some) for some in ask["linear"].asked] == [920]
    assert [len(some) for some in ask["poor"].asked] == [320]
    assert [len(some) for some in ask["good"].asked] == [320, 920]
    poor = found["poor"].test
    there = [p.asked for p in poor]
    assert sum(there) == asking.SAMPLED
    assert [e.inputs["text"] for e, asked in zip(given.test, there, strict=True) if asked] == ask["poor"].asked[0][20:]
    judged = given.judging(given.test, poor)
    assert np.isnan(judged.scores["accuracy"]).sum() == 600
    assert all(p.asked for p in found["good"].test)
    # Of the one that was asked twice only what the second asking says.
    assert sorted(given.notes) == ["1 of ten", "4 of ten", "6 of ten", "9 of ten"]


def test_where_a_classical_model_leads_who_writes_and_is_behind_is_asked_a_sample(monkeypatch):
    given, ask = of_many(monkeypatch, linear=8, poor=4, good=6)
    ask_all(given)
    assert [len(some) for some in ask["poor"].asked] == [320]
    assert [len(some) for some in ask["good"].asked] == [320, 920]  # a thousand would be hardly less than all


def test_who_is_named_is_asked_all_and_a_small_test_is_asked_whole(monkeypatch):
    given, ask = of_many(monkeypatch, linear=8, poor=4)
    ask_all(given, ["poor"])
    assert [len(some) for some in ask["poor"].asked] == [920]
    given, ask = of_many(monkeypatch, 450, linear=8, poor=4)
    ask_all(given)
    assert [len(some) for some in ask["poor"].asked] == [470]


def asked_in(monkeypatch, minutes):
    """How many tests a contender answers that takes a second for each, by a clock of its own, and what is told."""
    given, ask = of_many(monkeypatch, tests=30_000, good=6)
    seconds = 0.0

    def slowly(asked):
        nonlocal seconds
        seconds += len(asked.questions)
        return ask["good"](asked)

    clock = SimpleNamespace(monotonic=lambda: seconds, perf_counter=lambda: seconds)
    monkeypatch.setattr(asking, "time", clock)  # else a busy machine would decide how many are asked
    slow = [*asking.contenders_of(given.task)]
    slow[1] = Contender("good", slowly)
    monkeypatch.setattr(asking, "contenders_of", lambda task: slow)
    found = {a.name: a for a in ask_all(given, budget=TimeBudget(minutes))}
    return sum(p.asked for p in found["good"].test), given.notes


def test_where_there_is_no_time_for_all_the_best_alternative_keeps_its_sample_and_that_is_said(monkeypatch):
    asked, notes = asked_in(monkeypatch, minutes=15)  # six for the sample, twelve more for a thousand
    assert asked == 300
    assert any("`inhouse evaluate t --contender good` asks all" in note for note in notes)


def test_where_there_is_time_for_a_thousand_and_not_for_all_a_thousand_are_asked(monkeypatch):
    asked, notes = asked_in(monkeypatch, minutes=30)
    assert asked == 1000
    assert any(note.startswith("good was asked 1,000 of 30,000 test examples") for note in notes)


def test_the_best_way_of_prompting_is_asked_a_thousand_where_another_leads(monkeypatch):
    given, ask = of_many(monkeypatch, tests=3000, linear=8, poor=4, good=6)
    found = {a.name: a for a in ask_all(given)}
    assert [len(some) for some in ask["good"].asked] == [320, 1020]
    assert [len(some) for some in ask["poor"].asked] == [320]
    assert sum(p.asked for p in found["good"].test) == 1000
    first, more = (set(some[20:]) for some in ask["good"].asked)
    assert first < more
    given, ask = of_many(monkeypatch, tests=3000, linear=1, poor=4, good=6)
    ask_all(given)
    assert [len(some) for some in ask["good"].asked] == [320, 3020]  # it is the best alternative too: all at once


def test_a_verdict_compares_what_both_were_asked(monkeypatch):
    from inhouse.evaluate.verdict import ContenderAnswers, decide

    given, _ = of_many(monkeypatch, poor=4, good=6)
    answers = ask_all(given)
    verdict, comparisons = decide(
        [
            ContenderAnswers(
                name=a.name,
                fine_tuned=a.fine_tuned,
                validation=[p.target for p in a.validation],
                test=[p.target for p in a.test],
                asked=given.judging(given.test, a.test).asked,
            )
            for a in answers
        ],
        expected_test=[e.target for e in given.test],
        expected_validation=[e.target for e in given.validation],
        metrics=given.task.metrics,
    )
    assert verdict.reason.startswith("On 900 test examples")
    gains = {c.theirs: (c.gain, c.high - c.low) for c in comparisons}
    assert gains["good"][0] == pytest.approx(0.3)
    assert gains["poor"][0] == pytest.approx(0.5, abs=0.05)  # by the sample that it was asked, not as 600 misses
    assert gains["poor"][1] > 1.3 * gains["good"][1]
