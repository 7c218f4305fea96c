"""What `promote` asks of a version as it will serve: it is loaded, compared with the trainer again, and timed."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from inhouse.core import Checked, Dataset, Example, ModelVersion, Parity, Prediction, Reporter, spread
from inhouse.errors import InputError, NotFound, Refused
from inhouse.pipeline.contender_packaging import ASKED_AGAIN, parity_of_kept
from inhouse.pipeline.evaluating.judged import judging_of
from inhouse.pipeline.learning_data import to_learn_from
from inhouse.pipeline.packaging import right_answers
from inhouse.store import Workspace, predictions, registry, sha256_of
from inhouse.store.database import now

if TYPE_CHECKING:  # they import the models' libraries
    from inhouse.deploy import Served, ServedModel
    from inhouse.engine.answers import Question

# Whole answers that are compared, and examples that are timed one after the other, at most.
WHOLE = 50
TIMED = 50
# A slow model is timed on fewer.
LEAST_TIMED = 20
TIMING_SECONDS = 20.0

Row = dict[str, Any]


def check_served(workspace: Workspace, version: ModelVersion, reporter: Reporter) -> ModelVersion:
    """The version with what was found when it was loaded as it will serve, which is kept.

    It takes seconds and no torch: what the trainer computed was kept at the training.

    Raises:
        Refused: its file is not the one that was registered.
        ModelUnavailable: it cannot be loaded here.
    """
    from inhouse.deploy import open_served

    _require_whole(workspace, version)
    dataset = to_learn_from(workspace, version.task, version.lineage["dataset"])
    reporter.say(f"loading {version.name} as it will serve, to compare it with what was trained and to time it")
    served = open_served(workspace, version)
    try:
        parity = _parity(workspace, served, dataset)
        times = _times(served, dataset)
    finally:
        served.close()
    if parity is None:
        reporter.warn(
            f"nothing is kept that {version.name} could be compared with (it was trained by an earlier inhouse, or the "
            "rows were forgotten): what its training compared stands"
        )
    median, high = (float(np.quantile(times, share, method="higher")) if times else 0.0 for share in (0.5, 0.95))
    if times:
        reporter.say(f"one client waits {median:.0f} ms for an answer; 95 % of {len(times)} took up to {high:.0f} ms")
    checked = Checked(at=now(), parity=parity, latency_ms=median, latency_p95_ms=high, timed=len(times))
    version = version.model_copy(update={"checked": checked})
    registry.update_version(workspace, version)
    return version


def _require_whole(workspace: Workspace, version: ModelVersion) -> None:
    from inhouse.deploy.version_files import GGUF, suffix_of

    files = {version.file_sha256: suffix_of(version)}
    if weights := version.lineage.get(registry.WEIGHTS):
        files[weights] = GGUF
    for sha256, suffix in files.items():
        if sha256_of(path := workspace.blobs.path(sha256, suffix)) != sha256:
            raise Refused(
                f"the file of {version.name} is damaged: {path}",
                "this cannot be forced: restore the workspace's blobs folder from a backup, or train again",
            )


def _parity(workspace: Workspace, served: Served, dataset: Dataset) -> Parity | None:
    """What is served against what was kept; None where nothing was, or is any more."""
    from inhouse.deploy import is_classifier

    version = served.version
    kept_as = predictions.TRAINER if version.fine_tuned else version.contender
    fingerprint = version.lineage["dataset_fingerprint"]
    try:
        frame = predictions.load(workspace, version.task, version.name, kept_as, fingerprint)
    except NotFound:
        return None
    here = {example.id: example for example in dataset.examples}
    rows = [(here[row["example"]], row) for row in frame.iter_rows(named=True) if row["example"] in here]
    asked = [(example, question, row) for example, row in rows if (question := _question(served, example))]
    if not version.fine_tuned:
        return _contender_parity(workspace, served, dataset, asked)
    if is_classifier(version):
        return _label_parity(served, asked)
    return _token_parity(workspace, served, asked)  # type: ignore[arg-type]


def _question(served: Served, example: Example) -> Question | None:
    """None for what it does not take: an input that is longer than it reads."""
    try:
        return served.question(example.inputs)
    except InputError:
        return None


Asked = Sequence[tuple[Example, "Question", Row]]


def _token_parity(workspace: Workspace, served: ServedModel, asked: Asked) -> Parity | None:
    """A fine-tuned causal model: its free answers token by token, and some whole ones."""
    from inhouse.deploy import compare, known_part
    from inhouse.engine.protocol import Along

    told = [(question, row, json.loads(row["evidence"])) for _, question, row in asked]
    written = [(question, kept) for question, _, kept in told if kept]
    if not written:
        return None
    free = served.engine.generate([question.prompt for question, _ in written], max_new_tokens=served.form.max_tokens)
    before = [kept["ids"] for _, kept in written]
    parts, along = known_part(
        free, before, [Along(kept["ranked"], kept["logprobs"], kept["given"]) for _, kept in written]
    )
    if not parts:
        return None
    some = spread(asked, WHOLE)
    trainer = [Prediction(target=row["answer"]) for _, _, row in some]
    answers = served.predictions([question for _, question, _ in some])
    task = served.version.answers_as(workspace.load_task(served.version.task))
    right = [right_answers(task, [example for example, _, _ in some], side) for side in (trainer, answers)]
    return compare(parts, along, trainer, answers, *right)


def _label_parity(served: Served, asked: Asked) -> Parity | None:
    """A fine-tuned encoder: its labels, against the trainer's chances of them."""
    from inhouse.deploy import compare_labels

    if not asked:
        return None
    answers = served.predictions([question for _, question, _ in asked])
    chances = [json.loads(row["evidence"])["chances"] for _, _, row in asked]
    trainer = [
        Prediction(target=row["answer"], confidence=float(np.exp(max(known.values()))))
        for (_, _, row), known in zip(asked, chances, strict=True)
    ]
    # A label that is not among the likeliest is at most as likely as the last of them.
    given = np.array([known.get(str(a.target), min(known.values())) for a, known in zip(answers, chances, strict=True)])
    right = [
        np.array([a.target == e.target for a, (e, _, _) in zip(side, asked, strict=True)])
        for side in (trainer, answers)
    ]
    return compare_labels(trainer, given, answers, *right)


def _contender_parity(workspace: Workspace, served: Served, dataset: Dataset, asked: Asked) -> Parity | None:
    """A prompted base, or a linear model: its answers to test examples, against those that were judged."""
    version = served.version
    some = spread([one for one in asked if one[2]["split"] == "test"], ASKED_AGAIN)
    if not some:
        return None
    answers = served.predictions([question for _, question, _ in some])
    kept = [Prediction(target=row["answer"], confidence=row["confidence"], error=row["error"]) for _, _, row in some]
    task = version.answers_as(workspace.load_task(version.task))
    return parity_of_kept(judging_of(workspace, task, dataset), [e for e, _, _ in some], kept, answers)


def _times(served: Served, dataset: Dataset) -> list[float]:
    """How long answers to validation examples take, one after the other, in milliseconds; the first one warms up."""
    examples = spread(dataset.of("validation"), TIMED + 1)
    times, begun = list[float](), time.perf_counter()
    for question in filter(None, (_question(served, example) for example in examples)):
        before = time.perf_counter()
        for _ in served.stream(question, every_token=False):
            pass
        times.append((time.perf_counter() - before) * 1000)
        if time.perf_counter() - begun > TIMING_SECONDS and len(times) > LEAST_TIMED:
            break
    return times[1:] or times
