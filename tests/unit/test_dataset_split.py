"""The split: stable, whole groups, stratified, blind to the order of rows."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

from hypothesis import given
from hypothesis import strategies as st

from inhouse.core import Example, Provenance
from inhouse.dataset import assign_splits


def example(text, target, group=""):
    return Example({"text": text}, target, group or text, Provenance("d.csv", 1))


labelled = st.lists(
    st.builds(
        lambda n, label, size: [example(f"{n}-{i}", label, f"g{n}") for i in range(size)],
        st.integers(0, 10_000),
        st.sampled_from("abc"),
        st.integers(1, 3),
    ),
    min_size=1,
    max_size=60,
    unique_by=lambda group: group[0].group,
).map(lambda groups: [e for group in groups for e in group])


def by_group(examples, splits):
    found = defaultdict(set)
    for e, s in zip(examples, splits, strict=True):
        found[e.group].add(s)
    return found


def groups_per_split(examples, splits):
    """label -> Counter of groups by split"""
    pairs = {(e.target, e.group, s) for e, s in zip(examples, splits, strict=True)}
    counts = defaultdict(Counter)
    for label, _, split in pairs:
        counts[label][split] += 1
    return counts


@given(labelled, st.booleans())
def test_a_group_has_one_split_and_order_does_not_matter(examples, test_given):
    splits = assign_splits(examples, kind="classify", previous={}, test_given=test_given)
    found = by_group(examples, splits)
    assert all(len(s) == 1 for s in found.values())
    shuffled = random.Random(0).sample(examples, len(examples))
    assert by_group(shuffled, assign_splits(shuffled, kind="classify", previous={}, test_given=test_given)) == found


@given(labelled)
def test_each_label_has_its_shares(examples):
    for counts in groups_per_split(
        examples, assign_splits(examples, kind="classify", previous={}, test_given=False)
    ).values():
        total = sum(counts.values())
        assert counts["train"] >= 1
        if total == 2:
            assert counts == Counter(train=1, test=1)
        if total >= 3:
            assert counts["test"] == max(1, int(0.2 * total + 0.5))
            assert counts["validation"] == max(1, int(0.1 * total + 0.5))


@given(labelled)
def test_with_a_test_file_nothing_becomes_test(examples):
    for counts in groups_per_split(
        examples, assign_splits(examples, kind="classify", previous={}, test_given=True)
    ).values():
        total = sum(counts.values())
        assert counts["test"] == 0
        assert counts["validation"] == (0 if total < 3 else max(1, int(0.1 * total + 0.5)))


@given(labelled, st.integers(0, 100), st.booleans())
def test_what_has_a_split_keeps_it_when_examples_are_added(examples, share, test_given):
    cut = len(examples) * share // 100
    old = examples[:cut]
    before = assign_splits(old, kind="classify", previous={}, test_given=test_given)
    previous = {e.group: s for e, s in zip(old, before, strict=True)}
    after = assign_splits(examples, kind="classify", previous=previous, test_given=test_given)
    assert after[:cut] == before
    for counts in groups_per_split(examples, after).values():
        assert counts["train"] >= 1


def test_a_mixed_group_counts_for_its_most_frequent_target():
    mixed = [example("m1", "a", "mixed"), example("m2", "b", "mixed"), example("m3", "b", "mixed")]
    others = [example("x", "b"), example("y", "b")]
    splits = assign_splits([*mixed, *others], kind="classify", previous={}, test_given=False)
    assert Counter(by_group([*mixed, *others], splits)[g].copy().pop() for g in ("mixed", "x", "y")) == Counter(
        train=1, validation=1, test=1
    )


def test_the_split_is_the_same_on_every_machine():
    examples = [example(f"text {i}", "a") for i in range(10)]
    splits = assign_splits(examples, kind="classify", previous={}, test_given=False)
    assert [i for i, s in enumerate(splits) if s == "test"] == [6, 7]
    assert [i for i, s in enumerate(splits) if s == "validation"] == [3]


@given(labelled, st.booleans())
def test_what_has_no_labels_is_one_stratum(examples, test_given):
    one_label = [Example(e.inputs, "x", e.group, e.provenance) for e in examples]
    expected = assign_splits(one_label, kind="classify", previous={}, test_given=test_given)
    for kind in ("extract", "generate"):
        assert assign_splits(examples, kind=kind, previous={}, test_given=test_given) == expected


def test_a_group_that_outweighs_the_others_trains_where_there_are_enough_others():
    small = [example(f"{n}", "{}", f"s{n}") for n in range(200)]
    heavy = [example(f"{g}-{n}", "{}", f"h{g}") for g in range(20) for n in range(20)]
    splits = assign_splits(small + heavy, kind="extract", previous={}, test_given=False)
    found = by_group(small + heavy, splits)
    assert all(found[f"h{g}"] == {"train"} for g in range(20))
    assert Counter(s for g in found.values() for s in g) == {"train": 154, "validation": 22, "test": 44}


def test_groups_of_one_size_are_none_too_heavy():
    even = [example(f"{g}-{n}", "{}", f"g{g}") for g in range(10) for n in range(30)]
    splits = assign_splits(even, kind="extract", previous={}, test_given=False)
    assert Counter(s for g in by_group(even, splits).values() for s in g) == {"train": 7, "validation": 1, "test": 2}


def test_a_heavy_group_that_was_tested_on_stays_so():
    small = [example(f"{n}", "{}", f"s{n}") for n in range(200)]
    heavy = [example(f"h-{n}", "{}", "h") for n in range(50)]
    splits = assign_splits(small + heavy, kind="extract", previous={"h": "test"}, test_given=False)
    assert by_group(small + heavy, splits)["h"] == {"test"}
