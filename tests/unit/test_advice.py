"""Advice: one choice from whatever is known, a figure behind each reason, and the cases in which tools oversell."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from conftest import dataset
from hypothesis import given, settings
from hypothesis import strategies as st

import inhouse
from inhouse.cli.show_evaluation import advised
from inhouse.core import ContenderResult, Evaluation, Metric, Task, Verdict
from inhouse.evaluate import advice
from inhouse.evaluate.advice import CHOICES, Evidence, Money, advise, break_even, family
from inhouse.evaluate.evidence import contradicting, facts_outside, form_kept
from inhouse.store import records, registry


def metric(value: float, n: int = 100, half: float = 0.05) -> Metric:
    return Metric(value=value, low=max(0.0, value - half), high=min(1.0, value + half), n=n)


def evidence(**changes: Any) -> Evidence:
    usual: dict[str, Any] = {
        "task": "tickets",
        "kind": "classify",
        "metric": "accuracy",
        "min_gain": 0.02,
        "train_examples": 500,
        "judged_examples": 100,
        "contenders": {"prompted": metric(0.3), "tfidf-linear": metric(0.7), "majority": metric(0.1)},
    }
    return Evidence(**(usual | changes))


def after(decision: str, winner: str, **changes: Any) -> Evidence:
    known = {"decision": decision, "winner": winner, "version": "tickets@1", "judged_on": "test"}
    others = {"fine-tuned": metric(0.9), "few-shot": metric(0.5), "tfidf-linear": metric(0.8), winner: metric(0.9)}
    return evidence(**(known | {"contenders": others} | changes))


@pytest.mark.parametrize(
    ("known", "choice"),
    [
        (evidence(), "fine_tune"),
        (evidence(train_examples=20), "collect_more"),
        (evidence(judged_examples=5), "collect_more"),
        (evidence(minimum=0.6), "classical"),
        (evidence(minimum=0.69), "fine_tune"),
        (evidence(contenders={"prompted": metric(0.995, half=0.004), "majority": metric(0.1)}), "prompt"),
        (evidence(contenders={"tfidf-linear": metric(0.12), "majority": metric(0.1)}), "leave_it"),
        (evidence(contenders={"tfidf-linear": metric(0.12), "majority": metric(0.1)}, train_examples=60), "fine_tune"),
        (evidence(kind="generate", contenders={"prompted": metric(0.1), "majority": metric(0.2)}), "fine_tune"),
        (evidence(contradicting=metric(0.4)), "leave_it"),
        (evidence(facts_outside=metric(0.5)), "retrieval"),
        (evidence(facts_outside=metric(0.22)), "fine_tune"),
        (after("adopt", "fine-tuned"), "fine_tune"),
        (after("adopt", "fine-tuned-encoder"), "fine_tune"),
        (after("adopt", "fine-tuned+retrieval"), "fine_tune_with_retrieval"),
        (after("adopt", "fine-tuned", facts_outside=metric(0.5)), "fine_tune_with_retrieval"),
        (after("not_needed", "tfidf-linear"), "classical"),
        (after("not_needed", "few-shot"), "prompt"),
        (after("not_needed", "grounded"), "retrieval"),
        (after("not_needed", "few-shot", facts_outside=metric(0.5)), "retrieval"),
        (
            after("adopt", "fine-tuned", contenders={"fine-tuned": metric(0.7), "fine-tuned+retrieval": metric(0.9)}),
            "fine_tune_with_retrieval",
        ),
        (
            after("adopt", "fine-tuned", contenders={"fine-tuned": metric(0.7), "fine-tuned+retrieval": metric(0.75)}),
            "fine_tune",
        ),
        (evidence(contenders={"prompted": metric(0.3), "grounded": metric(0.6)}), "fine_tune_with_retrieval"),
        (evidence(contenders={"prompted": metric(0.3), "grounded": metric(0.38)}), "fine_tune"),
        (
            evidence(contenders={"prompted": metric(0.3), "retrieval": metric(0.6), "grounded": metric(0.6)}),
            "fine_tune",
        ),
        (after("collect_more", "fine-tuned"), "collect_more"),
        (after("reject", "fine-tuned"), "leave_it"),
    ],
)
def test_what_is_advised(known: Evidence, choice: str):
    assert advise(known).choice == choice


def test_after_an_evaluation_its_reason_is_told_and_its_next_step_is_taken():
    said = {"verdict": "On 40 test examples nothing is shown.", "next_step": "inhouse add tickets --test FILE"}
    open_yet = advise(after("collect_more", "fine-tuned", **said))
    assert open_yet.reason == ("the evaluation of tickets@1 could not decide. On 40 test examples nothing is shown.")
    assert open_yet.next == "inhouse add tickets --test FILE"
    enough = advise(after("not_needed", "tfidf-linear", next_step="inhouse promote tickets"))
    assert (enough.choice, enough.next) == ("classical", "inhouse promote tickets")
    looked_up = advise(after("not_needed", "few-shot", facts_outside=metric(0.5), next_step="inhouse promote tickets"))
    assert (looked_up.choice, looked_up.next) == ("retrieval", "")


def test_an_own_model_that_never_pays_is_not_advised_against_a_remote_one():
    asked = {"remote:gpt": metric(0.9), "prompted": metric(0.3), "majority": metric(0.1)}
    dear = Money(labelling_hours=100, hour_price=50, remote_per_thousand=1.0)
    known = evidence(contenders=asked, remotes=("gpt",), money=dear, requests_per_month=1000)
    found = advise(known)
    assert (found.choice, found.use) == ("prompt", "remote:gpt")
    assert found.break_even is not None
    assert found.break_even.months == 5000
    busy = advise(known.model_copy(update={"requests_per_month": 1_000_000}))
    assert busy.choice == "fine_tune"


def test_break_even_by_hand():
    money = Money(labelling_hours=10, hour_price=40, training=8, local_per_thousand=0.5, remote_per_thousand=2.5)
    found = break_even(money, per_month=51_000)
    assert (found.once, found.saved_per_thousand, found.requests) == (408.0, 2.0, 204_000)
    assert found.months == 4.0
    assert break_even(Money(local_per_thousand=3, remote_per_thousand=2.5)).requests is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("prompted", "prompt"),
        ("remote:gpt-4o", "prompt"),
        ("prompted-best", "prompt"),
        ("retrieval", "retrieval"),
        ("grounded", "retrieval"),
        ("embedding-linear", "classical"),
        ("fine-tuned+retrieval", "fine_tune_with_retrieval"),
        ("majority", "leave_it"),
    ],
)
def test_the_family_of_a_contender(name: str, expected: str):
    assert family(name) == expected


SHARES = st.builds(metric, st.floats(0, 1), st.integers(1, 1000), st.floats(0, 0.5))
NAMES = st.sampled_from(["prompted", "few-shot", "retrieval", "grounded", "tfidf-linear", "majority", "remote:gpt"])
KNOWN = st.builds(
    evidence,
    kind=st.sampled_from(["classify", "extract", "generate"]),
    minimum=st.none() | st.floats(0, 1),
    train_examples=st.integers(0, 10_000),
    judged_examples=st.integers(0, 1000),
    contenders=st.dictionaries(NAMES, SHARES),
    facts_outside=st.none() | SHARES,
    form_kept=st.none() | SHARES,
    contradicting=st.none() | SHARES,
    requests_per_month=st.none() | st.floats(0, 1e6),
    money=st.none() | st.builds(Money, labelling_hours=st.floats(0, 1e4), remote_per_thousand=st.floats(0, 100)),
)


@settings(max_examples=200, deadline=None)
@given(KNOWN)
def test_whatever_is_known_there_is_one_choice_with_a_figure_behind_each_reason(known: Evidence):
    found = advise(known)
    assert found.choice in CHOICES
    assert found.reason
    assert found.reasons
    assert all(any(sign.isdigit() for sign in r.number) or r.number == "never" for r in found.reasons)
    assert all(r.source for r in found.reasons if r.says != "requests a month")
    assert found.changes_if


# --- what the examples say


LETTER = Task(name="letters", kind="generate")


def letters(answer: Any) -> list[Any]:
    dice = random.Random(0)
    rows = [(dice.randrange(1000, 9999), dice.randrange(100, 999)) for _ in range(120)]
    return dataset(*((f"order {o}, {p} euro, where is it?", answer(o, p), "train") for o, p in rows)).of("train")


def test_answers_with_facts_that_must_be_looked_up_are_told_from_those_with_habits():
    dice = random.Random(1)
    looked_up = letters(lambda o, p: f"Your order {o} leaves depot {dice.randrange(10_000, 99_999)} today.")
    habit = letters(lambda o, p: f"Your order {o} of {p} euro is on its way. Call 0800 4711.")
    outside, inside = facts_outside(LETTER, looked_up), facts_outside(LETTER, habit)
    assert outside is not None
    assert inside is not None
    assert outside.low > 0.9
    assert inside.high < 0.1


ORDER = Task(
    name="orders",
    kind="extract",
    schema={
        "type": "object",
        "properties": {"order": {"type": "string"}, "stock": {"type": "integer"}, "paid": {"type": "boolean"}},
        "required": ["order"],
    },
)


def test_a_field_that_stands_in_no_input_is_looked_up_and_one_with_slips_is_not():
    dice = random.Random(2)
    strange = letters(lambda o, p: f'{{"order": "{o}", "stock": {dice.randrange(10**6, 10**7)}, "paid": true}}')
    slips = letters(lambda o, p: f'{{"order": "{o if o % 10 else dice.randrange(10**6, 10**7)}", "stock": {p}}}')
    outside, inside = facts_outside(ORDER, strange), facts_outside(ORDER, slips)
    assert outside is not None
    assert inside is not None
    assert outside.value == 1.0
    assert inside.value == 0.0


def test_labels_tell_no_facts_and_keep_no_form():
    rows = dataset(*((f"text {n}", "ab"[n % 2], "train") for n in range(60))).of("train")
    assert facts_outside(Task(name="t", labels=("a", "b")), rows) is None
    assert form_kept(Task(name="t", labels=("a", "b")), rows) is None


def test_contradictions_and_form_are_counted():
    rows = dataset(*(("same" if n < 10 else f"text {n}", "ab"[n % 2], "train") for n in range(40))).of("train")
    found = contradicting(Task(name="t", labels=("a", "b")), rows)
    assert found is not None
    assert found.value == 0.25
    assert contradicting(LETTER, rows) is None, "a text can be right in several ways"
    objects = letters(lambda o, p: f'{{"order": "{o}"}}' if o % 2 else '{"stock": "none"}')
    kept = form_kept(ORDER, objects)
    assert kept is not None
    assert kept.value == pytest.approx(sum('"order"' in e.target for e in objects) / len(objects))


# --- the verb, on the tiny base


@pytest.fixture(scope="module")
def asked(trained: Path, encoder: Path) -> tuple[Path, Any]:
    """The trained workspace, and what is advised there, few as they are: nothing is evaluated in it yet."""
    workspace = inhouse.open_workspace(trained)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(advice, "LEAST_JUDGED", 5)
        found = inhouse.advise(workspace, "intents", requests_per_month=900)
    workspace.close()
    return trained, found


def test_before_an_evaluation_contenders_are_asked_and_the_test_is_not(asked: tuple[Path, Any]):
    folder, found = asked
    workspace = inhouse.open_workspace(folder)
    counts = records.load_dataset(workspace, "intents").counts()
    workspace.close()
    prompting = {"prompted", "few-shot", "prompted-best", "retrieval"}
    assert set(found.contenders) == {*prompting, "tfidf-linear", "embedding-linear", "majority"}
    assert (found.evaluated, found.judged_on) == ("", "validation")
    assert found.judged_examples == counts["validation"]
    assert all(m.n == counts["validation"] for m in found.contenders.values())
    assert any(r.number == "900" for r in found.reasons)


def test_after_an_evaluation_the_verdict_is_read(copy_of_trained: Path):
    workspace = inhouse.open_workspace(copy_of_trained)
    version = registry.find_version(workspace, "intents", "latest")
    known = Evaluation(
        task="intents",
        report="",
        dataset_fingerprint="",
        base_model="",
        model_version=version.name,
        test_examples=19,
        validation_examples=10,
        primary_metric="accuracy",
        contenders=tuple(
            ContenderResult(
                name=name, model=None, metrics={"accuracy": metric(value)}, seconds=1.0, requests_per_second=10.0
            )
            for name, value in (("fine-tuned", 0.8), ("tfidf-linear", 0.9))
        ),
        verdict=Verdict(
            decision="not_needed",
            winner="tfidf-linear",
            against="fine-tuned",
            gain=-0.1,
            low=-0.2,
            high=-0.01,
            p_value=0.01,
            reason="",
        ),
    ).model_dump(mode="json")
    registry.update_version(workspace, version.model_copy(update={"evaluation": known}))
    found = inhouse.advise(workspace, "intents", remote_price=2.0, hours=10, hour_price=40)
    assert (found.choice, found.use, found.evaluated) == ("classical", "tfidf-linear", "intents@1")
    assert (found.judged_on, found.judged_examples) == ("test", 19)
    assert found.break_even is not None
    assert found.break_even.requests == 200_000
    workspace.close()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--hours", "3"], "--hours and --hour-price belong together"),
        (["--hours", "3", "--hour-price", "5"], "give --remote-price too"),
        (["--remote-price", "-1"], "--remote-price -1.0 is no amount"),
    ],
)
def test_figures_that_make_no_sense_are_refused(trained: Path, cli: Any, options: list[str], told: str):
    done = cli(trained, "advise", "intents", *options)
    assert done.code == 2
    assert told in done.err


def test_the_command_tells_every_reason_with_its_figure(asked: tuple[Path, Any]):
    found = asked[1]
    text = advised(found)
    assert all(r.number in text and r.says in text for r in found.reasons)
    assert found.reason in text
