"""How sure a model is of each field: token chances by field, calibrated, and where a person should look."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inhouse.core import Calibrator, Dataset, Example, Prediction, Provenance, Task, calibrated_parts
from inhouse.engine.answers import answer_form, as_prediction
from inhouse.engine.parts import field_confidences
from inhouse.engine.protocol import Generation
from inhouse.pipeline.evaluating.fields import fields_reviewed
from inhouse.scoring import judge

SCHEMA = {
    "type": "object",
    "properties": {"town": {"type": "string"}, "total": {"type": "number"}},
    "required": ["town", "total"],
}


def told(pieces, chances):
    """Fields of the object that some pieces of text make, each with a chance."""
    text = "".join(pieces)
    ids = list(range(len(pieces)))
    return field_confidences(text, ids, [math.log(c) for c in chances], lambda some: "".join(pieces[i] for i in some))


def test_a_field_has_the_chance_of_its_name_and_value():
    pieces = ['{"', "town", '":"', "De", "lft", '","', "total", '":', "9", "}"]
    found = told(pieces, [0.5, 1, 1, 0.8, 0.5, 0.9, 0.7, 1, 0.6, 0.5])
    # The quotes that end the town count for the town; what ends the number, for the number.
    assert found == pytest.approx({"town": 0.5 * 0.8 * 0.5 * 0.9, "total": 0.7 * 0.6 * 0.5})


def test_nested_fields_are_told_one_by_one_and_a_list_as_one():
    pieces = ['{"a":{"b":', "1", ',"c":', "null", '},"d":[', "1", ",", "2", "]", "}"]
    found = told(pieces, [1, 0.5, 1, 0.25, 1, 0.5, 0.5, 0.5, 1, 0.1])
    assert found == pytest.approx({"a.b": 0.5, "a.c": 0.25, "d": 0.125})
    assert told(['{"a":{}}'], [0.5]) == {}


@given(
    st.dictionaries(st.text(min_size=1), st.recursive(st.none() | st.booleans() | st.text() | st.integers(), st.lists)),
    st.integers(1, 7),
)
def test_every_field_is_told_however_the_text_is_cut(value, width):
    text = json.dumps(value, ensure_ascii=False)
    found = told([text[i : i + width] for i in range(0, len(text), width)], [0.9] * -(-len(text) // width))
    assert set(found) == set(value)
    assert all(0 < sure <= 1 for sure in found.values())


def test_half_a_character_counts_for_the_field_that_it_is_in():
    data = '{"a":"é","b":1}'.encode()
    ids = list(range(len(data)))

    def decode(some):
        return bytes(data[i] for i in some).decode("utf-8", "replace")

    chances = [1.0] * len(data)
    chances[data.index(b"\xc3")] = 0.5
    assert field_confidences(decode(ids), ids, [math.log(c) for c in chances], decode) == {"a": 0.5, "b": 1.0}


def test_an_object_tells_its_fields_and_a_label_does_not():
    text = '{"town":"Delft","total":9}'
    given = Generation(list(range(len(text))), -1.0, True, (0.0,) * len(text))
    form = answer_form("extract", json_schema=SCHEMA, answer_tokens=99)
    answer = as_prediction(given, 7, form, lambda some: text[: len(some)])
    assert answer.parts == {"town": 1.0, "total": 1.0}
    assert as_prediction(given, 7, answer_form("classify", labels=[text]), lambda some: text[: len(some)]).parts == {}


def test_fields_without_a_calibrator_of_their_own_share_one():
    shared = Calibrator(method="logistic", slope=1.0, offset=-1.0)
    found = calibrated_parts({"a": 0.5, "b": 0.5}, {"a": Calibrator(), "": shared})
    assert found["a"] == 0.5
    assert found["b"] == pytest.approx(1 / (1 + math.e))
    assert calibrated_parts({"a": 0.5}, {}) == {"a": 0.5}


def test_calibration_and_whether_the_least_sure_field_is_the_wrong_one():
    """The town is always right and always half sure; the total is right as often as its confidence says."""
    rng = np.random.default_rng(0)
    task = Task.model_validate({"name": "t", "kind": "extract", "json_schema": SCHEMA})
    examples, answers = [], []
    for n in range(800):
        sure = float(rng.uniform(0.1, 0.95))
        right = rng.uniform() < sure
        examples.append(Example({"text": f"{n}"}, f'{{"town":"Delft","total":{n}}}', "", Provenance("f", n)))
        target = f'{{"town":"Delft","total":{n if right else n + 1}}}'
        answers.append(Prediction(target=target, parts={"town": 0.5, "total": sure}))
    dataset = Dataset("t", 1, tuple(examples), ("validation",) * 400 + ("test",) * 400)
    judged = [judge(task, examples[s], [a.target for a in answers[s]]) for s in (slice(0, 400), slice(400, 800))]
    one = SimpleNamespace(name="fine-tuned", validation=answers[:400], test=answers[400:])
    found = fields_reviewed(dataset, one, *judged)
    assert set(found.calibrators) == {"", "total"}, "the town is never wrong: it shares the calibrator"
    rows = {row.field: row for row in found.review.fields}
    assert rows["total"].ece.value < 0.08
    assert rows["town"].ece_before == pytest.approx(0.5)
    assert rows["town"].ece.value < 0.5
    assert found.review.pointed is not None
    assert found.review.pointed.n == sum(j == 0 for j in judged[1].scores["field:total"])
    assert found.review.pointed.value > found.review.by_chance == 0.5


def test_nothing_is_said_of_a_contender_that_tells_no_fields():
    example = Example({"text": "1"}, '{"town":"a","total":1}', "", Provenance("f", 1))
    task = Task.model_validate({"name": "t", "kind": "extract", "json_schema": SCHEMA})
    dataset = Dataset("t", 1, (example, example), ("validation", "test"))
    one = SimpleNamespace(name="x", validation=[Prediction(target=None)], test=[Prediction(target=None)])
    judged = judge(task, [example], [None])
    assert fields_reviewed(dataset, one, judged, judged).review is None
