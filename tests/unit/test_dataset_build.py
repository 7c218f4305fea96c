"""Dataset versions: the test is never edited, nothing learns from its twins, and what is too little is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inhouse.core import Example, Finding, Masked, Provenance, input_key
from inhouse.dataset import apply_findings, build_dataset, check_learnable, next_version, without_leaks
from inhouse.dataset import test_was_given as was_test_given
from inhouse.errors import RareLabels, Refused, TooFewExamples, UsageError


def example(text, target, line=1, file="train.csv", group=""):
    inputs = {"text": text}
    return Example(inputs, target, group or input_key(inputs), Provenance(file, line, f"sha of {file}"))


def many(count, file="train.csv", start=0):
    return [example(f"message {i}", "ab"[i % 2], i + 2, file) for i in range(start, start + count)]


def build(train, test=None, previous=None, drop_rare=False, kind="classify"):
    number = previous.number + 1 if previous else 1
    return build_dataset("task", number, train, test, kind=kind, previous=previous, drop_rare=drop_rare, reason="added")


def splits(dataset):
    return {(e.id, str(e.provenance)): s for e, s in zip(dataset.examples, dataset.splits, strict=True)}


def test_one_file_is_split():
    built = build(many(40))
    assert built.dataset.counts() == {"train": 28, "validation": 4, "test": 8}
    assert (built.dropped, built.warnings) == ([], [])
    assert (built.dataset.number, built.dataset.parent, built.dataset.reason) == (1, None, "added")
    assert list(built.dataset.examples) == many(40)


def test_a_given_test_is_kept_whole_and_in_order_and_nothing_learns_from_its_twins():
    test = [
        example("  MESSAGE   3", "b", 2, "test.csv"),
        example("new", "a", 3, "test.csv"),
        example("new", "a", 4, "test.csv"),
    ]
    built = build(many(30), test)
    assert built.dataset.of("test") == test
    assert list(built.dataset.examples) == [*many(30), *test]
    assert built.dropped == []
    [(leak, why)] = built.leaks
    assert leak.provenance.line == 5
    assert why == "train.csv:5 has the same input as the test example test.csv:2"
    apart, leaks = without_leaks(built.dataset)
    assert leaks == built.leaks
    assert len(apart.learned) == 29
    assert leak not in apart.examples
    assert apart.of("test") == test
    assert (apart.number, apart.fingerprint) == (built.dataset.number, built.dataset.fingerprint)


def test_nothing_learns_from_members_of_a_test_group():
    test = [example("x", "a", 2, "test.csv", group="doc 1"), example("y", "b", 3, "test.csv", group="doc 2")]
    built = build([*many(20), example("z", "a", 99, group="doc 1")], test)
    assert [(e.provenance.line, "group 'doc 1'" in why) for e, why in built.leaks] == [(99, True)]
    assert len(built.dataset.examples) == 23


def test_the_same_input_in_two_groups_does_not_stand_on_both_sides():
    rows = [example(f"same {i // 2}", "ab"[i // 2 % 2], i, group=f"doc {i}") for i in range(60)]
    built = build(rows)
    apart, leaks = without_leaks(built.dataset)
    assert not {e.input_key for e in apart.of("test")} & {e.input_key for e in apart.learned}
    assert leaks == built.leaks != []
    assert len(apart.examples) + len(leaks) == len(built.dataset.examples) == 60


def test_more_data_changes_no_split_and_the_file_again_adds_nothing():
    first = build(many(40)).dataset
    second = build([*many(40), *many(20, "more.csv", 40)], previous=first)
    assert second.dataset.number == 2
    assert second.dataset.parent == 1
    assert splits(first).items() <= splits(second.dataset).items()
    assert len(second.dataset.examples) == 60
    assert any("40" in w for w in second.warnings)
    third = build(many(20, "more.csv", 40), previous=second.dataset)
    assert third.dataset.fingerprint == second.dataset.fingerprint


def test_exact_duplicates_within_a_file_stay_for_clean_to_find():
    built = build([*many(20), example("message 0", "a", 50), example("message 0", "a", 51)])
    assert len(built.dataset.examples) == 22


def test_after_a_given_test_no_later_file_joins_the_test():
    first = build(many(40), many(6, "test.csv", 100)).dataset
    second = build(many(200, "more.csv", 200), previous=first).dataset
    assert second.of("test") == first.of("test")


def test_a_twin_of_an_older_test_example_joins_neither_the_test_nor_what_is_learned():
    first = build(many(40)).dataset
    twin = first.of("test")[0]
    second = build([example(twin.inputs["text"].upper(), "b", 7, "more.csv")], previous=first)
    assert second.dataset.of("test") == first.of("test")
    assert [e.provenance.file for e, _ in second.leaks] == ["more.csv"]
    assert without_leaks(second.dataset)[0].examples == first.examples


_ROWS = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from("ab"), st.sampled_from(["", "", "g1", "g2"])), max_size=25
)


@given(_ROWS, _ROWS, st.booleans())
def test_what_leaks_is_what_a_look_at_the_whole_version_finds(first, second, as_test):
    def rows(drawn, file):
        return [example(f"message {n}", label, i + 2, file, group) for i, (n, label, group) in enumerate(drawn)]

    built = build([*many(60, start=40), *rows(first, "first.csv")])
    assert built.leaks == without_leaks(built.dataset)[1]
    new = rows(second, "second.csv")
    again = build([], new, built.dataset) if as_test and new else build(new, previous=built.dataset)
    assert again.leaks == without_leaks(again.dataset)[1]


def test_a_test_file_given_later_takes_its_twins_off_the_train_side():
    first = build(many(40)).dataset
    twin = first.of("train")[0]
    second = build([], [example(twin.inputs["text"], "a", 2, "test.csv")], previous=first)
    assert [e for e, _ in second.leaks] == [twin]
    assert second.dataset.of("test")[:8] == first.of("test")
    assert len(second.dataset.of("test")) == 9


def test_five_examples():
    with pytest.raises(TooFewExamples, match="5 different examples; 10 are the least") as caught:
        build(many(5))
    assert caught.value.exit_code == 3


def test_copies_are_no_examples():
    with pytest.raises(TooFewExamples, match="4 different"):
        build(many(4) * 5)


def test_one_class_only():
    with pytest.raises(TooFewExamples, match="all 12 examples have the label 'a'"):
        build([example(f"m {i}", "a", i) for i in range(12)])


def test_a_label_that_appears_once():
    rows = [*many(20), example("odd", "rare", 33), example("odder", "rarer", 34)]
    with pytest.raises(TooFewExamples) as caught:
        build(rows)
    assert caught.value.place == "train.csv:33"
    assert "'rare' appears once" in caught.value.what
    assert "'rarer' (train.csv:34)" in caught.value.what
    assert "--drop-rare" in caught.value.remedy
    built = build(rows, drop_rare=True)
    assert [(e.target, "set aside" in why) for e, why in built.dropped] == [("rare", True), ("rarer", True)]
    assert len(built.dataset.examples) == 20


@pytest.mark.parametrize(("odd", "near"), [("A ", "'a' (10 examples)"), ("z", None)])
def test_a_label_that_appears_once_is_told_with_the_one_that_is_meant(odd, near):
    with pytest.raises(RareLabels) as caught:
        build([*many(20), example("odd", odd, 33)])
    assert (f"write {near} in place of {odd!r}" in caught.value.remedy) == (near is not None)
    assert ("write" in caught.value.remedy) == (near is not None)


def test_a_label_that_appears_once_beside_a_test_file_is_learned():
    rows = [*many(20), example("odd", "rare", 33)]
    test = [example("x", "rare", 2, "test.csv"), example("y", "a", 3, "test.csv"), example("z", "b", 4, "test.csv")]
    built = build(rows, test)
    assert "rare" in {e.target for e in built.dataset.of("train")}
    assert built.warnings == ["the label 'rare' is learned from a single example: more of it would be learned better"]
    assert was_test_given(built.dataset)
    assert [e.target for e, _ in build(rows, test, drop_rare=True).dropped] == ["rare"]


def test_a_test_equal_to_the_training_file_says_why_nothing_is_left():
    with pytest.raises(TooFewExamples, match=r"0 different examples.*in the test too, and are not learned from: 20"):
        build(many(20), many(20, "test.csv"))


def test_nothing_left_to_validate_with():
    rows = [example(f"m {i}", f"label {i // 2}", i) for i in range(12)]
    with pytest.raises(TooFewExamples, match="no example is left for validation"):
        build(rows)


def test_labels_of_one_side_are_told():
    test = [example("x", "only here", 2, "test.csv"), example("y", "a", 3, "test.csv")]
    warnings = build(many(20), test).warnings
    assert "'only here' is only in the test examples (1 of 2): these can never be answered right" in warnings[0]
    assert "'b' is not in the test examples" in warnings[1]


def test_check_learnable_takes_what_is_enough():
    check_learnable(many(10), kind="classify", test_given=False)


# --- tasks without labels


def texts(count, target="the answer to {i}"):
    return [example(f"message {i}", target.format(i=i), i + 2) for i in range(count)]


@pytest.mark.parametrize("kind", ["extract", "generate"])
def test_targets_that_all_differ_are_split_by_group_and_nothing_is_told_of_labels(kind):
    target = '{{"n":{i}}}' if kind == "extract" else "the answer to {i}"
    built = build(texts(40, target), kind=kind, drop_rare=True)
    assert built.dataset.counts() == {"train": 28, "validation": 4, "test": 8}
    assert (built.dropped, built.warnings) == ([], [])
    given = build(texts(40, target), [example("new", target.format(i=99), 2, "test.csv")], kind=kind)
    assert (given.dropped, given.warnings) == ([], [])


def test_several_good_answers_to_one_input_stay_in_one_split():
    rows = [example(f"message {i // 3}", f"answer {i}", i) for i in range(60)]
    built = build(rows, kind="generate")
    assert len(built.dataset.examples) == 60
    by_input = {}
    for e, split in zip(built.dataset.examples, built.dataset.splits, strict=True):
        by_input.setdefault(e.input_key, set()).add(split)
    assert all(len(found) == 1 for found in by_input.values())


def test_one_answer_to_everything_teaches_nothing():
    with pytest.raises(TooFewExamples, match="all 12 examples have the same answer, 'yes'"):
        build(texts(12, "yes"), kind="generate")
    same = [example(f"m {i}", '{"a":1,"b":2.0}' if i % 2 else '{"b":2,"a":1}', i) for i in range(12)]
    with pytest.raises(TooFewExamples, match="the same answer"):
        build(same, kind="extract")
    with pytest.raises(TooFewExamples, match="9 different examples; 10 are the least"):
        build(texts(9), kind="generate")


def test_a_correction_of_an_object_counts_by_its_values():
    dataset = build(texts(40, '{{"a":{i},"b":2}}'), kind="extract").dataset
    old = dataset.of("train")[0]
    number = old.target[5 : old.target.index(",")]
    same = correction(old.inputs["text"], f'{{"b":2.0,"a":{number}}}')
    assert "says the same" in next_version(dataset, [same], 2, "none", kind="extract").dropped[0][1]
    other = correction(old.inputs["text"], f'{{"b":3,"a":{number}}}')
    assert next_version(dataset, [other], 2, "one", kind="extract").dropped[0][0] == old


# --- revisions


def finding(*drop, **edits):
    return Finding(
        id="f", check="c", severity="warning", examples=(), reason="r", action="a", **{"drop": drop, **edits}
    )


def test_findings_drop_rows_and_nothing_else():
    dataset = build(many(40)).dataset
    position = dataset.splits.index("train")
    newer = apply_findings(dataset, [finding(position), finding(position)], 2, "cleaned")
    assert len(newer.examples) == 39
    assert splits(newer).items() <= splits(dataset).items()
    assert (newer.number, newer.parent, newer.reason) == (2, 1, "cleaned")
    assert len(dataset.examples) == 40


def test_findings_never_drop_or_relabel_a_test_example():
    dataset = build(many(40)).dataset
    tested = dataset.splits.index("test")
    for edit in ({"drop": (tested,)}, {"relabel": {tested: "b"}}):
        with pytest.raises(Refused, match="test example"):
            apply_findings(dataset, [finding(**edit)], 2, "cleaned")
    with pytest.raises(UsageError):
        apply_findings(dataset, [finding(40)], 2, "cleaned")


def test_findings_relabel_and_mask_and_everything_keeps_its_split_and_group():
    dataset = build(many(40)).dataset
    place, tested = dataset.splits.index("train"), dataset.splits.index("test")
    name = Masked(field="text", start=0, end=7, text="[name]")
    first = finding(relabel={place: "c"}, mask={place: (name,), tested: (name,)})
    inner = Masked(field="text", start=3, end=7, text="[x]")
    newer = apply_findings(dataset, [first, finding(mask={place: (inner,)})], 2, "cleaned")
    old, new = dataset.examples[place], newer.examples[place]
    assert (new.inputs["text"], new.target) == (old.inputs["text"].replace("message", "[name]"), "c")
    assert newer.examples[tested].inputs["text"].startswith("[name] ")
    assert newer.examples[tested].target == dataset.examples[tested].target
    assert newer.splits == dataset.splits
    assert [e.group for e in newer.examples] == [e.group for e in dataset.examples]
    assert new.id != old.id
    assert newer.fingerprint != dataset.fingerprint
    with pytest.raises(Refused, match="would be both 'c' and 'd'"):
        apply_findings(dataset, [first, finding(relabel={place: "d"})], 2, "cleaned")


def correction(text, target, number=1):
    inputs = {"text": text}
    return Example(inputs, target, input_key(inputs), Provenance(f"corrections/{number}", 1))


def test_corrections_join_the_train_side_only():
    dataset = build(many(40)).dataset
    new = [correction(f"corrected {i}", "ab"[i % 2], i) for i in range(30)]
    built = next_version(dataset, new, 2, "30 corrections", kind="classify")
    assert built.dataset.of("test") == dataset.of("test")
    assert len(built.dataset.examples) == 70
    assert splits(dataset).items() <= splits(built.dataset).items()
    assert built.dropped == []


def test_a_correction_replaces_what_it_corrects_and_keeps_its_split():
    dataset = build(many(40)).dataset
    wrong = dataset.of("validation")[0]
    right = correction(wrong.inputs["text"].upper(), "c")
    built = next_version(dataset, [right], 2, "1 correction", kind="classify")
    assert [e for e, why in built.dropped if "replaced" in why] == [wrong]
    assert [e.id for e in built.dataset.of("validation")].count(right.id) == 1
    assert len(built.dataset.examples) == 40
    again = next_version(built.dataset, [right], 3, "again", kind="classify")
    assert again.dataset.fingerprint == built.dataset.fingerprint
    assert "says the same" in again.dropped[0][1]


def test_a_correction_that_says_the_same_brings_the_wrong_answer_once():
    dataset = build(texts(40), kind="generate").dataset
    old = dataset.of("validation")[0]
    pair = replace(correction(old.inputs["text"], old.target), rejected="nonsense", id="")
    built = next_version(dataset, [pair], 2, "1 correction", kind="generate")
    ((dropped, why),) = built.dropped
    assert dropped == old
    assert "says the same, and what was answered wrongly" in why
    (new,) = [e for e in built.dataset.of("validation") if e.input_key == old.input_key]
    assert (new.target, new.rejected, new.group) == (old.target, "nonsense", old.group)
    other = replace(pair, rejected="other nonsense", id="")
    again = next_version(built.dataset, [other], 3, "again", kind="generate")
    assert again.dataset.fingerprint == built.dataset.fingerprint
    assert "says the same" in again.dropped[0][1]


def test_corrections_of_test_inputs_and_older_ones_are_dropped_and_listed():
    dataset = build(many(40)).dataset
    secret = correction(dataset.of("test")[0].inputs["text"], "a", 1)
    older, newer = correction("new one", "a", 2), correction("New  one", "b", 3)
    built = next_version(dataset, [secret, older, newer], 2, "3 corrections", kind="classify")
    assert [e for e, _ in built.dropped] == [older, secret]
    assert built.dataset.examples[-1] == newer
    assert built.dataset.of("test") == dataset.of("test")
