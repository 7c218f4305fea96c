"""Label Studio and Argilla: records go out and come back as the same records."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from conftest import write_csv
from hypothesis import given
from hypothesis import strategies as st

from inhouse import pipeline
from inhouse.sources.label_tools import Exchanged, Form, read_project, write_project
from inhouse.store import Workspace, pool, records

SCHEMA = {"type": "object", "properties": {"name": {"type": ["string", "null"]}, "n": {"type": ["integer", "string"]}}}
LABELS = ("card", "pin")
# A NUL is no text in any file that is read.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("INHOUSE_MODELS_DIR", str(tmp_path / "none"))
    made = Workspace(tmp_path / "work")
    rows = [{"text": f"message {i} of the {LABELS[i % 2]}", "label": LABELS[i % 2]} for i in range(20)]
    pipeline.add(made, "tickets", [write_csv(tmp_path / "a.csv", rows)], kind="classify", target="label")
    bare = write_csv(tmp_path / "b.csv", [{"text": "my card is lost"}, {"text": "a new pin"}])
    pipeline.add(made, "tickets", [bare], unlabelled=True)
    yield made
    made.close()


@pytest.mark.parametrize("tool", ["labelstudio", "argilla"])
def test_what_goes_out_and_comes_back_unchanged_changes_nothing(workspace, tmp_path, tool):
    file = tmp_path / "project.json"
    out = pipeline.to_tool(workspace, "tickets", file, tool=tool)
    assert out.records == out.labelled + 2
    back = pipeline.from_tool(workspace, "tickets", file, tool=tool)
    # Argilla takes no answer without a user of its server: what is known goes out as a suggestion there.
    said = out.labelled if tool == "labelstudio" else 0
    assert (back.dataset, back.labelled, len(pool.everything(workspace, "tickets"))) == (1, said, 2)


def test_argilla_reads_what_goes_out_and_corrects_the_same_record(workspace, tmp_path):
    file = tmp_path / "records.json"
    out = pipeline.to_tool(workspace, "tickets", file, tool="argilla")
    written = json.loads(file.read_text())
    for one in written:  # what `Record.from_dict` of Argilla 2 takes with plain settings
        assert set(one) == {"id", "fields", "metadata", "suggestions", "responses", "vectors", "_server_id"}
        assert (one["metadata"], one["responses"], one["_server_id"]) == ({}, {}, None)
        assert set(one["suggestions"]["label"]) == {"value", "score", "agent"}
    known = [one for one in written if one["suggestions"]["label"]["agent"] == "data"]
    assert len(known) == out.labelled
    before = known[0]["suggestions"]["label"]["value"]
    other = "card" if before == "pin" else "pin"
    # As `Record.to_dict` writes what people answered: user ids as text, no status; a list of several labels.
    known[0]["responses"] = {"label": [{"value": other, "user_id": "00000000-0000-0000-0000-000000000001"}]}
    known[1]["responses"] = {"label": [{"value": ["pin", "card"], "user_id": "None"}]}
    file.write_text(json.dumps(written))
    done = pipeline.from_tool(workspace, "tickets", file, tool="argilla")
    assert (done.dataset, done.labelled) == (2, 1)
    changed = {e.inputs["text"]: e.target for e in records.load_dataset(workspace, "tickets").examples}
    assert changed[known[0]["fields"]["text"]] == other
    assert changed[known[1]["fields"]["text"]] == known[1]["suggestions"]["label"]["value"]


def test_label_studio_labels_and_corrects_the_same_records(workspace, tmp_path):
    file = tmp_path / "project.json"
    pipeline.to_tool(workspace, "tickets", file, tool="labelstudio")
    config = ElementTree.parse(tmp_path / "project.xml").getroot()
    assert [one.get("value") for one in config.iter("Choice")] == ["card", "pin"]
    tasks = json.loads(file.read_text())
    assert tasks[0]["predictions"][0]["result"][0]["type"] == "choices"
    lost = next(one for one in tasks if one["data"]["text"] == "my card is lost")
    other = next(one for one in tasks if one["data"]["text"] == "a new pin")
    learned = next(one for one in tasks if one["annotations"])

    def said(label, who, **more):
        value = {"choices": [label]}
        result = [{"id": "x", "from_name": "label", "to_name": "text", "type": "choices", "value": value}]
        return {"id": 1, "completed_by": who, "result": result, "was_cancelled": False, **more}

    lost["annotations"] = [said("card", 7), said("pin", 8, was_cancelled=True)]
    other["annotations"] = [said("pin", 7), said("card", {"id": 8, "email": "b@c.d"})]
    before = learned["annotations"][0]["result"][0]["value"]["choices"][0]
    learned["annotations"] = [said("card" if before == "pin" else "pin", 7)]
    file.write_text(json.dumps(tasks))
    done = pipeline.from_tool(workspace, "tickets", file, tool="labelstudio")
    assert done.dataset == 2
    (told,) = done.disagreements
    assert "7: pin; b@c.d: card" in told
    examples = records.load_dataset(workspace, "tickets").examples
    assert len(examples) == 21
    assert {str(e.provenance): e.target for e in examples}["b.csv:2"] == "card"
    changed = next(e for e in examples if e.inputs["text"] == learned["data"]["text"])
    assert changed.target != before


def test_an_argilla_record_of_elsewhere_joins_with_its_response(workspace, tmp_path):
    file = tmp_path / "records.json"
    response = {"value": "pin", "user_id": "3f1c"}
    record = {"id": "1", "fields": {"text": "pin forgotten"}, "metadata": {}, "suggestions": {}, "vectors": {}}
    file.write_text(json.dumps([{**record, "responses": {"label": [response]}, "_server_id": None}]))
    assert pipeline.from_tool(workspace, "tickets", file, tool="argilla").dataset == 2
    assert {str(e.provenance) for e in records.load_dataset(workspace, "tickets").learned} >= {"records.json:1"}


def test_marked_stretches_are_fields(tmp_path):
    file = tmp_path / "x.json"
    value = {"start": 0, "end": 4, "labels": ["name"]}
    result = {"from_name": "label", "to_name": "text", "type": "labels", "value": value}
    file.write_text(json.dumps([{"data": {"text": "Anna came"}, "annotations": [{"result": [result]}]}]))
    (read,) = read_project(file, Form("extract", ["text"], schema=SCHEMA), "labelstudio")
    assert read.answers == (("", '{"name":"Anna"}'),)


@given(
    name=st.none() | TEXTS, n=st.integers() | TEXTS | st.sampled_from(["7", "null", '"x"', "[1]"]),
    tool=st.sampled_from(["labelstudio", "argilla"]),
)  # fmt: skip
def test_objects_come_back_as_they_were(tmp_path_factory, name, n, tool):
    target = json.dumps({"name": name, "n": n}, ensure_ascii=False, separators=(",", ":"))
    form = Form("extract", ["text"], schema=SCHEMA)
    file = tmp_path_factory.mktemp("x") / "x.json"
    (written,) = json.loads(write_project([Exchanged("i", {"text": "t"}, (("", target),))], form, tool))
    for question, one in written.get("suggestions", {}).items():  # as a person submits it who agrees
        written["responses"][question] = [{"value": one["value"], "user_id": "7"}]
    file.write_text(json.dumps([written]), "utf-8")
    assert read_project(file, form, tool)[0].answers[0][1] == target


def test_a_cli_error_names_what_is_wrong(workspace, tmp_path, cli):
    (tmp_path / "min.json").write_text('[{"text": "x", "label": "card"}]')
    failed = cli(workspace.paths.root, "add", "tickets", "--from-labelstudio", tmp_path / "min.json")
    assert failed.code == 3
    assert "JSON-MIN" in failed.err


# Records that are none of the tools' in one place each, with what is told of it.
RESULT = {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": ["card"]}}
MALFORMED = [
    ("argilla", {"responses": [{"user_id": "x", "values": {"label": {"value": "card"}}}]}, "'responses' is [{"),
    ("argilla", {"responses": {"label": {"value": "card"}}}, "'responses.label' is {"),
    ("argilla", {"responses": {"label": [{"value": [{"label": "card", "start": 0}]}]}}, "not a list of texts"),
    ("labelstudio", {"annotations": [7]}, "'annotations' is [7], not a list of objects"),
    ("labelstudio", {"annotations": {"result": []}}, "'annotations' is {"),
    ("labelstudio", {"annotations": [{"result": {"type": "choices"}}]}, "'result' is {"),
    ("labelstudio", {"annotations": [{"result": [{**RESULT, "value": None}]}]}, "'value' is null, not an object"),
    ("labelstudio", {"annotations": [{"result": [{**RESULT, "value": {"choices": 7}}]}]}, "is 7, not a list of texts"),
    ("labelstudio", {"annotations": [{"result": [{"type": "labels", "value": {"labels": ["x"]}}]}]}, "'start'"),
    ("labelstudio", {"annotations": [{"result": [{"type": "textarea", "value": {"text": [7]}}]}]}, "'text' is [7]"),
]  # fmt: skip


@pytest.mark.parametrize(("tool", "answered", "told"), MALFORMED)
def test_what_is_malformed_in_a_record_is_told_with_its_place_and_the_rest_goes_on(
    workspace, tmp_path, cli, tool, answered, told
):
    part = "data" if tool == "labelstudio" else "fields"
    good = {"annotations": [{"result": [RESULT]}], "responses": {"label": [{"value": "card", "user_id": "7"}]}}
    file = tmp_path / "project.json"
    file.write_text(json.dumps([{part: {"text": "bad one"}, **answered}, {part: {"text": "good one"}, **good}]))
    done = cli(workspace.paths.root, "add", "tickets", f"--from-{tool}", file, "--json")
    assert done.code == 0
    assert (done.json["records"], done.json["labelled"]) == (2, 1)
    assert "project.json:1: " in done.err
    assert told in done.err
    assert {e.inputs["text"] for e in records.load_dataset(workspace, "tickets").examples} >= {"good one"}
    assert [one.inputs["text"] for one in pool.unlabelled(workspace, "tickets") if "one" in one.inputs["text"]] == [
        "bad one"
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [("[" * 100_000, "nested too deeply"), ('[{"data": {"text": NaN}}]', "NaN is not JSON"), ("[7]", "no labelstudio")],
)
def test_a_file_that_is_no_project_is_refused(workspace, tmp_path, cli, text, told):
    file = tmp_path / "project.json"
    file.write_text(text)
    failed = cli(workspace.paths.root, "add", "tickets", "--from-labelstudio", file)
    assert failed.code == 3
    assert told in failed.err


LEAVES = st.none() | st.booleans() | st.integers() | st.sampled_from(["", "card", "x"])
SHAPES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["value", "choices", "text", "labels", "start", "end", "type", "result", "status"]),
            inner | st.sampled_from(["choices", "textarea", "labels"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    inputs=st.dictionaries(st.sampled_from(["text", "inhouse_id"]), SHAPES),
    annotations=SHAPES, result=st.lists(SHAPES, max_size=3), responses=SHAPES,
    tool=st.sampled_from(["labelstudio", "argilla"]), kind=st.sampled_from(["classify", "extract", "generate"]),
)  # fmt: skip
def test_records_of_any_shape_are_read_or_told(tmp_path_factory, inputs, annotations, result, responses, tool, kind):
    record = {"data": inputs, "fields": inputs, "responses": responses, "annotations": [{"result": result}]}
    file = tmp_path_factory.mktemp("x") / "x.json"
    file.write_text(json.dumps([record, {**record, "annotations": annotations}]))
    for one in read_project(file, Form(kind, ["text"], LABELS, SCHEMA), tool):
        assert not (one.fault and one.answers)
        assert all(isinstance(text, str) for pair in one.answers for text in pair)
