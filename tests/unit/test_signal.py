"""Do labels follow from inputs? The lift of a cheap model says so, or that they do not."""

from __future__ import annotations

import numpy as np

from inhouse.evaluate.signal import lift


def test_random_labels_have_no_lift_and_real_ones_do() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(600, 20))
    groups = [str(i) for i in range(600)]
    random = lift(vectors, [str(i) for i in rng.integers(4, size=600)], groups)
    assert random is not None
    assert random.n == 600
    assert random.low < 0 < random.high < 0.10
    real = lift(vectors, [str(i) for i in vectors[:, :4].argmax(1)], groups)
    assert real is not None
    assert real.low > 0.3


def test_what_a_group_has_in_common_is_no_lift() -> None:
    # The label is the customer's own, and the input names the customer: of another customer it tells nothing.
    rng = np.random.default_rng(2)
    customer = np.arange(600) % 60
    labels = rng.integers(3, size=60)[customer]
    vectors = np.eye(60)[customer]
    by_group = lift(vectors, [str(i) for i in labels], [str(i) for i in customer])
    by_example = lift(vectors, [str(i) for i in labels], [str(i) for i in range(600)])
    assert by_group is not None
    assert by_example is not None
    assert by_group.value < 0.05
    assert by_example.low > 0.3


def test_few_examples_leave_it_open() -> None:
    rng = np.random.default_rng(3)
    found = lift(rng.normal(size=(13, 5)), [str(i % 2) for i in range(13)], [str(i) for i in range(13)])
    assert found is not None
    assert found.high > 0.10
    assert lift(rng.normal(size=(3, 5)), ["a"] * 3, ["x", "y", "z"]) is None
