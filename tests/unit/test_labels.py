"""Label by label: precision, recall and F1 are scikit-learn's, their intervals cover, and mistakes are counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from inhouse.core import Confusion, Example, Prediction, Provenance, Task
from inhouse.evaluate.report.errors import MAX_MATRIX, matrix
from inhouse.pipeline.evaluating.judged import top_k
from inhouse.scoring import confusions, label_results, wilson

LABELS = ["a", "b", "c"]
PAIRS = st.lists(
    st.tuples(st.sampled_from([*LABELS, "elsewhere", None]), st.sampled_from(LABELS)), min_size=1, max_size=60
)


@given(PAIRS)
def test_the_figures_are_those_of_scikit_learn(pairs: list[tuple[str | None, str]]) -> None:
    predicted, expected = [p for p, _ in pairs], [e for _, e in pairs]
    labels = sorted(set(expected))
    known = precision_recall_fscore_support(expected, [p or "" for p in predicted], labels=labels, zero_division=0)
    found = {one.label: one for one in label_results(predicted, expected)}
    assert sorted(found) == labels
    for i, label in enumerate(labels):
        one = found[label]
        assert one.recall is not None
        assert (one.precision is None) == (label not in predicted)
        if one.precision is not None:
            assert one.precision.value == pytest.approx(known[0][i])
        assert one.recall.value == pytest.approx(known[1][i])
        assert one.f1.value == pytest.approx(known[2][i])
        for metric in (one.recall, one.f1):
            assert 0 <= metric.low <= metric.value <= metric.high <= 1
        assert one.recall.n == known[3][i]
    values = [one.f1.value for one in label_results(predicted, expected)]
    assert values == sorted(values)


def test_recall_is_a_share_with_its_interval_and_groups_count_as_one() -> None:
    predicted, expected = ["a"] * 8 + ["b"] * 12, ["a"] * 10 + ["b"] * 10
    one = next(r for r in label_results(predicted, expected) if r.label == "a")
    assert one.recall == wilson(8, 10)
    assert one.precision == wilson(8, 8)
    assert one.f1.n == 10
    copies = label_results(np.repeat(predicted, 5).tolist(), np.repeat(expected, 5).tolist(), np.arange(100) // 5)
    again = next(r for r in copies if r.label == "a")
    assert again.recall is not None
    assert again.recall.high - again.recall.low > 0.9 * (one.recall.high - one.recall.low)


def test_lengths_must_agree() -> None:
    for wrong in (label_results, confusions):
        with pytest.raises(ValueError):
            wrong(["a"], ["a", "b"])


def test_mistakes_are_counted_the_most_frequent_first() -> None:
    found = confusions(["b", "b", "c", "b", "b", None], list("aaabbc"))
    assert found == tuple(
        Confusion(expected=e, answered=a, count=n)
        for e, a, n in [("a", "b", 2), ("b", "b", 2), ("a", "c", 1), ("c", None, 1)]
    )


def test_the_matrix_has_a_row_for_each_label_and_a_column_for_no_answer() -> None:
    found = matrix(confusions(["b", "b", "c", "b", "b", None], list("aaabbc")))
    assert found is not None
    assert found.labels == ("a", "b", "c")
    assert found.rows == ((0, 2, 1, 0), (0, 2, 0, 0), (0, 0, 0, 1))
    many = [f"label {i}" for i in range(MAX_MATRIX + 1)]
    assert matrix(confusions(many[:-1], many[:-1])) is not None
    assert matrix(confusions(many, many)) is None
    assert matrix(()) is None


def test_the_label_may_be_among_the_likeliest() -> None:
    task = Task(name="t", labels=tuple("abcdef"))
    asked = [Example({"text": str(i)}, e, str(i), Provenance("f", i)) for i, e in enumerate("abcd")]
    ranked = [("b", 0.5), ("c", 0.2), ("a", 0.1), ("f", 0.05)]
    told = [Prediction(target="e", alternatives=tuple(ranked)) for _ in asked]
    found = top_k(task, asked, [*told[:3], Prediction(target=None)])
    assert {name: scores.tolist() for name, scores in found.items()} == {"top_3": [0, 1, 1, 0], "top_5": [1, 1, 1, 0]}
    assert top_k(task, asked, [Prediction(target="a")] * 4) == {}
    assert set(top_k(Task(name="t", labels=tuple("abcd")), asked, told)) == {"top_3"}
