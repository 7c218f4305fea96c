"""The report: complete, self-contained, and safe with whatever stands in the user's data."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from pages import EVIL, Page, assert_inert

from inhouse.core import (
    ContenderResult,
    Evaluation,
    Example,
    Metric,
    Parity,
    Provenance,
    Task,
    TrainResult,
    Verdict,
)
from inhouse.evaluate.report import ReportData, render_report
from inhouse.evaluate.report.errors import differences, shortened

CONTRACT = Path(__file__).parents[1] / "contracts" / "evaluation.schema.json"


def example(number: int, target: str, text: str = "") -> Example:
    place = Provenance("messages.csv", number + 2)
    return Example({"text": text or f"text {number}"}, target, f"g{number}", place)


def contender(name: str, value: float, **changes: object) -> ContenderResult:
    metric = Metric(value=value, low=max(0.0, value - 0.05), high=min(1.0, value + 0.05), n=6)
    usual: dict[str, object] = {
        "name": name,
        "model": None,
        "metrics": {"accuracy": metric, "macro_f1": metric},
        "seconds": 2.0,
        "requests_per_second": 12.0,
    }
    return ContenderResult(**(usual | changes))  # type: ignore[arg-type]


ADOPT = Verdict(
    decision="adopt",
    winner="fine-tuned",
    against="tfidf-linear",
    gain=0.25,
    low=-0.01,
    high=0.4,
    p_value=0.0002,
    reason="It is 25 points better, beyond chance.",
)
TRAIN = TrainResult(
    task="tickets",
    run="run-1",
    model_version="tickets@1",
    recipe={"base_sha256": "b179c952", "seed": 7, "rank": 16, "dataset_fingerprint": "f00d"},
    trained_tokens=1000,
    truncated_examples=2,
    seconds=30.0,
    tokens_per_second=33.3,
    best_step=20,
    steps=30,
    stopped_because="the planned epochs were done",
    validation_loss=0.5,
    resumed=False,
    parity=Parity(
        passed=True,
        tokens=64,
        top1_agreement=0.99,
        mean_logprob_difference=0.003,
        worst_logprob_difference=0.08,
        trainer_accuracy=0.75,
        served_accuracy=0.74,
        paired_p_value=1.0,
        validation_examples=40,
    ),
)
CONTENDERS = (
    contender("tfidf-linear", 0.5, servable=True),
    contender("fine-tuned", 0.75, prompt_tokens=143.0, unanswered=1),
    contender("remote:gpt-<b>", 0.6),
)
EVALUATION = Evaluation(
    task="tickets",
    report="blobs/report.html",
    dataset_fingerprint="f00dfeed",
    base_model="smollm2-135m-instruct",
    model_version="tickets@1",
    test_examples=6,
    validation_examples=40,
    primary_metric="accuracy",
    contenders=CONTENDERS,
    verdict=ADOPT,
    warnings=("3 test examples have a twin in training",),
)
EXAMPLES = [example(n, label) for n, label in enumerate("aaabbc")]
PREDICTIONS = {
    "fine-tuned": ["a", "a", "b", "b", "b", None],
    "tfidf-linear": ["a", "b", "a", "a", "b", "c"],
}
DATA = ReportData(
    evaluation=EVALUATION,
    task=Task(name="tickets", labels=("a", "b", "c")),
    train=TRAIN,
    base_description="A small language model.",
    base_limits="English.",
    base_sha256="b179c952",
    examples=EXAMPLES,
    predictions=PREDICTIONS,
    history=[
        {"step": 10, "train_loss": 2.0, "validation_loss": 1.9, "validation_score": 0.2},
        {"step": 20, "train_loss": 1.0, "validation_loss": 1.1, "validation_score": 0.7},
        {"step": 30, "train_loss": 0.5, "validation_loss": float("nan")},
    ],
    dataset_number=4,
    counts={"train": 100, "validation": 40, "test": 6},
    packages={"torch": "2.13.0"},
    created_at="2026-11-23 14:05",
)


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render_report(DATA))


def test_the_sample_meets_the_contract():
    jsonschema.validate(json.loads(EVALUATION.model_dump_json()), json.loads(CONTRACT.read_text()))


def test_it_is_self_contained():
    html = render_report(DATA)
    assert_inert(Page(html))
    assert html.startswith("<!doctype html>")
    assert "http://" not in html
    assert "https://" not in html
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_sections_stand_in_order(page: Page):
    places = [
        page.plain.index(heading)
        for heading in (
            "Adopt fine-tuned",
            "The comparison",
            "Where it goes wrong",
            "Won: fine-tuned is right, tfidf-linear is wrong (2)",
            "Lost: fine-tuned is wrong, tfidf-linear is right (2)",
            "How it learned",
            "Dataset version 4",
            "How to check this",
        )
    ]
    assert places == sorted(places)


def test_contenders_are_sorted_and_shown(page: Page):
    rows = [page.plain.rindex(name) for name in ("fine-tuned the language", "remote:gpt-<b>", "tfidf-linear a class")]
    assert rows == sorted(rows)
    for shown in ("75.0 % 70.0 to 80.0 %", "60.0 %", "+25.0 percentage points", "−1.0 to +40.0", "p < 0.001"):
        assert shown in page.plain
    assert sum(tag == "svg" for tag, _ in page.tags) == 4, "two charts, each for a desk and a phone"


def test_the_engineer_finds_what_to_check(page: Page):
    for shown in ("b179c952", "f00dfeed", "Seed 7", "rank 16", "torch 2.13.0", "99.0 % of 64", "McNemar", "Wilson"):
        assert shown in page.plain
    assert "3 test examples have a twin in training" in page.plain
    assert "step 20 is kept" in page.plain
    assert "from 20.0 % to 70.0 %" in page.plain
    assert "messages.csv:" in page.plain


@pytest.mark.parametrize(
    ("decision", "of", "says"),
    [
        ("adopt", None, "Next: inhouse promote tickets, then inhouse serve."),
        (
            "not_needed",
            None,
            "use tfidf-linear (a classical model on word counts; trains in seconds); keep your examples.",
        ),
        ("not_needed", None, "examples. inhouse promote tickets, then inhouse serve."),
        (
            "collect_more",
            "test",
            "add about 1,200 examples to judge by. inhouse add tickets --test FILE (without a test",
        ),
        (
            "collect_more",
            "train",
            "add about 1,200 examples to learn from. inhouse add tickets FILE, then inhouse train",
        ),
        (
            "collect_more",
            None,
            "Next: inhouse evaluate tickets --contender tfidf-linear (it asks the rest of the test).",
        ),
        ("reject", None, "do not use any of these"),
        ("reject", None, "inhouse clean tickets (it helps to find faults in the examples), then inhouse train tickets"),
    ],
)
def test_every_decision_says_what_to_do_next(decision: str, of: str | None, says: str):
    winner = "fine-tuned" if decision == "adopt" else "tfidf-linear"
    other = "tfidf-linear" if decision == "adopt" else "fine-tuned"
    changes = {"decision": decision, "winner": winner, "against": other, "more_examples": 1200, "more_of": of}
    evaluation = EVALUATION.model_copy(update={"verdict": ADOPT.model_copy(update=changes)})
    page = Page(render_report(replace(DATA, evaluation=evaluation)))
    assert says in page.plain
    assert any(attributes.get("class") == f"banner {decision}" for _, attributes in page.tags)


def test_what_is_not_served_from_here_has_no_command():
    gone = ADOPT.model_copy(update={"decision": "not_needed", "winner": "remote:gpt-<b>", "against": "fine-tuned"})
    evaluation = EVALUATION.model_copy(update={"verdict": gone})
    assert evaluation.next_steps == ()
    assert "use remote:gpt-<b>; keep your examples." in Page(render_report(replace(DATA, evaluation=evaluation))).plain


def test_the_comparison_with_the_champion_is_told_in_figures():
    share = {"value": 0.7, "low": 0.6, "high": 0.79, "n": 100}
    rival = {"champion": "tickets@1", "metric": "accuracy", "champion_accuracy": share, "gain": 0.0512, "p_value": 0.04}
    page = Page(render_report(replace(DATA, evaluation=EVALUATION.model_copy(update={"against_champion": rival}))))
    assert "champion accuracy 70.0 % (60.0 to 79.0 %) gain 0.0512 p value 0.04" in page.plain.replace("\u00a0", " ")


def test_user_text_is_escaped_everywhere():
    verdict = ADOPT.model_copy(update={"reason": EVIL, "against": EVIL})
    tuned = contender("fine-tuned", 0.75)
    evaluation = EVALUATION.model_copy(
        update={
            "verdict": verdict,
            "contenders": (tuned, contender(EVIL, 0.5)),
            "warnings": (EVIL,),
            "against_champion": {EVIL: EVIL},
        }
    )
    data = replace(
        DATA,
        evaluation=evaluation,
        task=DATA.task.model_copy(update={"name": EVIL}),
        train=TRAIN.model_copy(update={"recipe": {EVIL: EVIL}, "stopped_because": EVIL}),
        base_description=EVIL,
        base_limits=EVIL,
        base_sha256="b179c952",
        examples=[replace(e, inputs={EVIL: EVIL, "b": EVIL}, target=EVIL) for e in EXAMPLES],
        predictions={"fine-tuned": [EVIL, None, "a", EVIL, EVIL, EVIL], EVIL: ["x", EVIL, EVIL, EVIL, None, EVIL]},
        counts={EVIL: 1},
        packages={EVIL: EVIL},
        created_at=EVIL,
    )
    html = render_report(data)
    page = Page(html)
    assert_inert(page)
    assert not re.search(r"<\s*(script|img)", html)
    assert page.text.count("<script>alert('1')") > 15


def test_odd_text_does_not_break_the_file():
    examples = [replace(e, inputs={"text": "\ud800 \x00 שלום " + "x" * 5000}, target="a b") for e in EXAMPLES]
    html = render_report(replace(DATA, examples=examples))
    assert html.encode("utf-8")
    assert "x" * 400 not in html


def test_it_does_without_what_is_missing():
    alone = EVALUATION.model_copy(
        update={
            "contenders": (contender("fine-tuned", 1.0, requests_per_second=0.4),),
            "verdict": ADOPT.model_copy(update={"against": None, "gain": None, "low": None, "high": None}),
            "warnings": (),
        }
    )
    data = replace(DATA, evaluation=alone, predictions={}, history=[], counts={}, packages={})
    page = Page(render_report(data))
    assert_inert(page)
    for shown in ("No learning curve", "were not kept", "No warning"):
        assert shown in page.plain
    right = replace(data, predictions={"fine-tuned": [e.target for e in EXAMPLES]})
    assert "answered every test example correctly" in Page(render_report(right)).plain
    untuned = EVALUATION.model_copy(update={"contenders": (contender("majority", 0.1),)})
    assert "majority" in Page(render_report(replace(data, evaluation=untuned))).plain


def test_predictions_must_cover_the_test_examples():
    with pytest.raises(ValueError, match="fine-tuned has 1 predictions for 6"):
        render_report(replace(DATA, predictions={"fine-tuned": ["a"]}))


def test_a_large_evaluation_renders_fast_and_small():
    labels = [f"label_with_a_long_name_{n}" for n in range(77)]
    examples = [example(n, labels[n % 77], "a message of usual length " * 10) for n in range(3080)]
    names = [f"contender-{n}" for n in range(8)]
    evaluation = EVALUATION.model_copy(
        update={"contenders": (*CONTENDERS, *(contender(name, 0.4) for name in names)), "test_examples": 3080}
    )
    answers = {
        "fine-tuned": [labels[(n + (n % 5 == 0)) % 77] for n in range(3080)],
        "tfidf-linear": [labels[(n + (n % 3 == 0)) % 77] for n in range(3080)],
    }
    history = [{"step": n, "train_loss": 1 / (n + 1), "validation_loss": 2 / (n + 1)} for n in range(5000)]
    data = replace(DATA, evaluation=evaluation, examples=examples, predictions=answers, history=history)
    started = time.process_time()
    html = render_report(data)
    assert time.process_time() - started < 5.0, "0.4 s"
    assert len(html.encode()) < 3_000_000, "with every test example in it"


# --- the parts


def test_differences_are_spread_over_labels():
    rows = differences(EXAMPLES, ["a", "a", "a", "b", "b", "x"], [None] * 6, [1.0] * 5 + [0.0])
    assert [(d.expected, d.place) for d in rows] == [
        ("a", "messages.csv:2"),
        ("b", "messages.csv:5"),
        ("a", "messages.csv:3"),
        ("b", "messages.csv:6"),
        ("a", "messages.csv:4"),
    ]
    assert rows[0].theirs == "(no answer)"


def test_shortened_cuts_at_a_word():
    assert shortened("a  b\n c") == "a b c"
    assert shortened("one two three", 9) == "one two …"
    assert shortened("x" * 20, 9) == "x" * 9 + " …"


def test_the_learning_rate_and_the_loss_of_every_step_are_drawn_where_they_were_kept():
    steps = [{"step": n, "loss": 1 / n, "learning_rate": 1e-3 * (1 - n / 40)} for n in range(1, 40)]
    without, drawn = (render_report(replace(DATA, steps=kept)) for kept in ((), steps))
    assert "Learning rate by training step" not in without
    assert drawn.count("Learning rate by training step") >= 2  # in both widths
    assert len(drawn) > len(without)


def test_an_encoder_trains_on_another_loss_than_it_is_looked_at_by():
    steps = [{"step": n, "loss": 5.0 - n / 20, "learning_rate": 1e-5} for n in range(1, 40)]
    together = render_report(replace(DATA, steps=steps))
    encoder = DATA.train.model_copy(update={"recipe": {"method": "encoder"}})
    apart = render_report(replace(DATA, train=encoder, steps=steps))
    name = "Loss by training step"
    assert apart.count(name) == 2 * together.count(name) > 0
    assert "a scale of its own" in apart
    assert "a scale of its own" not in together
