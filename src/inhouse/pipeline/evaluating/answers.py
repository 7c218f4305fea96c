"""The answers of contenders, kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from inhouse.core import Dataset, ModelVersion
from inhouse.store import Workspace, predictions

if TYPE_CHECKING:
    from inhouse.evaluate.beyond import Kept
    from inhouse.evaluate.contenders import Answers, Field


def keep_answers(
    workspace: Workspace,
    version: ModelVersion,
    versions: Sequence[ModelVersion],
    dataset: Dataset,
    answers: Sequence[Answers],
    given: Field,
) -> None:
    """Keep every answer of every contender to the validation and test examples that it was asked.

    Those of the fine-tuned `versions` are kept under their own names, the others under that of `version`.
    What a remote model answered that is left out is kept too, so that it is not paid for again, and what was answered
    to forms of prompt that were only tried, so that the next evaluation need not ask again.
    """
    own = {v.contender: v.name for v in versions}
    validation, test = dataset.of("validation"), dataset.of("test")
    questions = [*((e, "validation") for e in validation), *((e, "test") for e in test)]
    unfinished = {f"{name} unfinished": one for name, one in given.unfinished.items()}
    for name, one in ({a.name: a for a in answers} | unfinished).items():
        found = [*one.validation, *one.test]
        there = [i for i, p in enumerate(found) if p.asked]
        predictions.save(
            workspace,
            task=version.task,
            model_version=own.get(name, version.name),
            contender=name,
            dataset=dataset,
            examples=[questions[i][0] for i in there],
            splits=[questions[i][1] for i in there],
            answers=[found[i] for i in there],
            keys=[one.asked.keys[i] for i in there] if one.asked else (),
            seconds=[one.asked.seconds[i] for i in there] if one.asked else (),
        )
    for tried in (one for forms in given.tried.values() for one in forms):
        asked = given.asked[tried.name]
        predictions.save(
            workspace,
            task=version.task,
            model_version=version.name,
            contender=tried.name,
            dataset=dataset,
            examples=[validation[place] for place in tried.places],
            splits=["validation"] * len(tried.places),
            answers=tried.answers,
            keys=[asked.keys[place] for place in tried.places],
            seconds=[asked.seconds[place] for place in tried.places],
        )


def keep_changed(workspace: Workspace, version: ModelVersion, dataset: Dataset, kept: Mapping[str, Kept]) -> None:
    """Keep the answers to questions that were changed, under the examples that these were made of."""
    for name, one in kept.items():
        predictions.save(
            workspace,
            task=version.task,
            model_version=version.name,
            contender=f"{name} again",
            dataset=dataset,
            examples=one.examples,
            splits=one.splits,
            answers=one.answers,
            keys=one.keys,
            seconds=one.seconds,
        )
