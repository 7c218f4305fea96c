"""A version before anything is trained: what its answers look like, until an evaluation tells what gives them."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from inhouse.core import Dataset, ModelVersion, Task, labels_of
from inhouse.engine import Base
from inhouse.pipeline.packaging import NOT_COMPARED, package_versions
from inhouse.scoring import EVERYTHING_TO_A_PERSON
from inhouse.train.plan import ANSWER_ROOM

if TYPE_CHECKING:
    from inhouse.engine.chat_template import ChatTemplate


def untrained_draft(task: Task, dataset: Dataset, base: Base, template: ChatTemplate) -> ModelVersion:
    """A version of no number and no file that answers as one would that learned from the dataset.

    Args:
        base: that prompts are put to, with its `template`.
    """
    longest = max((len(template.text_ids(e.target)) for e in dataset.learned), default=0)
    return ModelVersion(
        task=task.name,
        number=0,
        kind=task.kind,
        contender="",
        run="",
        file_sha256="",
        adapter_sha256="",
        fields=task.input.fields,
        labels=labels_of(dataset.learned) if task.kind == "classify" else (),
        json_schema=task.json_schema,
        from_input=task.from_input or {},
        outline=task.outline,
        answer_tokens=ceil(ANSWER_ROOM * longest) + 8,
        chat=task.input.chat,
        documents=task.input.documents,
        threshold=EVERYTHING_TO_A_PERSON,
        parity=NOT_COMPARED,
        lineage={
            "dataset": dataset.number,
            "dataset_fingerprint": dataset.fingerprint,
            "base": base.spec.name,
            "base_sha256": base.spec.sha256,
            "seed": task.train.seed,
            "packages": package_versions(),
        },
    )
