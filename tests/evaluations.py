"""Evaluations for tests: one with what is always there, and one in which everything was measured."""

from __future__ import annotations

from inhouse.core import (
    BaseFacts,
    Calibration,
    CalibrationError,
    Comparison,
    Consistency,
    ContenderResult,
    Evaluation,
    ForgettingResult,
    GapResult,
    LeftOut,
    Metric,
    ReliabilityBin,
    Review,
    ReviewPoint,
    RobustnessResult,
    SliceResult,
    TriedPrompt,
    Verdict,
)

HALF = Metric(value=0.5, low=0.4, high=0.6, n=100)
OFF = CalibrationError(value=0.05, by_chance=0.03, by_chance_high=0.06, n=100)
PLAIN = Evaluation(
    task="tickets",
    report="reports/tickets@1.html",
    dataset_fingerprint="f00d",
    base_model="smollm2-135m-instruct",
    model_version="tickets@1",
    test_examples=100,
    validation_examples=40,
    primary_metric="accuracy",
    contenders=(
        ContenderResult(
            name="fine-tuned", model="tickets@1", metrics={"accuracy": HALF}, seconds=2.0, requests_per_second=50.0
        ),
    ),
    verdict=Verdict(
        decision="adopt", winner="fine-tuned", against="prompted", gain=0.2, low=0.1, high=0.3, p_value=0.001, reason=""
    ),
)
WHOLE = PLAIN.model_copy(
    update={
        "comparisons": (Comparison(ours="fine-tuned", theirs="prompted", gain=0.2, low=0.1, high=0.3, p_value=0.001),),
        "left_out": (LeftOut(contender="retrieval", reason="no time was left", minutes=12.5),),
        "prompts": (
            TriedPrompt(contender="prompted-best", form="the instruction first; in brief", metric=HALF, chosen=True),
            TriedPrompt(contender="prompted-best", form="a plain instruction", metric=HALF),
        ),
        "bases": (BaseFacts(name="smollm2", title="SmolLM2", parameters=135, limits="English", used_by=("prompted",)),),
        "reviews": (
            Review(
                contender="fine-tuned",
                target_errors=0.02,
                threshold=0.9,
                straight=0.78,
                straight_low=0.75,
                straight_high=0.81,
                review_rate=0.22,
                certain=True,
                curve=(ReviewPoint(threshold=0.9, straight=0.78, errors=0.0, errors_high=0.02, n=78),),
            ),
        ),
        "calibrations": (
            Calibration(
                contender="fine-tuned",
                method="logistic",
                ece_before=0.1,
                ece=OFF,
                bins=(ReliabilityBin(confidence=0.5, right=HALF),),
            ),
        ),
        "consistency": (Consistency(contender="fine-tuned", change="typos", same=HALF),),
        "slices": (SliceResult(by="language", value="de", metric=HALF, worst=True),),
        "gap": GapResult(train=HALF, validation=HALF, test=HALF),
        "forgetting": ForgettingResult(prompts=60, divergence=0.1, low=0.05, high=0.2),
        "robustness": (RobustnessResult(contender="fine-tuned", obeyed=HALF),),
        "suspect_tests": 3,
        "currency": "EUR",
        "files": {"json": "reports/tickets@1.json"},
    }
)
