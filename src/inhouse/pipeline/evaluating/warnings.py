"""What a reader of an evaluation should know beside the figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from inhouse.core import Dataset, Example, ModelVersion, Task
from inhouse.core.json_schema import parse_object, validate
from inhouse.dataset import fitted

if TYPE_CHECKING:
    from inhouse.evaluate.contenders import Answers


def warnings_of(
    task: Task, versions: Sequence[ModelVersion], dataset: Dataset, answers: Sequence[Answers]
) -> tuple[str, ...]:
    """Answers that were cut off, examples that cannot be answered rightly, a task that changed, a failed gate.

    Args:
        versions: that were compared, which answer alike.
    """
    version = versions[0]
    warnings = _cut_off(version, answers)
    labelled = task.kind == "classify"
    if out_of_reach := out_of_reach_of(version, dataset.of("test")):
        count = sum(out_of_reach.values())
        whats = "carry labels that no training example has" if labelled else "do not meet the schema"
        named = "; ".join(f"{what} ({times})" for what, times in out_of_reach.most_common(5))
        warnings.append(f"{count} test examples {whats}: they can only be answered wrongly: {named}")
    schemas = (task.json_schema, task.from_input or {}), (version.json_schema, version.from_input)
    if set(task.labels) != set(version.labels) or schemas[0] != schemas[1]:
        what = "labels have" if labelled else "schema, or what is taken from the input, has"
        warnings.append(f"the task's {what} changed since this version was trained: train again")
    warnings += [f"the parity gate failed of {v.name}: {v.parity.reason}" for v in versions if not v.parity.passed]
    return tuple(warnings)


def _cut_off(version: ModelVersion, answers: Sequence[Answers]) -> list[str]:
    """A line for each fine-tuned contender with answers that were cut off, and one for all others."""
    most = f"were cut off after {version.answer_tokens} tokens"
    ours, others = [], []
    for one in answers:
        if not (cut := sum(not p.finished for p in one.test)):
            continue
        if one.fine_tuned:
            ours.append(f"{one.name}: {cut} of {one.tested} answers {most}")
        else:
            others.append(f"{cut} of {one.tested} by {one.name}")
    return [*ours, *([f"answers that {most}: {', '.join(others)}"] if others else [])]


def out_of_reach_of(version: ModelVersion, test: Sequence[Example]) -> Counter[str]:
    """What no answer of the version can say, and in how many test examples it is expected."""
    if version.kind == "classify":
        return Counter(e.target for e in test if e.target not in version.labels)
    if version.kind == "generate":
        return Counter()
    objects = [fitted(version.json_schema, parse_object(e.target) or {}) for e in test]
    return Counter(fault for o in objects if (fault := validate(version.json_schema, o)))
