"""The kept answers of contenders to validation and test examples."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import insert, select

from inhouse.core import Dataset, Example, ModelVersion, Prediction
from inhouse.errors import NotFound
from inhouse.store import database as db
from inhouse.store import tables
from inhouse.store.records import PARQUET
from inhouse.store.workspace import Workspace

# Under which contender's name what the trainer computed is kept.
TRAINER = "trainer"


def save(
    workspace: Workspace,
    *,
    task: str,
    model_version: str,
    contender: str,
    dataset: Dataset,
    examples: Sequence[Example],
    splits: Sequence[str],
    answers: Sequence[Prediction],
    keys: Sequence[str] = (),
    seconds: Sequence[float] = (),
) -> str:
    """Keep every answer of a contender as Parquet; return the blob's SHA-256.

    Args:
        keys: for each answer what it hangs on, hashed, under which `known` finds it again; empty: it is not found.
        seconds: that each answer took.
    """
    frame = pl.DataFrame(
        {
            "example": [e.id for e in examples],
            "split": list(splits),
            "expected": [e.target for e in examples],
            "answer": [a.target for a in answers],
            "confidence": [a.confidence for a in answers],
            "prompt_tokens": [a.prompt_tokens for a in answers],
            "answer_tokens": [a.answer_tokens for a in answers],
            "error": [a.error for a in answers],
            "key": list(keys) or [""] * len(answers),
            "seconds": list(seconds) or [0.0] * len(answers),
            "prediction": [a.model_dump_json() for a in answers] if keys else [""] * len(answers),
        },
        schema_overrides={"answer": pl.String, "error": pl.String},
    )
    return _keep(workspace, frame, task, model_version, contender, dataset.fingerprint)


@dataclass(frozen=True, slots=True)
class TrainerAnswer:
    """What the trainer computed on an example, which the served file can be compared with at any time, without torch.

    Attributes:
        answer: its own.
        written: the text that the served file wrote under no grammar; empty where none was compared.
        evidence: what the trainer thinks of that, or of the labels.
    """

    example: Example
    answer: str | None
    written: str
    evidence: Mapping[str, Any]


def save_trainer(workspace: Workspace, version: ModelVersion, answers: Sequence[TrainerAnswer]) -> str:
    """Keep what the trainer computed for a version beside the contenders' answers, so that `forget` finds it there."""
    frame = pl.DataFrame(
        {
            "example": [one.example.id for one in answers],
            "expected": [one.example.target for one in answers],
            "answer": [one.answer for one in answers],
            "prediction": [one.written for one in answers],
            "evidence": [json.dumps(one.evidence) for one in answers],
        },
        schema_overrides={"answer": pl.String},
    )
    return _keep(workspace, frame, version.task, version.name, TRAINER, version.lineage["dataset_fingerprint"])


def _keep(
    workspace: Workspace, frame: pl.DataFrame, task: str, model_version: str, contender: str, fingerprint: str
) -> str:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    blob = workspace.blobs.put(buffer.getvalue(), PARQUET)
    table = tables.predictions
    row = {"task": task, "model_version": model_version, "contender": contender, "dataset_fingerprint": fingerprint}
    with workspace.database.begin() as connection:
        connection.execute(table.delete().where(*(table.c[k] == v for k, v in row.items())))
        connection.execute(insert(table).values(**row, blob=blob, created_at=db.now()))
    return blob


def load(workspace: Workspace, task: str, model_version: str, contender: str, fingerprint: str) -> pl.DataFrame:
    """The kept answers of a contender (columns as in `save`).

    Raises:
        NotFound: that contender was not evaluated there.
    """
    table = tables.predictions
    with workspace.database.read() as connection:
        blob = connection.scalar(
            select(table.c.blob).where(
                table.c.task == task,
                table.c.model_version == model_version,
                table.c.contender == contender,
                table.c.dataset_fingerprint == fingerprint,
            )
        )
    if blob is None:
        raise NotFound(
            f"no answers of {contender!r} are kept for {model_version}", f"evaluate first: `inhouse evaluate {task}`"
        )
    return pl.read_parquet(workspace.blobs.path(blob, PARQUET))


def known(workspace: Workspace, task: str) -> dict[str, tuple[str, float]]:
    """The kept answers of a task's contenders as JSON, with the seconds that each took, by their keys."""
    table = tables.predictions
    with workspace.database.read() as connection:
        blobs = connection.scalars(select(table.c.blob).where(table.c.task == task).order_by(table.c.created_at)).all()
    found: dict[str, tuple[str, float]] = {}
    for path in (workspace.blobs.location(blob, PARQUET) for blob in blobs):
        if not path.is_file() or "key" not in pl.read_parquet_schema(path):  # kept by an earlier version
            continue
        rows = pl.read_parquet(path, columns=["key", "prediction", "seconds"]).filter(pl.col("key") != "")
        found.update({key: (text, seconds) for key, text, seconds in rows.iter_rows()})
    return found
