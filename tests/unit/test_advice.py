"""Advice: one choice from whatever is known, a figure behind each reason, and the cases in which tools oversell."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import dataset, write_csv
from hypothesis import given, settings
from hypothesis import strategies as st

import inhouse
from inhouse.cli.show_evaluation import advised
from inhouse.core import ContenderResult, CurvePoint, CurveResult, Evaluation, Metric, Task, Verdict
from inhouse.errors import NoMetric
from inhouse.evaluate import contenders
from inhouse.evaluate.advice import CHOICES, OWN_CURVE, Evidence, Money, advise, break_even, family, rules
from inhouse.evaluate.evidence import contradicting, facts_outside, form_kept
from inhouse.pipeline import advising
from inhouse.pipeline.evaluating import field
from inhouse.scoring import Judged
from inhouse.store import Workspace, records, registry


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
        "go_on": "inhouse train tickets",
    }
    return Evidence(**(usual | changes))


def verdict(decision: Any, winner: str, reason: str = "") -> Verdict:
    return Verdict(
        decision=decision,
        winner=winner,
        against="few-shot",
        gain=0.1,
        low=0.05,
        high=0.15,
        p_value=0.001,
        reason=reason,
    )


def after(decision: str, winner: str, reason: str = "", **changes: Any) -> Evidence:
    known: dict[str, Any] = {
        "verdict": verdict(decision, winner, reason),
        "version": "tickets@1",
        "judged_on": "test",
        "go_on": "inhouse promote tickets",
    }
    others = {"fine-tuned": metric(0.9), "few-shot": metric(0.5), "tfidf-linear": metric(0.8), winner: metric(0.9)}
    return evidence(**(known | {"contenders": others} | changes))


def curve(now: float, gain: float, half: float = 0.05, **changes: Any) -> dict[str, Any]:
    """A learning curve of fine-tuning that is at `now` and has so much to come, as an Evidence has it."""
    points = tuple(
        CurvePoint(examples=n, score=s, low=max(0.0, s - half), high=min(1.0, s + half), measured=measured)
        for n, s, measured in ((250, now - gain, True), (500, now, True), (1000, now + gain, False))
    )
    usual = {
        "task": "tickets",
        "metric": "accuracy",
        "validation_examples": 100,
        "power": 0.2,
        "reason": "",
        "chart": "",
    }
    drawn = {"gain": gain, "low": gain - half, "high": gain + half, "points": points}
    return {"curve": CurveResult.model_validate(usual | drawn | changes), "curve_of": OWN_CURVE}


SHOWN_BETTER = {"fine-tuned": metric(0.7), "fine-tuned+retrieval": metric(0.9)}
ALSO = verdict("adopt", "fine-tuned").model_copy(update={"also": ("fine-tuned+retrieval",)})
NOTHING = {"tfidf-linear": metric(0.12), "majority": metric(0.1)}


@pytest.mark.parametrize(
    ("known", "choice"),
    [
        (evidence(), "fine_tune"),
        (evidence(train_examples=20), "collect_more"),
        (evidence(judged_examples=5), "collect_more"),
        (evidence(minimum=0.6), "classical"),
        (evidence(minimum=0.69), "fine_tune"),
        (evidence(contenders={"prompted": metric(0.995, half=0.004), "majority": metric(0.1)}), "prompt"),
        (evidence(contenders={"prompted": metric(0.99), "majority": metric(0.1)}), "prompt"),
        (evidence(contenders={"prompted": metric(0.97), "majority": metric(0.1)}), "fine_tune"),
        (evidence(contenders={"tfidf-linear": metric(0.12), "majority": metric(0.1)}), "leave_it"),
        (evidence(contenders={"tfidf-linear": metric(0.12), "majority": metric(0.1)}, train_examples=60), "fine_tune"),
        (evidence(kind="generate", contenders={"prompted": metric(0.1), "majority": metric(0.2)}), "fine_tune"),
        (evidence(contradicting=metric(0.4)), "leave_it"),
        (evidence(form_kept=metric(0.1)), "collect_more"),
        (evidence(form_kept=metric(0.99)), "fine_tune"),
        (evidence(**curve(0.7, 0.0)), "fine_tune"),  # up to 75 %, which would be worth it
        (evidence(**curve(0.6, 0.0)), "classical"),
        (evidence(**curve(0.6, 0.15)), "collect_more"),
        (evidence(**curve(0.8, 0.0)), "fine_tune"),
        (evidence(minimum=0.9, **curve(0.8, 0.0)), "leave_it"),
        (evidence(minimum=0.9, **curve(0.8, 0.15)), "collect_more"),
        (evidence(**curve(0.6, 0.15, metric="macro_f1")), "fine_tune"),  # not to be compared
        (evidence(contenders=NOTHING, **curve(0.1, 0.15)), "collect_more"),
        (evidence(contenders=NOTHING, **curve(0.1, 0.0)), "leave_it"),
        (evidence(facts_outside=metric(0.5)), "retrieval"),
        (evidence(facts_outside=metric(0.22)), "fine_tune"),
        (after("adopt", "fine-tuned"), "fine_tune"),
        (after("adopt", "fine-tuned-encoder"), "fine_tune"),
        (after("adopt", "fine-tuned+retrieval"), "fine_tune_with_retrieval"),
        (after("adopt", "fine-tuned", facts_outside=metric(0.5)), "retrieval"),
        (after("not_needed", "tfidf-linear"), "classical"),
        (after("not_needed", "few-shot"), "prompt"),
        (after("not_needed", "grounded"), "retrieval"),
        (after("not_needed", "few-shot", facts_outside=metric(0.5)), "retrieval"),
        (after("adopt", "fine-tuned", contenders=SHOWN_BETTER, verdict=ALSO), "fine_tune_with_retrieval"),
        (after("adopt", "fine-tuned", contenders=SHOWN_BETTER), "fine_tune"),  # not shown to be beyond chance
        (evidence(contenders={"prompted": metric(0.3), "grounded": metric(0.6)}), "retrieval"),
        (
            evidence(contenders={"prompted": metric(0.3), "grounded": metric(0.6), "tfidf-linear": metric(0.8)}),
            "fine_tune",
        ),
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
    said = "On 40 test examples nothing is shown."
    open_yet = advise(after("collect_more", "fine-tuned", said, go_on="inhouse add tickets --test FILE"))
    assert open_yet.reason == f"the evaluation of tickets@1 could not decide. {said}"
    assert open_yet.next == "inhouse add tickets --test FILE"


# --- what to do next is something that can be done


GROUNDED = {"prompted": metric(0.3), "grounded": metric(0.6)}


@pytest.mark.parametrize(
    ("known", "use", "command"),
    [
        (evidence(), "", "inhouse train tickets"),
        (evidence(clean_first="inhouse clean tickets --apply leakage"), "", "inhouse clean tickets --apply leakage"),
        (
            evidence(minimum=0.6, clean_first="inhouse clean tickets --apply leakage"),
            "tfidf-linear",
            "inhouse clean tickets --apply leakage",
        ),
        (evidence(go_on="inhouse evaluate tickets"), "", "inhouse evaluate tickets"),
        (evidence(train_examples=20), "", "inhouse add tickets FILE"),
        (evidence(contradicting=metric(0.4)), "", "inhouse clean tickets"),
        (evidence(form_kept=metric(0.1)), "", "inhouse clean tickets"),
        (evidence(contenders={}), "", "inhouse advise tickets"),
        (evidence(minimum=0.6), "tfidf-linear", "inhouse evaluate tickets"),
        (evidence(minimum=0.2, contenders={"prompted": metric(0.3)}), "prompted", "inhouse evaluate tickets"),
        (evidence(contenders=GROUNDED), "grounded", "inhouse evaluate tickets"),
        (evidence(**curve(0.6, 0.0)), "tfidf-linear", "inhouse evaluate tickets"),
        (evidence(**curve(0.6, 0.15)), "", "inhouse add tickets FILE"),
        (evidence(facts_outside=metric(0.5)), "grounded", "inhouse evaluate tickets"),
        (after("not_needed", "few-shot", facts_outside=metric(0.5)), "grounded", "inhouse evaluate tickets"),
        (after("adopt", "fine-tuned", facts_outside=metric(0.5)), "grounded", "inhouse evaluate tickets"),
        (
            after("not_needed", "grounded", facts_outside=metric(0.5)),
            "grounded",
            "inhouse promote tickets --contender grounded",
        ),
        (after("not_needed", "grounded"), "grounded", "inhouse promote tickets --contender grounded"),
        (after("not_needed", "tfidf-linear"), "tfidf-linear", "inhouse promote tickets --contender tfidf-linear"),
        (after("adopt", "fine-tuned"), "fine-tuned", "inhouse promote tickets"),
        (
            after("adopt", "fine-tuned", contenders=SHOWN_BETTER, verdict=ALSO),
            "fine-tuned+retrieval",
            "inhouse promote tickets --contender fine-tuned+retrieval",
        ),
        (
            after("adopt", "fine-tuned+retrieval", contenders={"fine-tuned+retrieval": metric(0.9)}),
            "fine-tuned+retrieval",
            "inhouse promote tickets --contender fine-tuned+retrieval",
        ),
        (after("not_needed", "remote:gpt", go_on=""), "remote:gpt", ""),
        (after("adopt", "fine-tuned", serves="fine-tuned"), "fine-tuned", "inhouse serve"),
        (
            after("not_needed", "grounded", facts_outside=metric(0.5), serves="grounded"),
            "grounded",
            "inhouse serve",
        ),
    ],
)
def test_the_command_that_comes_next_can_be_typed(known: Evidence, use: str, command: str):
    found = advise(known)
    assert (found.use, found.next) == (use, command)


def untrained(winner: str, decision: str = "not_needed", **changes: Any) -> Evidence:
    """What is known after an evaluation before any training."""
    known = {"trained": False, "go_on": "inhouse train tickets", "verdict": verdict(decision, winner)}
    others = {"few-shot": metric(0.5), "tfidf-linear": metric(0.8), "majority": metric(0.1)}
    return after(decision, winner, **(known | {"contenders": others} | changes))


PROMOTED = "inhouse promote tickets --contender tfidf-linear"


@pytest.mark.parametrize(
    ("known", "choice", "command"),
    [
        (untrained("tfidf-linear"), "fine_tune", "inhouse train tickets"),
        (untrained("tfidf-linear", go_on="inhouse evaluate tickets"), "fine_tune", "inhouse evaluate tickets"),
        (untrained("tfidf-linear", minimum=0.7), "classical", PROMOTED),
        (untrained("tfidf-linear", minimum=0.7, serves="tfidf-linear"), "classical", "inhouse serve"),
        (untrained("tfidf-linear", "collect_more", minimum=0.7), "classical", "inhouse evaluate tickets"),
        (untrained("tfidf-linear", **curve(0.6, 0.0)), "classical", PROMOTED),
        (untrained("few-shot", minimum=0.7), "fine_tune", "inhouse train tickets"),  # the winner, not the luckiest
        (
            untrained("grounded", facts_outside=metric(0.5), contenders={"grounded": metric(0.6)}),
            "retrieval",
            "inhouse promote tickets --contender grounded",
        ),
    ],
)
def test_an_evaluation_before_any_training_says_nothing_of_fine_tuning(known: Evidence, choice: str, command: str):
    found = advise(known)
    assert (found.choice, found.next) == (choice, command)


def test_where_facts_must_be_looked_up_it_is_said_where_the_documents_go():
    assert "into tasks/tickets/documents" in advise(evidence(facts_outside=metric(0.5))).reason
    shown = evidence(facts_outside=metric(0.5), contenders={"prompted": metric(0.1), "grounded": metric(0.2)})
    assert "grounded has accuracy 20.0%" in advise(shown).reason


def test_a_model_that_was_adopted_over_the_passages_is_used_and_what_it_cannot_know_is_said():
    compared = {"fine-tuned": metric(0.9), "grounded": metric(0.4)}
    found = advise(after("adopt", "fine-tuned", facts_outside=metric(0.5), contenders=compared))
    assert (found.choice, found.use) == ("fine_tune", "fine-tuned")
    assert "50% of its answers tell what it cannot know" in found.reason


# --- data that changed since


STALE = "tickets@1 was evaluated on version 1 of the data, which is at version 2"


@pytest.mark.parametrize(
    ("decision", "winner", "choice", "use"),
    [
        ("collect_more", "fine-tuned", "fine_tune", ""),
        ("reject", "fine-tuned", "fine_tune", ""),
        ("adopt", "fine-tuned", "fine_tune", "fine-tuned"),
        ("not_needed", "tfidf-linear", "classical", "tfidf-linear"),
    ],
)
def test_an_evaluation_of_other_data_does_not_decide_and_the_data_goes_on(
    decision: str, winner: str, choice: str, use: str
):
    found = advise(after(decision, winner, stale=STALE, go_on="inhouse train tickets"))
    assert (found.choice, found.use, found.next) == (choice, use, "inhouse train tickets")
    assert found.reason.startswith(STALE)


def test_faults_of_the_data_as_it_is_go_before_an_evaluation_of_other_data():
    found = advise(after("adopt", "fine-tuned", stale=STALE, contradicting=metric(0.4)))
    assert found.reason.startswith(STALE)
    assert (found.choice, found.next) == ("leave_it", "inhouse clean tickets")


# --- what would change it


ASKED = {"remote:gpt": metric(0.9), "prompted": metric(0.3), "majority": metric(0.1)}
DEAR = {
    "contenders": ASKED,
    "remotes": ("gpt",),
    "money": Money(labelling_hours=100, hour_price=50, remote_per_thousand=1.0),
    "requests_per_month": 1000,
}


def dear(**changes: float) -> dict[str, Any]:
    return {"money": Money(**({"labelling_hours": 100, "hour_price": 50, "remote_per_thousand": 1.0} | changes))}


@pytest.mark.parametrize(
    ("known", "told", "moved"),
    [
        (evidence(), "fewer than 50 examples to learn from", {"train_examples": 49}),
        (evidence(train_examples=49), "at least 50 examples to learn from", {"train_examples": 50}),
        (evidence(contenders=NOTHING), "fewer than 200 examples to learn from", {"train_examples": 199}),
        (evidence(), "fewer than 20 examples to judge by", {"judged_examples": 19}),
        (
            evidence(minimum=0.75),
            "tfidf-linear comes to more than 75.0% at the lower end",
            {"contenders": {"prompted": metric(0.3), "tfidf-linear": metric(0.802), "majority": metric(0.1)}},
        ),
        (
            evidence(minimum=0.6),
            "tfidf-linear falls under 60.0% at the lower end",
            {"contenders": {"prompted": metric(0.3), "tfidf-linear": metric(0.649), "majority": metric(0.1)}},
        ),
        (
            evidence(contenders={"prompted": metric(0.97), "majority": metric(0.1)}),
            "prompted comes to more than 98.0%",
            {"contenders": {"prompted": metric(0.981), "majority": metric(0.1)}},
        ),
        (
            evidence(contenders={"prompted": metric(0.99), "majority": metric(0.1)}),
            "prompted falls under 98.0%",
            {"contenders": {"prompted": metric(0.979), "majority": metric(0.1)}},
        ),
        (
            evidence(contenders={"prompted": metric(0.3), "grounded": metric(0.38)}),
            "grounded comes to more than 35.0% at the lower end",
            {"contenders": {"prompted": metric(0.3), "grounded": metric(0.401)}},
        ),
        (evidence(facts_outside=metric(0.22)), "more than 20% of the answers tell", {"facts_outside": metric(0.251)}),
        (evidence(facts_outside=metric(0.5)), "no more than 20% of the answers", {"facts_outside": metric(0.249)}),
        (evidence(contradicting=metric(0.2)), "more than 20% of the examples", {"contradicting": metric(0.251)}),
        (evidence(contradicting=metric(0.3)), "no more than 20% of the examples", {"contradicting": metric(0.25)}),
        (evidence(form_kept=metric(0.9)), "fewer than 80% of the training answers", {"form_kept": metric(0.749)}),
        (evidence(form_kept=metric(0.7)), "at least 80% of the training answers", {"form_kept": metric(0.751)}),
        (evidence(**curve(0.8, 0.0)), "fine-tuning does not come to 72.0%", curve(0.669, 0.0)),
        (evidence(**curve(0.6, 0.0)), "fine-tuning comes to 72.0%", curve(0.671, 0.0)),
        (evidence(**curve(0.6, 0.0)), "bring at least 12.0 points", curve(0.6, 0.121)),
        (evidence(**curve(0.6, 0.15)), "bring less than 12.0 points", curve(0.6, 0.119)),
        (evidence(contenders=NOTHING, **curve(0.1, 0.0)), "bring at least 1 point at the lower", curve(0.1, 0.061)),
        (evidence(**DEAR), "more than 138,889 requests a month", {"requests_per_month": 138_900}),
        (evidence(**DEAR | {"requests_per_month": 200_000}), "fewer than 138,889", {"requests_per_month": 138_800}),
        (evidence(**DEAR), "the remote model cost more than 138.89", dear(remote_per_thousand=138.9)),
        (evidence(**DEAR | dear(remote_per_thousand=150)), "cost less than 138.89", dear(remote_per_thousand=138.8)),
        (evidence(**DEAR), "inputs may not leave this machine", {"contenders": {"prompted": metric(0.3)}}),
        (
            evidence(),
            "a remote model comes to more than 98.0%",
            {"contenders": {"tfidf-linear": metric(0.7), "remote:gpt": metric(0.99, half=0.005)}},
        ),
        (
            after("adopt", "fine-tuned", contenders=SHOWN_BETTER, verdict=ALSO),
            "comes to another verdict",
            {"verdict": verdict("adopt", "fine-tuned")},
        ),
        (after("adopt", "fine-tuned"), "comes to another verdict", {"verdict": verdict("reject", "fine-tuned")}),
        (after("adopt", "fine-tuned", facts_outside=metric(0.1)), "more than 20%", {"facts_outside": metric(0.3)}),
        (after("reject", "fine-tuned", stale=STALE), "the data goes back to what was evaluated", {"stale": ""}),
    ],
)
def test_a_figure_that_is_named_as_changing_the_choice_changes_it(known: Evidence, told: str, moved: dict[str, Any]):
    before = advise(known)
    assert any(told in what for what in before.changes_if), before.changes_if
    assert advise(known.model_copy(update=moved)).choice != before.choice


@pytest.mark.parametrize(
    ("known", "key"),
    [
        (after("adopt", "fine-tuned", **curve(0.6, 0.0)), "curve"),  # the verdict has weighed it
        (after("adopt", "fine-tuned", form_kept=metric(0.9)), "form_kept"),
        (after("adopt", "fine-tuned"), "remotes"),
        (evidence(requests_per_month=1000), "requests_per_month"),
        (evidence(**curve(0.9, 0.0) | {"curve_of": "a model that trains in a second"}), "curve"),
    ],
)
def test_a_figure_that_changes_nothing_is_told_without_a_change(known: Evidence, key: str):
    told = [r.changes_if for r in advise(known).reasons if f"evidence.{key}" in r.source]
    assert told
    assert not any(told)


def test_a_machine_without_a_price_is_said_to_count_as_free():
    free = Money(labelling_hours=1, hour_price=50, remote_per_thousand=1.0, free="`cost` has no price of it")
    told = [r.says for r in advise(evidence(money=free)).reasons if "paid for its" in r.says]
    assert told == [
        "an own model has paid for its 50.00, saving 1.00 a thousand; "
        "this machine counts as free here, as `cost` has no price of it"
    ]


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
    assert all(r.source for r in found.reasons)
    assert found.next or found.use.startswith("remote:")


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
        patch.setattr(rules, "LEAST_JUDGED", 5)
        found = inhouse.advise(workspace, "intents", requests_per_month=900)
    workspace.close()
    return trained, found


def test_before_an_evaluation_contenders_are_asked_and_the_test_is_not(asked: tuple[Path, Any]):
    folder, found = asked
    workspace = inhouse.open_workspace(folder)
    counts = records.load_dataset(workspace, "intents").counts()
    workspace.close()
    known = found.evidence
    prompting = {"prompted", "few-shot", "prompted-best", "retrieval"}
    assert set(known.contenders) == {*prompting, "tfidf-linear", "embedding-linear", "majority"}
    assert (known.verdict, known.judged_on) == (None, "validation")
    assert known.judged_examples == counts["validation"]
    assert all(m.n == counts["validation"] for m in known.contenders.values())
    assert any(r.number == "900" for r in found.reasons)


def result(name: str, value: float, **changes: Any) -> ContenderResult:
    return ContenderResult(
        name=name, model=None, metrics={"accuracy": metric(value)}, seconds=1.0, requests_per_second=10.0, **changes
    )


@pytest.fixture
def evaluated(copy_of_trained: Path):
    """Gives the workspace in which `intents@1` was evaluated, with so many more contenders."""
    opened = []

    def made(*more: ContenderResult) -> Workspace:
        workspace = inhouse.open_workspace(copy_of_trained)
        opened.append(workspace)
        version = registry.find_version(workspace, "intents", "latest")
        report = workspace.paths.beside_report("intents", 1)["json"]
        known = Evaluation(
            task="intents",
            report="",
            files={"json": str(report)},
            dataset_fingerprint=version.lineage["dataset_fingerprint"],
            base_model="",
            model_version=version.name,
            test_examples=19,
            validation_examples=10,
            primary_metric="accuracy",
            contenders=(result("fine-tuned", 0.8), result("tfidf-linear", 0.9, servable=True), *more),
            verdict=verdict("not_needed", "tfidf-linear"),
        ).model_dump(mode="json")
        report.parent.mkdir(parents=True)
        report.write_text(json.dumps(known))
        registry.update_version(workspace, version.model_copy(update={"evaluation": known}))
        return workspace

    yield made
    for workspace in opened:
        workspace.close()


def test_after_an_evaluation_the_verdict_is_read(evaluated: Any):
    found = inhouse.advise(evaluated(), "intents", remote_price=2.0, hours=10, hour_price=40)
    assert (found.choice, found.use, found.evidence.version) == ("classical", "tfidf-linear", "intents@1")
    assert found.next == "inhouse promote intents --contender tfidf-linear"
    assert found.evidence.serves == "fine-tuned"  # as the fixture promoted it
    assert (found.evidence.judged_on, found.evidence.judged_examples) == ("test", 19)
    assert found.break_even is not None
    assert found.break_even.requests == 200_000
    (money,) = (r for r in found.reasons if "paid for its" in r.says)
    assert "counts as free here, as `cost` in inhouse.toml has no price of it" in money.says


def test_a_promoted_contender_does_not_hide_a_newer_evaluation(evaluated: Any):
    workspace = evaluated()
    version = registry.find_version(workspace, "intents", 1)
    made = {"lineage": {**version.lineage, "compared_with": "intents@1"}, "contender": "tfidf-linear"}
    registry.add_version(workspace, version.model_copy(update=made))
    registry.move_alias(workspace, "intents", registry.CHAMPION, 2, action="promote")
    assert inhouse.advise(workspace, "intents").next == "inhouse serve"
    again = {**(version.evaluation or {}), "verdict": verdict("reject", "fine-tuned").model_dump()}
    registry.update_version(workspace, version.model_copy(update={"evaluation": again}))
    assert inhouse.advise(workspace, "intents").choice == "leave_it"


def test_an_evaluation_of_an_earlier_version_of_the_data_is_told_as_such(
    evaluated: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(rules, "LEAST_JUDGED", 5)
    monkeypatch.setattr(advising, "leaked_tests", lambda _: [])
    workspace = evaluated()
    more = [{"text": f"where is parcel {n} of mine", "category": "parcel"} for n in range(20)]
    inhouse.add(workspace, "intents", [write_csv(tmp_path / "more.csv", more)], inputs=["text"], target="category")
    found = inhouse.advise(workspace, "intents")
    assert found.reason.startswith("intents@1 was evaluated on version 1 of the data, which is at version 2; ")
    assert found.next == "inhouse train intents"
    version = registry.find_version(workspace, "intents", 1)
    lineage = {**version.lineage, "dataset_fingerprint": records.load_dataset(workspace, "intents").fingerprint}
    registry.add_version(workspace, version.model_copy(update={"lineage": lineage, "evaluation": None}))
    assert inhouse.advise(workspace, "intents").next == "inhouse evaluate intents"
    monkeypatch.setattr(advising, "leaked_tests", lambda _: [0])
    assert inhouse.advise(workspace, "intents").next == "inhouse clean intents --apply leakage"
    inhouse.undo(workspace, "intents")
    assert not inhouse.advise(workspace, "intents").evidence.stale


def test_an_evaluation_before_any_training_is_read_until_the_data_changes(evaluated: Any, tmp_path: Path):
    workspace = evaluated()
    version = registry.find_version(workspace, "intents", 1)
    registry.update_version(workspace, version.model_copy(update={"contender": "tfidf-linear"}))
    found = inhouse.advise(workspace, "intents")
    assert (found.evidence.trained, found.evidence.enough) == (False, "tfidf-linear")
    assert found.evidence.go_on == "inhouse train intents"
    more = [{"text": f"where is parcel {n} of mine", "category": "parcel"} for n in range(3)]
    inhouse.add(workspace, "intents", [write_csv(tmp_path / "more.csv", more)], inputs=["text"], target="category")
    assert inhouse.advise(workspace, "intents").evidence.verdict is None


def test_the_price_of_a_remote_model_that_was_evaluated_is_taken(evaluated: Any):
    workspace = evaluated(result("remote:vendor", 0.7, cost_per_thousand=2.5))
    found = inhouse.advise(workspace, "intents", hours=10, hour_price=50)
    assert found.break_even is not None
    assert (found.break_even.once, found.break_even.requests) == (500.0, 200_000)
    (money,) = (r for r in found.reasons if "paid for its" in r.says)
    assert money.source.startswith("tasks/intents/reports/intents@1.json: contenders[remote:vendor].cost_per_thousand")


def test_the_prices_of_inhouse_toml_are_taken_at_the_tokens_that_examples_take(evaluated: Any, copy_of_trained: Path):
    with (copy_of_trained / "inhouse.toml").open("a") as settings:
        settings.write('[remotes.vendor]\nbase_url = "http://localhost:9/v1"\nmodel = "m"\n')
        settings.write("input_price = 2.0\noutput_price = 10.0\n")
    workspace = evaluated(result("few-shot", 0.7, prompt_tokens=1000.0, answer_tokens=50.0))
    found = inhouse.advise(workspace, "intents", hours=10, hour_price=50)
    assert found.break_even is not None
    assert found.break_even.saved_per_thousand == pytest.approx(2.5)
    (money,) = (r for r in found.reasons if "paid for its" in r.says)
    assert money.source.startswith("inhouse.toml: remotes.vendor, at 1,000 and 50 tokens, as few-shot takes")


def stands_in(shown: Any, key: str) -> bool:
    """Whether a place such as `evidence.contenders[few-shot].low` is there."""
    for name, named in re.findall(r"([^.\[\]]+)(?:\[([^\]]+)\])?", key):
        if name not in shown:
            return False
        shown = shown[name]
        if named:
            one = [c for c in shown if c["name"] == named] if isinstance(shown, list) else [shown.get(named)]
            if not one or one[0] is None:
                return False
            shown = one[0]
    return True


@pytest.mark.parametrize("after_an_evaluation", [False, True])
def test_every_figure_stands_where_its_source_says(asked: Any, evaluated: Any, after_an_evaluation: bool):
    folder, found = asked
    if after_an_evaluation:
        workspace = evaluated(result("remote:vendor", 0.7, cost_per_thousand=2.5))
        folder, found = workspace.paths.root, inhouse.advise(workspace, "intents", requests_per_month=900)
    shown = found.model_dump(mode="json")
    for reason in found.reasons:
        places = [place.partition(": ") for place in reason.source.split("; ")]
        keys = [key for where, _, key in places if where == "--json"]
        files = [(folder / where, key) for where, _, key in places if where.endswith((".json", ".html"))]
        assert keys or files, reason
        assert all(stands_in(shown, key) for key in keys), reason
        assert all(file.is_file() for file, _ in files), reason
        assert all(stands_in(json.loads(f.read_text()), key) for f, key in files if f.suffix == ".json"), reason


# --- a metric that applies to nothing


def test_a_primary_metric_that_applies_to_no_example_is_refused_before_anybody_is_asked(
    evaluated: Any, monkeypatch: pytest.MonkeyPatch
):
    workspace = evaluated()
    monkeypatch.setattr(contenders, "ask_all", lambda *_: pytest.fail("somebody was asked"))
    nothing = Judged(("a",), {"accuracy": np.array([np.nan])})
    monkeypatch.setattr(field, "judging_of", lambda *_: lambda *_: nothing)
    with pytest.raises(NoMetric, match=r"'accuracy' applies to none of the .* validation examples of task 'intents'"):
        inhouse.evaluate(workspace, "intents")


def test_letters_without_facts_are_not_judged_by_the_facts_that_they_keep(
    tiny_gguf: Path, models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "inhouse.toml").write_text(f'models_dir = "{models_dir}"\noffline = true\nthreads = 1\n')
    words = ("late", "lost", "broken", "wet", "open", "gone", "torn", "cold", "dirty", "small")
    rows = [{"text": f"my parcel is {a} and {b}", "letter": f"we see that it is {b}"} for a in words for b in words]
    monkeypatch.setattr(rules, "LEAST_JUDGED", 5)
    monkeypatch.setattr(contenders, "ask_all", lambda *_: pytest.fail("somebody was asked"))
    workspace = inhouse.open_workspace(tmp_path)
    task = inhouse.init(workspace, "letters", kind="generate", base_model=str(tiny_gguf))
    inhouse.add(workspace, "letters", [write_csv(tmp_path / "l.csv", rows)], inputs=["text"], target="letter")
    task = workspace.load_task("letters")
    workspace.save_task(task.model_copy(update={"metrics": task.metrics.model_copy(update={"primary": "facts_kept"})}))
    with pytest.raises(NoMetric, match="to one that does, as chrf, rouge_l"):
        inhouse.advise(workspace, "letters")
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
