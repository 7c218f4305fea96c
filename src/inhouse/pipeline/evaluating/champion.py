"""The version under test against the one that serves now."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from inhouse.core import Dataset, Example, ModelVersion, Prediction, Reporter, Task
from inhouse.pipeline.learning_data import to_learn_from
from inhouse.scoring import Judging, compare_scores, summarise
from inhouse.store import Workspace, registry

if TYPE_CHECKING:
    from inhouse.evaluate.contenders import Answers

# What it is called among the contenders, where it is none of them already.
CHAMPION = "champion"


@dataclass(frozen=True)
class Champion:
    """The version that serves now, and its answers to the test examples at the places that it has not learned from.

    `seconds`: that these took; None where it is a contender, which gave them as such.
    """

    version: ModelVersion
    places: list[int]
    answers: list[Prediction]
    seconds: float | None = None


def champion_of(
    workspace: Workspace,
    version: ModelVersion,
    dataset: Dataset,
    reporter: Reporter,
    answered: Mapping[str, Sequence[Prediction]] | None = None,
) -> Champion | None:
    """What serves now, asked the test examples; None when nothing else than the version serves.

    Args:
        answered: answers to all test examples by the names of other versions, which are not asked again.
    """
    from inhouse.deploy import open_served

    number = registry.alias_number(workspace, version.task, registry.CHAMPION)
    if number is None or number == version.number:
        return None
    champion = registry.find_version(workspace, version.task, number)
    test = dataset.of("test")
    if answered and champion.name in answered:
        return Champion(champion, list(range(len(test))), list(answered[champion.name]))
    unseen = _unseen_by(workspace, champion, dataset)
    if not unseen:
        reporter.warn(f"every test example was learned by the champion {champion.name}: the two are not compared")
        return None
    if len(unseen) < len(test):
        reporter.warn(
            f"{len(test) - len(unseen)} test examples were learned by the champion {champion.name}; they are left out "
            "of its comparison with the candidate"
        )
    asked = [test[i].inputs for i in unseen]
    served = open_served(workspace, champion)
    bar = reporter.bar(f"champion {champion.name}", len(asked))
    begun = time.perf_counter()
    try:
        found = [a.prediction for a in served.answer(asked, bar.update)]
    finally:
        served.close()
    return Champion(champion, unseen, found, time.perf_counter() - begun)


def beside(champion: Champion | None, test: Sequence[Example]) -> list[Answers]:
    """The champion among the contenders, where it is none of them and has learned from no test example."""
    from inhouse.evaluate.contenders import Answers

    if champion is None or champion.seconds is None or len(champion.places) < len(test):
        return []
    return [Answers(CHAMPION, fine_tuned=False, validation=[], test=champion.answers, seconds=champion.seconds)]


def against_champion(
    champion: Champion | None,
    task: Task,
    dataset: Dataset,
    candidate: Sequence[Prediction],
    judging: Judging,
) -> dict[str, Any] | None:
    """A version against the one that serves now, on the same test examples; None where there is none.

    Compared on the primary metric; for macro-F1, which no single answer has, on accuracy.

    Args:
        candidate: the version's answers to all test examples.
    """
    if champion is None:
        return None
    test = dataset.of("test")
    asked = [test[i] for i in champion.places]
    metric = "accuracy" if task.metrics.primary == "macro_f1" else task.metrics.primary
    expected = [e.target for e in asked]
    groups = [e.group for e in asked]
    ours = judging(asked, [candidate[i] for i in champion.places])
    theirs = judging(asked, champion.answers)
    gain, low, high, p_value = compare_scores(ours.scores[metric], theirs.scores[metric], groups=groups)
    return {
        "champion": champion.version.name,
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
