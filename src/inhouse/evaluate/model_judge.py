"""A model as judge of texts: it grades answers from 1 to 5, as people do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from inhouse.core import Example, JudgeResult, Metric, Prediction, Task, render_input
from inhouse.engine.answers import answer_form
from inhouse.errors import ModelUnavailable
from inhouse.evaluate.contenders import CONTENDERS, Field
from inhouse.evaluate.contenders.asking import MOST_LOST
from inhouse.evaluate.contenders.remote import remote
from inhouse.scoring.agreement import GRADES, quadratic_kappa

# With fewer grades the interval of the agreement is so wide that it says nothing.
ENOUGH_GRADES = 30
_LABELS = tuple(str(grade) for grade in GRADES)
_INSTRUCTION = (
    "You grade answers to a task. Compare the answer with the expected one: is what it says right, is anything missing "
    "or invented, is it written as it should be? Grade it from 1 (useless) to 5 (as good as the expected one)."
)


@dataclass(frozen=True)
class Graded:
    """An answer to an example, and the grade that a person gave it."""

    example: Example
    answer: str
    grade: int


@dataclass(frozen=True)
class Told:
    """What a judge was asked, each answer to an example once, and what it said: `keys` are those it is kept under."""

    examples: tuple[Example, ...] = ()
    predictions: tuple[Prediction, ...] = ()
    keys: tuple[str, ...] = ()
    seconds: tuple[float, ...] = ()


def ask_judge(given: Field, judge: str, asked: Sequence[tuple[Example, str]]) -> tuple[list[int | None], Told]:
    """The judge's grade of each answer; None where it gave none. The same answer to the same question is asked once.

    Args:
        judge: `base`, or `remote:NAME`.

    Raises:
        ModelUnavailable, OutboundForbidden: a remote judge cannot be asked, or stops answering.
    """
    task = Task(
        name=given.task.name,
        instruction=f"{_INSTRUCTION}\n\nThe task: {given.task.instruction}".removesuffix("\n\nThe task: "),
        labels=_LABELS,
    )
    place: dict[tuple[str, str], int] = {}
    questions: list[Example] = []
    examples: list[Example] = []
    for example, answer in asked:
        if (example.id, answer) not in place:
            place[example.id, answer] = len(questions)
            examples.append(example)
            inputs = {"input": render_input(example.inputs), "expected answer": example.target, "answer": answer}
            questions.append(replace(example, inputs=inputs, id=""))
    field = replace(
        given,
        task=task,
        form=answer_form("classify", labels=_LABELS),
        train=(),
        validation=(),
        test=questions,
        trimming=None,
        fits={},
        asked={},
    )
    try:
        found = _ask(field, judge) if questions else []
    finally:
        field.close()
    if (lost := [p.error for p in found if not p.asked]) and len(lost) > MOST_LOST * len(found):
        raise ModelUnavailable(f"{len(lost):,} of {len(found):,} requests got no answer ({lost[0]})")
    kept = next(iter(field.asked.values()), None)
    told = Told(tuple(examples), tuple(found), *((tuple(kept.keys), tuple(kept.seconds)) if kept else ()))
    return [_grade(found[place[e.id, answer]]) for e, answer in asked], told


def agreement_of(judge: str, model: str, graded: Sequence[Graded], grades: Sequence[int | None]) -> JudgeResult:
    """How far the judge agrees with people, and whether its grades may be shown.

    Args:
        grades: the judge's, of the same answers; what it gave none to counts as the lowest.
    """
    agreement = None
    if graded:
        groups = [g.example.group for g in graded]
        agreement = quadratic_kappa([g.grade for g in graded], [g or GRADES[0] for g in grades], groups=groups)
    shown = agreement is not None and len(graded) >= ENOUGH_GRADES and agreement.low > 0
    return JudgeResult(
        judge=judge,
        model=model,
        grades=len(graded),
        agreement=agreement,
        shown=shown,
        sentence=_told(judge, model, len(graded), agreement, shown=shown),
    )


def _ask(field: Field, judge: str) -> list[Prediction]:
    if judge == "base":
        return CONTENDERS["prompted"].ask(field)
    return remote(field, judge.removeprefix("remote:"))


def _grade(answer: Prediction) -> int | None:
    return int(answer.target) if answer.target in _LABELS else None


def _told(judge: str, model: str, grades: int, agreement: Metric | None, *, shown: bool) -> str:
    who = f"{judge} ({model})" if judge == "base" else judge
    if agreement is None or grades < ENOUGH_GRADES:
        return (
            f"the grades of {who} as a judge are not shown: {grades} answers were graded by people, and only with "
            f"{ENOUGH_GRADES} or more can be told whether it agrees with them"
        )
    figures = (
        f"quadratic weighted kappa {agreement.value:.2f}, 95 % interval {agreement.low:.2f} to {agreement.high:.2f}, "
        f"on {grades} answers that people graded; 1 is equal, 0 is chance"
    )
    if not shown:
        return f"the grades of {who} as a judge are not shown: it does not agree with people ({figures})"
    return f"{who} as a judge agrees with people: {figures}"
