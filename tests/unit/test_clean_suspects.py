"""Targets that are wrong by what stands in their example, or unlike all others, are found; right ones are left alone."""

from __future__ import annotations

import csv
import json
import random
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import inhouse
from inhouse.clean import Subject, find_in
from inhouse.clean.suspects.cross_validation import folds_of
from inhouse.clean.suspects.left_out import chances_left_out, softmax
from inhouse.clean.suspects.texts import suspicion
from inhouse.clean.targets import broken_target, suspect_target
from inhouse.core import Dataset, Example, Outline, Provenance, input_key
from inhouse.dataset import apply_findings
from inhouse.dataset.outline import infer_outline
from inhouse.engine.encoder import SentenceEncoder
from inhouse.scoring.attributes import attributes_of
from inhouse.scoring.formats import check_digits_of, form_of, shape_of
from inhouse.scoring.ocr import likeness

EXAMPLES = Path(__file__).parents[2] / "examples"
E2E = Path(__file__).parents[3] / "shared" / "data" / "e2e" / "devel.csv"


def dataset(rows, tests=()):
    """Rows of (text, target); the line is the position."""
    examples = [
        Example({"text": text}, target, input_key({"text": text}), Provenance("d.csv", line))
        for line, (text, target) in enumerate(rows)
    ]
    splits = tuple("test" if i in tests else "train" for i in range(len(rows)))
    return Dataset("task", 1, tuple(examples), splits)


def places(findings):
    return [int(f.evidence[0].place.rpartition(":")[2]) for f in findings]


# --- extract


def bills(n=40):
    """Texts of bills with their objects: lines, sum, tax, total."""
    dice = random.Random(0)
    rows = []
    for i in range(n):
        amounts = [round(dice.uniform(3, 400), 2) for _ in range(dice.randint(1, 3))]
        tax = round(sum(amounts) * 0.2, 2)
        total = round(sum(amounts) + tax, 2)
        day = f"2025-{i % 12 + 1:02}-{i % 27 + 1:02}"
        lines = "\n".join(f"item {k}  {a:.2f}" for k, a in enumerate(amounts))
        text = f"Shop Number {i}\nno. R-{1000 + i}\n{day}\n{lines}\ntax {tax:.2f}\ntotal {total:.2f}"
        items = [{"name": f"item {k}", "amount": a} for k, a in enumerate(amounts)]
        rows.append([text, {"no": f"R-{1000 + i}", "date": day, "items": items, "tax": tax, "total": total}])
    return rows


def found_in(rows, check=broken_target, tests=(), **rest):
    data = dataset([(text, json.dumps(target)) for text, target in rows], tests)
    return list(check(Subject(data, "extract", **rest)))


def test_right_objects_are_left_alone():
    assert found_in(bills()) == []
    assert found_in(bills(), suspect_target) == []
    assert found_in(bills(5)) == []


def test_a_wrong_total_gets_the_sum_that_the_input_has():
    rows = bills()
    right = rows[7][1]["total"]
    rows[7][1] = {**rows[7][1], "total": right + 1000}
    [one] = found_in(rows)
    assert places([one]) == [7]
    assert json.loads(one.relabel[7])["total"] == right
    assert "does not stand in the input" in one.reason
    assert f"makes {right:g}" in one.reason
    assert one.drop == ()
    assert not one.safe
    assert one.cost


def test_a_broken_target_of_the_test_is_told_and_not_edited():
    rows = bills()
    rows[3][1] = {**rows[3][1], "total": 1.23}
    [one] = found_in(rows, tests={3})
    assert not one.edits
    assert "never edited" in one.action


def test_a_code_with_one_other_digit_is_broken_where_all_others_stand_there():
    rows = bills()
    rows[11][1] = {**rows[11][1], "no": "R-1017"}
    rows[12][0] = rows[12][0].replace("R-1012", "R-I0I2")
    assert places(found_in(rows)) == [11]


@pytest.mark.parametrize(("field", "value"), [("no", "R-7777777"), ("date", "2024-02-02")])
def test_values_that_stand_elsewhere_are_broken(field, value):
    rows = bills()
    rows[11][1] = {**rows[11][1], field: value}
    [one] = found_in(rows)
    assert places([one]) == [11]
    assert one.drop == (11,)


def test_a_day_in_another_writing_and_a_slip_of_recognition_stand_there():
    rows = bills()
    rows[4] = [rows[4][0].replace(rows[4][1]["date"], "5 May 2025"), {**rows[4][1], "date": "2025-05-05"}]
    rows[5][0] = rows[5][0].replace("R-1005", "R-IO05")
    assert found_in(rows) == []


def test_an_object_against_the_schema_and_no_object_are_broken():
    rows = bills()
    schema = {"type": "object", "properties": {"no": {"type": "string"}}, "required": ["no"]}
    rows[2][1] = {k: v for k, v in rows[2][1].items() if k != "no"}
    data = dataset([*((text, json.dumps(target)) for text, target in rows), ("text", "none")])
    assert places(broken_target(Subject(data, "extract", schema=schema))) == [2, len(rows)]


def test_forms_shapes_and_lengths_unlike_the_others_are_suspect():
    rows = [
        (
            f"a day of {i} and code K{i:02}-A and a note",
            {"day": f"2025-01-{i % 28 + 1:02}", "code": f"K{i:02}-A", "note": "short one"},
        )
        for i in range(60)
    ]
    rows[7][1]["day"] = "7 January"
    rows[8][1]["code"] = "K-008/AA"
    rows[9][1]["note"] = "far longer than the others are " * 9
    found = found_in(rows, suspect_target)
    assert sorted(places(found)) == [7, 8, 9]
    assert all(f.check == "suspect_target" and f.drop for f in found)


def test_a_product_that_is_none_is_broken():
    rows = []
    for i in range(30):
        quantity, price = i % 7 + 2, i + 0.5
        line = {"quantity": quantity, "price": price, "amount": quantity * price}
        rows.append([f"{quantity} x {price} {quantity * price} 77", {"lines": [line]}])
    rows[5][1]["lines"][0]["amount"] = 77
    [one] = found_in(rows)
    assert places([one]) == [5]
    assert "quantity" in one.reason


def test_check_digits_are_looked_at_in_a_field_of_such_numbers():
    ibans = ["DE89370400440532013000", "GB82 WEST 1234 5698 7654 32", "NL91ABNA0417164300"] * 8
    rows = [(f"pay to {iban} now", {"iban": iban}) for iban in ibans]
    wrong = "DE89370400440532013001"
    rows[6] = (f"pay to {wrong} now", {"iban": wrong})
    [one] = found_in(rows)
    assert places([one]) == [6]
    assert "check digits" in one.reason
    assert check_digits_of(["A1", "B2"] * 20) == ""


@pytest.mark.parametrize(
    ("value", "form"),
    [("2025-01-31", "day (ISO)"), ("31.1.2025", "day"), ("12.50 EUR", "amount"), ("0042", "digits"), ("R-17", "code"),
     ("a@b.example", "mail address"), ("two words", "words"), (None, "none"), (1.5, "number"), (True, "yes or no")],
)  # fmt: skip
def test_forms(value, form):
    assert form_of(value) == form


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_what_stands_there_is_wholly_alike(before, value, after):
    assert 0.0 <= likeness(value, after) <= 1.0
    assert likeness(value, f"{before} {value} {after}") == 1.0


def test_likeness_sets_slips_of_recognition_aside_and_nothing_else():
    assert likeness("BOOK TALK SDN BHD", "B0OK TA1K SDN 8HD") == 1.0
    assert likeness("12 Long Street, Old Town, 81100", "12 Long Street\nTel 5\nOld Town 81100") == 1.0
    assert likeness("Thistleton Group", "Kirkstall & Tidewell, Harrowmere") < 0.75
    assert likeness("AB", "CABLE") == 0.0
    assert shape_of("Xy12-3") == "Aa99-9"


# --- generate


def letters(n=60):
    dice = random.Random(1)
    names = ["Meyer", "Jansen", "Dupont", "Rossi", "Novak", "Silva"]
    rows = []
    for i in range(n):
        name, number, days = dice.choice(names), 4000 + i, dice.randint(2, 30)
        text = f"customer {name} asks about order {number}, it takes {days} days"
        target = (
            f"Dear customer {name},\nSubject\n- Your order {number} takes {days} days to be with you.\nWhat is next\n"
            "- We will write to you once it has left our house.\nKind regards"
        )
        rows.append((text, target))
    return rows


def test_sections_and_facts():
    rows = letters()
    whole = list(broken_target(Subject(dataset(rows), "generate")))
    assert whole == []
    rows[3] = (rows[3][0], rows[3][1].replace("What is next\n", ""))
    lines = rows[5][1].split("\n")
    rows[5] = (rows[5][0], "\n".join([lines[0], *lines[3:5], *lines[1:3], lines[5]]))
    rows[9] = (rows[9][0], rows[9][1].replace("4009", "9876"))
    found = list(broken_target(Subject(dataset(rows, tests={5}), "generate")))
    assert sorted(places(found)) == [3, 5, 9]
    by_place = dict(zip(places(found), found, strict=True))
    assert "What is next" in by_place[3].reason
    assert "another order" in by_place[5].reason
    assert not by_place[5].edits
    assert "9876" in by_place[9].reason


def with_numbers(share, n=40):
    """Letters, of which a share says a number that the text before it does not."""
    rows = letters(n)
    return [(text, f"{target}\n{i + 70_000}" if i < share * n else f"{target}\nour house") for i, (text, target) in enumerate(rows)]  # fmt: skip


@pytest.mark.parametrize(("share", "broken", "suspect"), [(0.05, 2, 0), (0.15, 0, 6), (0.3, 0, 0), (0.975, 0, 0)])
def test_facts_that_the_input_lacks_are_told_one_by_one_only_where_that_is_rare(share, broken, suspect):
    subject = Subject(dataset(with_numbers(share)), "generate")

    def said(found):
        return [f for f in found if "not in the input" in f.evidence[0].note or "which the input does not" in f.reason]

    found = said(suspect_target(subject))
    assert len(said(broken_target(subject))) == broken
    assert len([f for f in found if f.severity != "info"]) == suspect
    often = [f for f in found if f.severity == "info"]
    assert [f.count for f in often] == ([] if broken or suspect else [round(share * 40)])
    assert not any(f.edits for f in often)


def test_sections_are_told_that_the_outline_goes_without():
    rows = letters(200)
    for place in range(1, 200, 50):
        rows[place] = (rows[place][0], rows[place][1].replace("What is next\n", ""))
    inferred = infer_outline([target for _, target in rows])
    assert "What is next" not in inferred.sections
    found = list(broken_target(Subject(dataset(rows), "generate", outline=inferred)))
    assert sorted(places(found)) == list(range(1, 200, 50))


def test_style_that_the_others_keep():
    rows = letters()
    changed = {
        4: ("Dear customer", "Hello you"),
        7: ("- We will write to you once it has left our house.", "- Wir schreiben Ihnen gerne wieder, sobald die Ware unser Haus verlassen hat und auf dem Weg zu Ihnen ist, Ihre Firma hier bei uns im Hause."),
        9: ("- ", "* "),
    }  # fmt: skip
    for place, (old, new) in changed.items():
        rows[place] = (rows[place][0], rows[place][1].replace(old, new))
    rows[12] = (rows[12][0], rows[12][1].replace("- We will", "- We will really " + "very " * 300))
    found = list(suspect_target(Subject(dataset(rows), "generate")))
    assert {4, 9, 12} <= set(places(found)) <= {4, 7, 9, 12}
    assert list(suspect_target(Subject(dataset(letters()), "generate"))) == []


def test_the_tasks_own_outline_is_kept_to():
    rows = letters()
    rows[2] = (rows[2][0], rows[2][1].replace("We will", "As an AI, we will"))
    found = list(suspect_target(Subject(dataset(rows), "generate", outline=Outline(forbidden=("as an ai",)))))
    assert places(found) == [2]


def test_an_outline_that_many_texts_break_is_told_once():
    rows = letters(40)
    for place in range(20):
        rows[place] = (rows[place][0], rows[place][1].replace("We will", "As an AI, we will"))
    [one] = suspect_target(Subject(dataset(rows), "generate", outline=Outline(forbidden=("as an ai",))))
    assert (one.severity, one.count, one.edits) == ("info", 20, False)
    assert "20 of 40" in one.reason


@pytest.mark.skipif(not E2E.is_file(), reason=f"{E2E} is not here")
def test_texts_that_do_not_match_their_attributes():
    from sklearn.metrics import average_precision_score

    with E2E.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    scores = np.array(suspicion(Subject(dataset([(row["orig_mr"], row["ref"]) for row in rows]), "generate")))
    wrong = np.array([row["fixed"] == "1" for row in rows])
    held = np.array([int(md5(row["orig_mr"].encode()).hexdigest(), 16) % 10**9 % 2 == 1 for row in rows])
    assert average_precision_score(wrong[held], scores[held]) >= 0.70  # 0.40 is chance


def test_attributes_of_inputs():
    assert attributes_of({"mr": "name[A b], near[Café Z]"}) == {"name": "A b", "near": "Café Z"}
    assert attributes_of({"t": "size: 3\ncolour: red"}) == {"size": "3", "colour": "red"}
    assert attributes_of({"t": '{"a": 1, "b": null}'}) == {"a": "1"}
    assert attributes_of({"a": "x ", "b": "y"}) == {"a": "x", "b": "y"}
    assert attributes_of({"t": "prose: of one line"}) == {}


# --- classify

TOPICS = {
    "card": ["my card was stolen", "the card is broken", "when does my new card arrive", "the card was swallowed"],
    "rate": ["which exchange rate do you use", "the exchange rate was wrong", "is the rate for euro fixed"],
    "login": ["I forgot my password", "the password is refused", "I cannot log in with my password"],
}
PLACES = [
    "in the shop",
    "since Monday",
    "please help",
    "while abroad",
    "at the airport",
    "on my phone",
    "today",
    "again",
]


def messages():
    return [
        (f"{text} {place} {k}", label)
        for label, texts in TOPICS.items()
        for text in texts
        for place in PLACES
        for k in "ab"
    ]


def flipped(seed=3, n=8):
    rows, dice = messages(), random.Random(seed)
    wrong = sorted(dice.sample(range(len(rows)), n))
    for i in wrong:
        rows[i] = (rows[i][0], dice.choice([label for label in TOPICS if label != rows[i][1]]))
    return rows, wrong


def test_flipped_labels_come_first_with_what_they_should_be():
    rows, wrong = flipped()
    found = list(suspect_target(Subject(dataset(rows), "classify")))
    assert len(set(places(found)[: len(wrong)]) & set(wrong)) >= 0.75 * len(wrong)
    assert [f.score for f in found] == sorted((f.score for f in found), reverse=True)
    for one in found:
        [place] = places([one])
        assert one.relabel in ({}, {place: messages()[place][1]}) or place not in wrong
        assert len(one.evidence) > 1
        assert "letter n-grams" in one.reason
        assert one.cost


def test_applying_what_is_safe_mends_more_than_it_breaks(encoder):
    rows, wrong = flipped()
    data = dataset(rows)
    found = list(suspect_target(Subject(data, "classify", embed=SentenceEncoder(encoder).embed)))
    safe = [f for f in found if f.safe]
    assert safe
    assert sum(place in wrong for place in places(safe)) >= 0.75 * len(safe)
    mended = apply_findings(data, safe, 2, "safe")
    assert sum(e.target == right for e, (_, right) in zip(mended.examples, messages(), strict=True)) > len(rows) - len(
        wrong
    )


def test_right_labels_and_few_examples_give_nothing_safe():
    assert not any(f.safe for f in suspect_target(Subject(dataset(messages()), "classify")))
    assert list(suspect_target(Subject(dataset(messages()[:20]), "classify"))) == []
    assert list(suspect_target(Subject(dataset([("same text", "a")] * 80), "classify"))) == []


def test_copies_of_a_suspect_example_are_told_apart():
    rows, wrong = flipped()
    rows.insert(wrong[0] + 1, rows[wrong[0]])
    found = list(suspect_target(Subject(dataset(rows), "classify")))
    assert {wrong[0], wrong[0] + 1} <= set(places(found))
    assert len({f.id for f in found}) == len(found)
    bad = bills()
    bad[3][1] = {**bad[3][1], "total": 1.23}
    assert len({f.id for f in found_in([*bad, bad[3]])}) == 2


def test_wrong_labels_of_the_test_are_told_and_not_edited():
    rows, wrong = flipped()
    found = list(suspect_target(Subject(dataset(rows, tests=set(wrong)), "classify")))
    in_test = [f for f, place in zip(found, places(found), strict=True) if place in wrong]
    assert in_test
    assert not any(f.edits or f.safe for f in in_test)


def test_examples_of_a_group_and_twins_share_a_fold():
    data = dataset([(f"text {i}", "a") for i in range(40)])
    twins = [
        Example({"text": "Text 1"}, "b", "group", Provenance("d.csv", 98)),
        Example({"text": "other"}, "b", "group", Provenance("d.csv", 99)),
    ]
    folds = folds_of([*data.examples, *twins], 5)
    assert folds[1] == folds[40] == folds[41]
    assert len(set(folds.tolist())) == 5


def test_one_solve_leaves_out_as_learning_again_does():
    draw = np.random.default_rng(0)
    rows, groups = draw.normal(size=(30, 6)), np.array([*range(20), *[20] * 4, *[21] * 6])
    given, likeness = draw.integers(0, 3, 30), rows @ rows.T
    known = np.arange(0, 28)
    found = chances_left_out(likeness, given, 3, known, groups, 0.1)
    weight = 0.1 * np.diag(likeness)[known].mean()
    wanted, answers = np.eye(3)[given], np.empty((30, 3))
    usual = wanted[known].mean(0)
    for i in range(30):
        others = known[groups[known] != groups[i]] if i in known else known
        inner = likeness[np.ix_(others, others)] + weight * np.eye(len(others))
        answers[i] = likeness[i, others] @ np.linalg.solve(inner, wanted[others] - usual) + usual
    sharpness = np.log(found[:, 0] / found[:, 1]) / (answers[:, 0] - answers[:, 1])
    np.testing.assert_allclose(sharpness, sharpness[0])
    np.testing.assert_allclose(found, softmax(sharpness[0] * answers))


def test_a_number_that_decides_and_a_field_without_letters_are_read():
    dice = random.Random(5)
    examples = []
    for i in range(240):
        amount = round(dice.uniform(20, 2000), 2)
        inputs = {"item": dice.choice(["new laptop", "oak desk", "steel ladder"]), "amount": str(amount), "mark": "-"}
        target = "asset" if amount > 450 else "small"
        wrong = i % 40 == 7 and not 300 < amount < 700
        examples.append((Example(inputs, {"asset": "small", "small": "asset"}[target] if wrong else target,
                                 str(i), Provenance("d.csv", i)), wrong))  # fmt: skip
    data = Dataset("task", 1, tuple(e for e, _ in examples), ("train",) * len(examples))
    planted = {i for i, (_, wrong) in enumerate(examples) if wrong}
    found = list(suspect_target(Subject(data, "classify")))
    assert set(places(found)[: len(planted)]) == planted
    assert "numbers" in found[0].reason


# --- the project's own examples


@pytest.mark.parametrize(
    ("name", "kind", "file", "inputs", "target", "faults"),
    [
        (
            "invoices",
            "extract",
            "invoices.jsonl",
            "document",
            "fields",
            {"wrong_total", "wrong_date", "wrong_number", "wrong_supplier", "missing_line"},
        ),
        (
            "cv",
            "generate",
            "cvs.jsonl",
            "cv",
            "summary",
            {"invented_employer", "invented_figure", "missing_section", "swapped_sections"},
        ),
    ],
)
def test_the_faults_planted_in_the_examples_are_found_and_nothing_else(
    tmp_path, environment, name, kind, file, inputs, target, faults
):
    key = json.loads((EXAMPLES / name / "planted_faults.json").read_text())["faults"]
    workspace = inhouse.open_workspace(tmp_path)
    inhouse.init(workspace, name, kind=kind)
    inhouse.add(workspace, name, [EXAMPLES / name / file], inputs=[inputs], target=target)
    found = [f for f in inhouse.clean(workspace, name).findings if f.check == "broken_target"]
    assert sorted(places(found)) == sorted(row for f in key if f["fault"] in faults for row in f["rows"])


def test_ids_are_the_same_at_another_look():
    rows = bills()
    rows[3][1] = {**rows[3][1], "total": 1.23}
    data = dataset([(text, json.dumps(target)) for text, target in rows])
    ids = [{f.id for f in find_in(Subject(data, "extract"))} for _ in range(2)]
    assert ids[0] == ids[1] != set()
