"""The version under test against the one that serves now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inhouse.core import Dataset, ModelVersion, Prediction, Reporter, Task
from inhouse.pipeline.learning_data import to_learn_from
from inhouse.scoring import Judging, compare_scores, summarise
from inhouse.store import Workspace, registry


def against_champion(
    workspace: Workspace,
    task: Task,
    version: ModelVersion,
    dataset: Dataset,
    candidate: Sequence[Prediction],
    judging: Judging,
    reporter: Reporter,
) -> dict[str, Any] | None:
    """The version against the one that serves now, on the same test examples; None when nothing else serves.

    Compared on the primary metric; for macro-F1, which no single answer has, on accuracy.
    """
    from inhouse.deploy import open_served

    number = registry.alias_number(workspace, task.name, registry.CHAMPION)
    if number is None or number == version.number:
        return None
    champion = registry.find_version(workspace, task.name, number)
    unseen = _unseen_by(workspace, champion, dataset)
    test = dataset.of("test")
    if not unseen:
        reporter.warn(f"every test example was learned by the champion {champion.name}: the two are not compared")
        return None
    if len(unseen) < len(test):
        reporter.warn(
            f"{len(test) - len(unseen)} test examples were learned by the champion {champion.name}; they are left out "
            "of its comparison with the candidate"
        )
    asked = [test[i] for i in unseen]
    served = open_served(workspace, champion)
    bar = reporter.bar(f"champion {champion.name}", len(asked))
    try:
        answered = [a.prediction.target for a in served.answer([e.inputs for e in asked], bar.update)]
    finally:
        served.close()
    metric = "accuracy" if task.metrics.primary == "macro_f1" else task.metrics.primary
    expected = [e.target for e in asked]
    groups = [e.group for e in asked]
    ours = judging(asked, [candidate[i].target for i in unseen])
    theirs = judging(asked, answered)
    gain, low, high, p_value = compare_scores(ours.scores[metric], theirs.scores[metric], groups=groups)
    return {
        "champion": champion.name,
        "metric": metric,
        f"champion_{metric}": summarise(theirs, expected, metric, groups).model_dump(),
        f"candidate_{metric}": summarise(ours, expected, metric, groups).model_dump(),
        "gain": gain,
        "low": low,
        "high": high,
        "p_value": p_value,
    }


def _unseen_by(workspace: Workspace, champion: ModelVersion, dataset: Dataset) -> list[int]:
    """Positions of the test examples that the champion neither learned from nor was chosen on."""
    learned = to_learn_from(workspace, champion.task, champion.lineage["dataset"])
    known = learned.learned
    keys, groups = {e.input_key for e in known}, {e.group for e in known}
    return [i for i, e in enumerate(dataset.of("test")) if e.input_key not in keys and e.group not in groups]
