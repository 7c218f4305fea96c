"""The verdict: from the answers of all contenders to one decision with its reason (design, section 5). Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from inhouse.core import Comparison, Metric, MetricsSection, Verdict
from inhouse.evaluate.verdict.evidence import ContenderAnswers, DrawCurve, Matter, weigh
from inhouse.evaluate.verdict.rules import RULES, adopted
from inhouse.evaluate.verdict.words import better_still, standings
from inhouse.scoring import Groups


def decide(
    answers: Sequence[ContenderAnswers],
    *,
    expected_test: Sequence[str],
    expected_validation: Sequence[str],
    metrics: MetricsSection,
    test_groups: Groups = None,
    leaked: int = 0,
    mend: str = "",
    curve: DrawCurve = lambda: None,
    train_examples: int | None = None,
    lift: Callable[[], Metric | None] = lambda: None,
) -> tuple[Verdict, tuple[Comparison, ...]]:
    """Decide whether the fine-tuned side is worth having.

    The best of each side on validation (the first of equals) stands for it on the test examples; another one is never
    taken for its test score. A fine-tuned contender that is no version as it is stands for its side only where no
    other does; it is compared with the best alternative and with those that are versions, and `also` names it where
    rule 5 holds of it too and it is better than all of them beyond chance. The alternative side holds `majority` too,
    which is also the floor; where no `majority` was asked, the most frequent validation label takes its place. Gain
    is fine-tuned minus alternative on the primary metric, whoever wins. "Beyond chance" is p < 0.05 and an interval
    without 0; p is Holm-adjusted over all comparisons that are kept (against the floor: over both sides). The bar is
    met if the test value reaches it. A side is fit to serve if it meets the bar and beats the floor beyond chance.

    The first of these that holds decides:

    1. `reject`: a test example stands in the training data, or nearly so.
    2. Neither side beats the floor beyond chance. `reject`: at best, cheap models tell the labels of unseen training
       examples by less than 10 points (or half of what there is to gain) more often than the floor, so the labels do
       not follow from the inputs; or both sides are at best so far above the floor. Else `collect_more`: too few test
       examples to say so.
    3. Neither side meets the bar: `collect_more` (training examples, as many again) if by the learning curve that
       brings a point at least, else (it brings less, or nobody knows) `reject`.
    4. `not_needed`: nothing was fine-tuned, and the alternative is fit.
    5. `adopt`: the gain is beyond chance and at least `min_gain`, and the fine-tuned side is fit.
    6. `not_needed`: the alternative is fit, and is better beyond chance or the gain's upper end is under `min_gain`.
    7. `collect_more` (test examples; or, as in rule 2, none where the two sides were not asked the whole test: the
       rest is to be asked first): whatever is left, which is
       a. the interval holds both 0 and `min_gain`;
       b. the gain is beyond chance, its estimate under `min_gain`, its upper end not;
       c. only the fine-tuned side meets the bar, but not by `min_gain`: too close to the bar to rest on it;
       d. only the alternative meets the bar, but the fine-tuned side may yet be better by `min_gain`;
       e. the side that is ahead beyond chance is not itself shown to beat the floor, while the other is.
       The side that is better on the test cannot miss a bar that the other meets, as both are the same metric.

    Args:
        answers: every contender's answers, in the order of preference among equals.
        test_groups: the group of each test example, where examples belong together.
        leaked: number of test examples that also stand in the training data, or nearly so.
        mend: the command that takes those out of the training data.
        curve: draws, when rules 3 or 7 ask, the learning curve; None where there is none.
        train_examples: how many examples were trained on; without it, rule 3 cannot say how many more are wanted.
        lift: measures, when rule 2 asks, how far the inputs tell the labels of the training examples (see `lift` in
            `evaluate/signal.py`); None where that cannot be measured.

    Returns:
        the verdict, and every comparison: of the fine-tuned side with the alternatives, in their order, then of
        contenders that are no version as they are.

    Raises:
        UsageError: if there is no contender at all.
        NoMetric: if there are no test or no validation examples.
        ValueError: if a contender has not one answer per example.
    """
    matter = Matter(
        answers, expected_test, expected_validation, metrics, test_groups, leaked, mend, curve, train_examples, lift
    )
    case, ahead = weigh(matter)
    also = [one for one in ahead if adopted(one)]
    outcome = next(found for rule in RULES if (found := rule(case)) is not None)
    gain = case.gain
    verdict = Verdict(
        decision=outcome.decision,
        winner=outcome.winner,
        against=next((s.name for s in reversed(case.sides) if s.name != outcome.winner), None),
        gain=gain.value if gain else None,
        low=gain.low if gain else None,
        high=gain.high if gain else None,
        p_value=gain.p_value if gain else None,
        reason=f"{standings(case)}; {outcome.conclusion}.{''.join(map(better_still, also))}",
        more_examples=outcome.more_examples,
        more_of=outcome.more_of,
        also=tuple(one.tuned.name for one in also if one.tuned),
    )
    return verdict, case.comparisons
