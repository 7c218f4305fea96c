"""The verdict: every row of the design's decision table, the awkward combinations, and no input that falls through."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inhouse.core import Metric, MetricsSection, Verdict
from inhouse.errors import NoMetric, UsageError
from inhouse.evaluate.verdict import ContenderAnswers, CurveSeen, decide
from inhouse.scoring import holm, mcnemar_exact, paired_difference, wilson

N = 240


def rising() -> CurveSeen:
    return CurveSeen(0.05, 0.02, 0.08, "a cheap model")


def flat() -> CurveSeen:
    return CurveSeen(0.004, 0.0, 0.03, "a cheap model")


EXPECTED = ["refund", "delivery", "invoice", "other"] * (N // 4)
VALIDATION = EXPECTED[:80]


def answers(
    name: str, right: Any, on_validation: float | None = None, expected: list[str] = EXPECTED
) -> ContenderAnswers:
    """A contender that is right where `right` says (one bool per test example) and gives no answer elsewhere."""
    hits = np.asarray(right, dtype=bool)
    share = float(hits.mean()) if on_validation is None else on_validation
    known = round(share * len(VALIDATION))
    validation: list[str | None] = [v if i < known else None for i, v in enumerate(VALIDATION)]
    test = [e if hit else None for e, hit in zip(expected, hits, strict=True)]
    return ContenderAnswers(name, name.startswith("fine-tuned"), validation, test)


def test_what_would_not_be_served_is_compared_but_decides_nothing() -> None:
    shown = replace(answers("fine-tuned+retrieval", first(195)), version=False)
    others = [answers("prompted", first(100)), answers("majority", first(10))]
    case = {"expected_test": EXPECTED, "expected_validation": VALIDATION, "metrics": MetricsSection()}
    found, comparisons = decide([answers("fine-tuned", first(180)), shown, *others], **case)
    assert (found.decision, found.winner) == ("adopt", "fine-tuned")
    assert [(c.ours, c.theirs) for c in comparisons] == [
        ("fine-tuned", "prompted"),
        ("fine-tuned", "majority"),
        ("fine-tuned+retrieval", "prompted"),
        ("fine-tuned+retrieval", "fine-tuned"),
    ]
    ahead = comparisons[3]
    assert (ahead.gain, ahead.low > 0) == (pytest.approx(15 / N), True)
    without = decide([answers("fine-tuned", first(180)), *others], **case)[1]
    assert comparisons[1].p_value > without[1].p_value, "Holm counts them all"
    assert comparisons[0].p_value == pytest.approx(2 * without[0].p_value)
    alone, comparisons = decide([shown, *others], **case)
    assert alone.winner == "fine-tuned+retrieval"
    assert {c.ours for c in comparisons} == {"fine-tuned+retrieval"}


@pytest.mark.parametrize(
    ("right", "prompted", "settings", "also"),
    [
        (195, 100, {}, True),
        (183, 100, {}, False),  # better than the alternative, not shown to be better than the fine-tuned one
        (195, 190, {}, False),  # the alternative is not beaten
        (195, 100, {"minimum": 0.9}, False),
        (195, 100, {"minimum": 0.8}, True),  # the fine-tuned one does not reach it
        (195, 100, {"min_gain": 0.6}, False),
        (195, 100, {"leaked": 1}, False),
    ],
)
def test_one_that_is_made_of_a_version_may_be_promoted_where_it_is_better_than_all(right, prompted, settings, also):
    shown = replace(answers("fine-tuned+retrieval", first(right)), version=False)
    found = judge(answers("fine-tuned", first(180)), shown, answers("prompted", first(prompted)), **settings)
    assert found.also == (("fine-tuned+retrieval",) if also else ())
    assert ("Better still beyond chance is the fine-tuned model shown similar examples" in found.reason) is also


def test_one_that_is_made_of_a_version_is_compared_with_every_version():
    shown = replace(answers("fine-tuned+retrieval", first(195)), version=False)
    both = [answers("fine-tuned", first(180)), answers("fine-tuned-encoder", first(194))]
    assert judge(*both, shown, answers("prompted", first(100))).also == ()


def first(count: int, skip: int = 0) -> np.ndarray:
    """Right on `count` examples after the first `skip`."""
    place = np.arange(N)
    return (place >= skip) & (place < skip + count)


MAJORITY = answers("majority", [e == "refund" for e in EXPECTED], 0.25)


def judge(*contenders: ContenderAnswers, **settings: Any) -> Verdict:
    metrics = MetricsSection(**{k: settings.pop(k) for k in ("primary", "min_gain", "minimum") if k in settings})
    given = {"expected_test": EXPECTED, "expected_validation": VALIDATION, "train_examples": 500}
    return decide([*contenders, MAJORITY], metrics=metrics, **(given | settings))[0]


# --- the four rows


def test_adopts_a_gain_that_is_significant_large_enough_and_good_enough() -> None:
    verdict = judge(answers("fine-tuned", first(204)), answers("tfidf-linear", first(180)), minimum=0.85)
    assert (verdict.decision, verdict.winner, verdict.against) == ("adopt", "fine-tuned", "tfidf-linear")
    assert verdict.gain == pytest.approx(0.1)
    assert verdict.more_examples is None
    assert verdict.reason == (
        "On 240 test examples the fine-tuned model gave 204 right answers and tfidf-linear 180: 10 points better "
        "(95 % interval 6.8 to 14.4, p < 0.001); that is more than chance and worth having, and the fine-tuned model "
        "reaches the bar of 85 %, so promote the fine-tuned model."
    )


def test_needs_no_fine_tuning_where_an_alternative_is_better_beyond_chance() -> None:
    verdict = judge(answers("fine-tuned", first(180)), answers("embedding-linear", first(204)))
    assert (verdict.decision, verdict.winner, verdict.against) == ("not_needed", "embedding-linear", "fine-tuned")
    assert verdict.gain == pytest.approx(-0.1)
    assert "10 points worse" in verdict.reason
    assert verdict.reason.endswith("that is more than chance, so fine-tuning is not needed: use embedding-linear.")


def test_needs_no_fine_tuning_where_it_gains_too_little_at_best() -> None:
    verdict = judge(answers("fine-tuned", first(200)), answers("tfidf-linear", first(200)))
    assert (verdict.decision, verdict.winner) == ("not_needed", "tfidf-linear")
    assert verdict.high is not None
    assert 0 < verdict.high < 0.02
    assert "no difference" in verdict.reason
    assert "even at best that is less than the 2 points asked for" in verdict.reason


def test_collects_more_where_neither_is_shown() -> None:
    verdict = judge(answers("fine-tuned", first(190)), answers("tfidf-linear", first(186, skip=12)))
    assert verdict.decision == "collect_more"
    assert verdict.low is not None
    assert verdict.high is not None
    assert verdict.low < 0 < 0.02 < verdict.high
    assert verdict.more_examples is not None
    assert verdict.more_examples > N
    assert verdict.more_of == "test"
    assert (
        f"that does not tell the two apart beyond chance, so add about {verdict.more_examples:,} test examples"
        in verdict.reason
    )


def test_the_rest_of_the_test_is_asked_before_more_examples_are_wanted() -> None:
    asked = np.arange(N) < 120
    other = replace(answers("prompted", first(100) & asked, 0.8), asked=asked)
    verdict = judge(answers("fine-tuned", first(105)), other)
    assert (verdict.decision, verdict.more_examples, verdict.more_of) == ("collect_more", None, None)
    assert "so ask prompted the other 120 test examples, which there was no time for" in verdict.reason
    assert "add about" not in verdict.reason


def test_collects_training_examples_where_bars_are_missed_but_the_curve_rises() -> None:
    verdict = judge(answers("fine-tuned", first(204)), answers("tfidf-linear", first(180)), minimum=0.95, curve=rising)
    assert (verdict.decision, verdict.winner, verdict.more_examples) == ("collect_more", "fine-tuned", 500)
    assert verdict.more_of == "train"
    assert "neither reaches the bar of 95 % (at best 10 points short), but more examples still help" in verdict.reason
    assert "label about 500 more" in verdict.reason
    assert "95 % interval 2.0 to 8.0" in verdict.reason
    unknown = judge(
        answers("fine-tuned", first(204)),
        answers("tfidf-linear", first(180)),
        minimum=0.95,
        curve=rising,
        train_examples=None,
    )
    assert (unknown.decision, unknown.more_examples) == ("collect_more", None)
    assert "so label more and train again" in unknown.reason


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (
            flat,
            "more examples hardly help any more (as many again bring about 0.4 points by the curve of a cheap model",
        ),
        (lambda: None, "nothing shows that more examples would help (`train --curve` would tell)"),
    ],
)
def test_rejects_where_nobody_meets_the_bars(seen: Any, words: str) -> None:
    verdict = judge(answers("fine-tuned", first(204)), answers("tfidf-linear", first(180)), minimum=0.95, curve=seen)
    assert (verdict.decision, verdict.winner, verdict.more_examples) == ("reject", "fine-tuned", None)
    assert words in verdict.reason


def test_rejects_where_nobody_beats_majority() -> None:
    verdict = judge(answers("fine-tuned", first(64)), answers("tfidf-linear", first(63, skip=30)))
    assert verdict.decision == "reject"
    assert "neither is shown to beat majority (always the most frequent answer: 60 right answers)" in verdict.reason
    alone = judge(answers("tfidf-linear", first(62)))
    assert "it is not shown to beat majority" in alone.reason


def test_twenty_examples_are_too_few_to_reject_anything() -> None:
    # Four test examples: even four right answers of four are no proof against one in four by chance.
    expected = ["refund", "delivery", "invoice", "other"]
    floor = ContenderAnswers("majority", False, ["refund"] * 3, ["refund"] * 4)
    verdict, _ = decide(
        [ContenderAnswers("fine-tuned", True, expected[:3], [*expected[:3], None]), floor],
        expected_test=expected,
        expected_validation=expected[:3],
        metrics=MetricsSection(),
        train_examples=13,
        lift=lambda: Metric(value=0.1, low=-0.3, high=0.5, n=13),
    )
    assert verdict.decision == "collect_more"
    assert verdict.more_examples is not None
    assert verdict.more_examples > 10
    assert verdict.more_of == "test"
    assert "4 examples cannot tell, so add about" in verdict.reason


def test_labels_that_do_not_follow_from_the_inputs_are_named() -> None:
    contenders = answers("fine-tuned", first(64)), answers("tfidf-linear", first(63, skip=30))
    nothing = judge(*contenders, lift=lambda: Metric(value=-0.02, low=-0.06, high=0.02, n=400))
    assert nothing.decision == "reject"
    assert "the labels do not follow from the inputs: a classical model on 400 training examples" in nothing.reason
    assert "is at best 2 points above the most frequent label" in nothing.reason
    something = judge(*contenders, lift=lambda: Metric(value=0.2, low=0.1, high=0.3, n=400))
    assert something.decision == "reject"
    assert "do not follow" not in something.reason
    assert "at best 10 points above it" in something.reason


def test_the_lift_is_measured_only_where_nobody_beats_majority() -> None:
    def never() -> Metric | None:
        raise AssertionError("measured")

    assert judge(answers("fine-tuned", first(204)), answers("tfidf-linear", first(180)), lift=never).decision == "adopt"


def test_every_comparison_with_an_alternative_is_kept() -> None:
    tuned = answers("fine-tuned", first(204))
    others = [answers("tfidf-linear", first(180)), answers("prompted", first(120))]
    given = {"expected_test": EXPECTED, "expected_validation": VALIDATION, "metrics": MetricsSection()}
    verdict, kept = decide([tuned, *others, MAJORITY], **given)
    assert [(c.ours, c.theirs) for c in kept] == [
        ("fine-tuned", name) for name in ("tfidf-linear", "prompted", "majority")
    ]
    assert (kept[0].gain, kept[0].low, kept[0].p_value) == (verdict.gain, verdict.low, verdict.p_value)
    assert decide([*others, MAJORITY], **given)[1] == ()


@pytest.mark.parametrize(("leaked", "words"), [(1, "one test example stands"), (7, "7 test examples stand")])
def test_rejects_a_test_set_that_leaks(leaked: int, words: str) -> None:
    given = answers("fine-tuned", first(239)), answers("tfidf-linear", first(100))
    verdict = judge(*given, leaked=leaked, mend="inhouse clean tickets --apply leakage")
    assert (verdict.decision, verdict.winner) == ("reject", "fine-tuned")
    assert words in verdict.reason
    assert "(`inhouse clean tickets --apply leakage`), then train and evaluate again." in verdict.reason


# --- precedence


def test_a_leak_outweighs_everything() -> None:
    verdict = judge(answers("fine-tuned", first(64)), answers("tfidf-linear", first(63)), leaked=2, minimum=0.9)
    assert "training data" in verdict.reason


def test_majority_outweighs_the_bars() -> None:
    verdict = judge(answers("fine-tuned", first(64)), answers("tfidf-linear", first(63)), minimum=0.9, curve=rising)
    assert verdict.decision == "reject"
    assert "majority" in verdict.reason


def test_without_a_bar_there_is_nothing_to_miss() -> None:
    verdict = judge(answers("fine-tuned", first(130)), answers("tfidf-linear", first(100)), curve=rising)
    assert verdict.decision == "adopt"
    assert "bar" not in verdict.reason


# --- awkward combinations


def test_a_real_gain_that_is_too_small_is_not_adopted() -> None:
    # 40 wins and 15 losses of 2,400: 1 point, beyond chance, and certainly under 2.
    expected = EXPECTED * 10
    a, b = np.ones(2400, dtype=bool), np.ones(2400, dtype=bool)
    b[:40], a[40:55], a[2000:], b[2000:] = False, False, False, False
    majority = ContenderAnswers("majority", False, ["refund"] * 80, ["refund"] * 2400)
    verdict, _ = decide(
        [answers("fine-tuned", a, expected=expected), answers("tfidf-linear", b, expected=expected), majority],
        expected_test=expected,
        expected_validation=VALIDATION,
        metrics=MetricsSection(),
        train_examples=500,
    )
    assert verdict.p_value is not None
    assert verdict.p_value < 0.05
    assert (verdict.decision, verdict.winner) == ("not_needed", "tfidf-linear")


def test_a_real_gain_that_may_or_may_not_be_large_enough_needs_more() -> None:
    verdict = judge(answers("fine-tuned", first(204)), answers("tfidf-linear", first(194)), min_gain=0.05)
    assert verdict.decision == "collect_more"
    assert "more than chance, but it is open whether it is the 5 points asked for" in verdict.reason
    assert verdict.more_examples is not None


def test_only_the_fine_tuned_side_meets_the_bar_but_by_a_hair() -> None:
    verdict = judge(answers("fine-tuned", first(192)), answers("tfidf-linear", first(191)), minimum=0.8)
    assert (verdict.decision, verdict.winner) == ("collect_more", "fine-tuned")
    assert "only the fine-tuned model reaches the bar of 80 %" in verdict.reason


def test_only_the_fine_tuned_side_meets_the_bar_and_gains_for_sure_too_little() -> None:
    # Its upper end is under min_gain, but the alternative may not serve: not "not needed".
    verdict = judge(answers("fine-tuned", first(192)), answers("tfidf-linear", first(191)), minimum=0.8, min_gain=0.2)
    assert verdict.high is not None
    assert verdict.high < 0.2
    assert verdict.decision == "collect_more"


def test_only_the_alternative_meets_the_bar_but_is_not_shown_better() -> None:
    verdict = judge(answers("fine-tuned", first(191, skip=20)), answers("tfidf-linear", first(193)), minimum=0.8)
    assert (verdict.decision, verdict.winner) == ("collect_more", "tfidf-linear")
    assert "only tfidf-linear reaches the bar of 80 %" in verdict.reason


def test_only_the_alternative_meets_the_bar_and_is_better() -> None:
    verdict = judge(answers("fine-tuned", first(150)), answers("tfidf-linear", first(193)), minimum=0.8, curve=rising)
    assert (verdict.decision, verdict.winner) == ("not_needed", "tfidf-linear")
    assert ", and tfidf-linear reaches the bar of 80 %" in verdict.reason


def test_a_bar_that_is_just_reached_is_met() -> None:
    verdict = judge(answers("fine-tuned", first(216)), answers("tfidf-linear", first(180)), minimum=0.9)
    assert verdict.decision == "adopt"


def test_a_rising_curve_is_mentioned_where_the_test_set_is_too_small() -> None:
    contenders = answers("fine-tuned", first(190)), answers("tfidf-linear", first(186, skip=12))
    assert "the learning curve still rises" in judge(*contenders, curve=rising).reason
    assert "curve" not in judge(*contenders, curve=flat).reason


def test_the_best_of_each_side_is_chosen_on_validation_alone() -> None:
    verdict = judge(
        answers("fine-tuned", first(150), on_validation=0.9),
        answers("fine-tuned-encoder", first(230), on_validation=0.8),
        answers("prompted", first(200), on_validation=0.5),
        answers("tfidf-linear", first(190), on_validation=0.6),
    )
    assert (verdict.winner, verdict.against) == ("tfidf-linear", "fine-tuned")
    assert verdict.gain == pytest.approx((150 - 190) / N)


def test_of_equals_on_validation_the_first_is_taken() -> None:
    verdict = judge(
        answers("fine-tuned-encoder", first(220), on_validation=0.8),
        answers("fine-tuned", first(100), on_validation=0.8),
        answers("prompted", first(180), on_validation=0.7),
        answers("tfidf-linear", first(100), on_validation=0.7),
    )
    assert (verdict.winner, verdict.against) == ("fine-tuned-encoder", "prompted")


def test_majority_may_be_the_best_alternative_but_is_never_the_answer() -> None:
    worse = answers("tfidf-linear", first(30), on_validation=0.1)
    adopted = judge(answers("fine-tuned", first(150)), worse)
    assert (adopted.decision, adopted.against) == ("adopt", "majority")
    assert judge(answers("fine-tuned", first(20), on_validation=0.1), worse).decision == "reject"


def test_the_reported_p_is_holm_adjusted_over_all_alternatives() -> None:
    tuned = answers("fine-tuned", first(190, skip=6))
    others = [answers("tfidf-linear", first(184)), answers("prompted", first(170)), answers("few-shot", first(183))]
    verdict = judge(tuned, *others)
    right = [np.array([a == e for a, e in zip(c.test, EXPECTED, strict=True)]) for c in (tuned, *others, MAJORITY)]
    assert verdict.against == "tfidf-linear"
    assert verdict.p_value == pytest.approx(holm([mcnemar_exact(right[0], r) for r in right[1:]])[0])
    assert (verdict.gain, verdict.low, verdict.high) == paired_difference(right[0], right[1])


# --- what is missing


def test_without_a_fine_tuned_contender_the_alternatives_are_judged_alone() -> None:
    verdict = judge(answers("tfidf-linear", first(180)), answers("prompted", first(120)))
    assert (verdict.decision, verdict.winner, verdict.against) == ("not_needed", "tfidf-linear", None)
    assert (verdict.gain, verdict.low, verdict.high, verdict.p_value) == (None, None, None, None)
    assert verdict.reason == (
        "On 240 test examples tfidf-linear gave 180 right answers; "
        "nothing was fine-tuned, so use tfidf-linear as it is."
    )
    short = judge(answers("tfidf-linear", first(180)), minimum=0.9, curve=flat)
    assert short.decision == "reject"
    assert "; that is 15 points short of the bar of 90 %, and more examples hardly" in short.reason
    assert judge(answers("tfidf-linear", first(180)), minimum=0.9, curve=rising).decision == "collect_more"
    assert judge(answers("tfidf-linear", first(62))).decision == "reject"
    assert judge().winner == "majority"
    assert judge().decision == "reject"


def test_without_majority_the_most_frequent_validation_label_is_the_floor() -> None:
    given = {
        "expected_test": EXPECTED,
        "expected_validation": VALIDATION,
        "metrics": MetricsSection(),
        "train_examples": 9,
    }
    adopted, _ = decide([answers("fine-tuned", first(150))], **given)
    assert (adopted.decision, adopted.winner, adopted.against) == ("adopt", "fine-tuned", "majority")
    rejected, _ = decide([answers("fine-tuned", first(60), on_validation=0.1)], **given)
    assert (rejected.decision, rejected.winner, rejected.against) == ("reject", "fine-tuned", "majority")


def test_nothing_to_judge_is_an_error() -> None:
    metrics = MetricsSection()
    with pytest.raises(UsageError):
        decide([], expected_test=["a"], expected_validation=["a"], metrics=metrics, train_examples=1)
    empty = ContenderAnswers("fine-tuned", True, ["a"], [])
    with pytest.raises(NoMetric):
        decide([empty], expected_test=[], expected_validation=["a"], metrics=metrics, train_examples=1)
    with pytest.raises(ValueError):
        decide([empty], expected_test=["a"], expected_validation=["a"], metrics=metrics, train_examples=1)


# --- metrics and groups


def test_macro_f1_decides_where_it_is_the_primary_metric() -> None:
    # Nine of ten are `common`: always saying so is right on 90 %, and worthless.
    expected = (["common"] * 9 + ["rare"]) * 24
    always = ContenderAnswers("tfidf-linear", False, ["common"] * 10, ["common"] * N)
    careful = [e if i % 12 else "common" if e == "rare" else "rare" for i, e in enumerate(expected)]
    tuned = ContenderAnswers("fine-tuned", True, (["common"] * 9 + ["rare"]), careful)
    floor = ContenderAnswers("majority", False, ["common"] * 10, ["common"] * N)
    given = {"expected_test": expected, "expected_validation": expected[:10], "train_examples": 100}
    by_f1, _ = decide([tuned, always, floor], metrics=MetricsSection(primary="macro_f1"), **given)
    assert (by_f1.decision, by_f1.winner) == ("adopt", "fine-tuned")
    assert "gave a macro-F1 of" in by_f1.reason
    by_accuracy, _ = decide([tuned, always, floor], metrics=MetricsSection(), **given)
    assert by_accuracy.decision == "collect_more"


def test_few_equal_answers_under_macro_f1_prove_nothing() -> None:
    expected = ["a", "b"] * 8
    same = [
        ContenderAnswers(name, name == "fine-tuned", ["a", "b"], expected) for name in ("fine-tuned", "tfidf-linear")
    ]
    floor = ContenderAnswers("majority", False, ["a", "a"], ["a"] * 16)
    verdict, _ = decide(
        [*same, floor],
        expected_test=expected,
        expected_validation=["a", "b"],
        metrics=MetricsSection(primary="macro_f1"),
        train_examples=30,
    )
    assert verdict.decision == "collect_more"


def test_a_gain_that_comes_from_a_single_group_is_no_proof() -> None:
    contenders = answers("fine-tuned", first(204)), answers("tfidf-linear", first(180))
    # The 24 examples that tell the two apart are all of one customer.
    groups = [str(i // 30) for i in range(N)]
    assert judge(*contenders).decision == "adopt"
    grouped = judge(*contenders, test_groups=groups)
    assert grouped.decision == "collect_more"
    assert grouped.p_value == 1.0


# --- how many more


def test_the_number_asked_for_would_settle_it() -> None:
    # If the 2.5 points seen are true, then with as many more as asked most repetitions are significant.
    rng = np.random.default_rng(2)
    decided = 0
    undecided = judge(answers("fine-tuned", first(190)), answers("tfidf-linear", first(184, skip=14)))
    assert undecided.decision == "collect_more"
    assert undecided.more_examples is not None
    total = N + undecided.more_examples
    for _ in range(40):
        won, lost, _same = rng.multinomial(total, [14 / N, 8 / N, 1 - 22 / N])
        a = np.arange(total) >= lost
        b = (np.arange(total) < lost) | (np.arange(total) >= lost + won)
        decided += mcnemar_exact(a, b) < 0.05
    assert decided >= 0.7 * 40


# --- whatever comes


ANSWER = st.sampled_from(["a", "b", "c", None])
ROWS = st.lists(st.tuples(st.sampled_from("abc"), ANSWER, ANSWER, ANSWER, ANSWER), min_size=1, max_size=60)
CASES = st.fixed_dictionaries(
    {
        "primary": st.sampled_from(["accuracy", "accuracy", "accuracy", "macro_f1"]),
        "min_gain": st.sampled_from([0.0, 0.02, 0.3, 1.0]),
        "minimum": st.sampled_from([None, 0.0, 0.3, 0.6, 1.0]),
    }
)


@given(
    rows=ROWS,
    case=CASES,
    copies=st.sampled_from([1, 1, 5]),
    kinds=st.lists(st.booleans(), min_size=3, max_size=3),
    leaked=st.sampled_from([0, 0, 0, 1]),
    seen=st.sampled_from([lambda: None, rising, flat]),
    grouped=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_every_input_gets_a_consistent_verdict(
    rows: list[tuple[Any, ...]],
    case: dict[str, Any],
    copies: int,
    kinds: list[bool],
    leaked: int,
    seen: Any,
    grouped: bool,
) -> None:
    expected = [r[0] for r in rows]
    names = ["one", "two", "three", "majority"]
    contenders = [
        ContenderAnswers(name, kind, [r[i] for r in rows], [r[i] for r in rows] * copies)
        for i, (name, kind) in enumerate(zip(names, [*kinds, False], strict=True), start=1)
    ]
    verdict, _ = decide(
        contenders,
        expected_test=expected * copies,
        expected_validation=expected,
        metrics=MetricsSection(**case),
        test_groups=[str(i % 7) for i in range(len(rows) * copies)] if grouped else None,
        leaked=leaked,
        curve=seen,
        train_examples=100,
    )
    tuned = {c.name for c in contenders if c.fine_tuned}
    assert verdict.winner in names
    assert verdict.against != verdict.winner
    assert (verdict.more_examples is not None) == (verdict.decision == "collect_more")
    assert (verdict.more_of is not None) == (verdict.decision == "collect_more")
    assert verdict.more_examples is None or verdict.more_examples > 0
    assert (verdict.gain is None) == (not tuned)
    assert leaked == 0 or verdict.decision == "reject"
    assert re.fullmatch(r"On [\d,]+ test examples? .+; .+\.", verdict.reason)
    assert verdict.reason.count(". ") == 0
    if verdict.decision == "adopt":
        assert verdict.winner in tuned
        assert verdict.low is not None
        assert verdict.low > 0
        assert verdict.gain is not None
        assert verdict.gain >= case["min_gain"] - 1e-9
    if verdict.decision == "not_needed":
        assert verdict.winner not in tuned | {"majority"}
        assert verdict.gain is None or verdict.low < 0 or verdict.high < case["min_gain"]
    if verdict.decision in ("adopt", "not_needed") and case["minimum"] is not None and case["primary"] == "accuracy":
        winner = next(c for c in contenders if c.name == verdict.winner)
        right = sum(a == e for a, e in zip(winner.test, expected * copies, strict=True))
        assert wilson(right, len(winner.test)).value >= case["minimum"] - 1e-9


def test_two_equal_contenders_are_hardly_ever_told_apart() -> None:
    rng = np.random.default_rng(12)
    decisions = Counter(
        judge(answers("fine-tuned", rng.random(N) < 0.75), answers("tfidf-linear", rng.random(N) < 0.75)).decision
        for _ in range(160)
    )
    assert decisions["adopt"] <= 0.025 * 160 + 6
    assert decisions["reject"] == 0
