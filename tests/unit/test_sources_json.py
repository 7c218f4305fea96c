"""JSON as it comes: nested values stay exact, paths lead into them, and each row keeps its line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inhouse.core import input_key
from inhouse.errors import SourceError, UsageError
from inhouse.sources import Mapping, check_columns, infer_mapping, input_reader, read_source, to_examples

INVOICES = [
    {
        "id": f"R{i:03}",
        "text": f"Invoice {i} of Bolt {i % 4}, total {i}.50",
        "fields": {"company": f" Bolt {i % 4} ", "total": i + 0.5, "items": [{"name": "bolt", "qty": i}], "vat": None},
    }
    for i in range(12)
]


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def invoices(tmp_path, *more):
    return read_source(write_lines(tmp_path / "d.jsonl", [*INVOICES, *more]))


def extract(source, *targets, fields=("text",), group=""):
    mapping = infer_mapping(source, kind="extract", fields=fields, target=targets, group=group)
    examples, rejections = to_examples(source, mapping)
    return [json.loads(e.target) for e in examples], rejections


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1).filter(str.strip),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(VALUES)
def test_nested_values_are_compact_json_of_equal_value(tmp_path_factory, value):
    folder = tmp_path_factory.mktemp("json")
    source = read_source(write_lines(folder / "d.jsonl", [{"v": [value]}]))
    (folder / "d.json").write_text(json.dumps([{"v": [value]}], indent=1), encoding="utf-8")
    [record] = source.records
    assert record.values["v"] == json.dumps([value], ensure_ascii=False, separators=(",", ":"))
    assert source.nested == {"v"}
    assert read_source(folder / "d.json").records[0].values == record.values


def test_numbers_inside_stay_numbers_and_outside_stay_as_written(tmp_path):
    path = tmp_path / "d.jsonl"
    path.write_text('{"n": 1.50, "v": {"n": 1.50, "s": "1.50", "big": 12345678901234567890, "ok": true}}\n')
    [record] = read_source(path).records
    assert record.values["n"] == "1.50"
    assert record.values["v"] == '{"n":1.5,"s":"1.50","big":12345678901234567890,"ok":true}'


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ('{"a": NaN}', "NaN"),
        ('[{"a": 1, "a": 2}]', "twice"),
        ('{"": 1}', "empty"),
        ('["\\ud800"]', "surrogate"),
        ('{"\\u0000": 1}', "NUL"),
        ("[1e999]", "too large"),
        ("1e999", "too large"),
        ("[" + "1" * 5000 + "]", "5000 characters"),
        ("[" * 60 + "]" * 60, "nested too deeply"),
    ],
)
def test_what_is_no_json_inside_a_value_rejects_the_row(tmp_path, value, part):
    for name, text in {
        "d.jsonl": f'{{"a": 1}}\n{{"v": {value}}}\n',
        "d.json": f'[{{"a": 1}},\n{{"v": {value}}}]',
    }.items():
        (tmp_path / name).write_text(text)
        source = read_source(tmp_path / name)
        assert len(source.records) == 1
        assert source.rejections[0].provenance.line == 2
        assert part in source.rejections[0].reason


# --- one array


def test_rows_of_an_array_have_the_line_where_their_object_starts(tmp_path):
    path = tmp_path / "d.json"
    path.write_text('\n[\n  {"a": "x\\n",\n   "b": [1,\n 2]}, {"a": "y"},\n\n 7,\n  {"a": "z"}\n]\n')
    source = read_source(path)
    assert [(r.provenance.line, r.values["a"]) for r in source.records] == [(3, "x\n"), (5, "y"), (8, "z")]
    assert [(r.provenance.line, r.reason, r.row) for r in source.rejections] == [(7, "it is not a JSON object", "7")]


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ('[{"a": 1},\n{"a": }]', 2, "not valid JSON"),
        ('[{"a": 1}\n{"a": 2}]', 2, "a comma or the closing ] is missing, at character 1"),
        ('[{"a": 1},\n', 2, "not valid JSON"),
        ('[{"a": 1},\n]', 2, "not valid JSON"),
        ('[{"a": 1}]\n\n[]', 3, "more after the closing ]"),
        ("\n7", 2, "neither a JSON array of objects nor an object"),
        ('{"a": [1], "b"}', 1, "a key and a colon are missing, at character 15"),
        ('{"a": [1] "b": 2}', 1, "a comma or the closing } is missing, at character 11"),
        ('{\n"a": 1}\n{"a": }', 3, "not valid JSON"),
        ('[{"a": ' + "[" * 200_000, 1, "nested"),
        ("[]", None, "no rows"),
    ],
)
def test_a_broken_array_names_its_line(tmp_path, text, line, part):
    path = tmp_path / "d.json"
    path.write_text(text)
    with pytest.raises(SourceError) as caught:
        read_source(path)
    assert part in caught.value.what
    assert caught.value.line == line
    assert len(caught.value.what) < 200


@pytest.mark.parametrize(
    ("text", "rows", "notes"),
    [
        ('{"a": 1}\n\n{"a": 2}\nno\n', [(1, "1"), (3, "2")], ["one JSON object per line"]),
        ('{\n "a": 1\n}\n{"a":\n 2}\n', [(1, "1"), (4, "2")], []),
        ('{"n": 2, "data":\n[{"a": 1},\n {"a": 2}], "x": [{"y": 1}]}', [(2, "1"), (3, "2")], ["'data'"]),
        ('{"tickets": [\n{"a": 1},\n {"a": 2}]}', [(2, "1"), (3, "2")], ["'tickets'"]),
        ('{"a": "1"}', [(1, "1")], []),
        ('{"a": "1", "items": [{"b": 1}]}', [(1, "1")], []),
        ("{}\n", [(1, None)], []),
    ],
)
def test_what_a_json_file_may_be(tmp_path, text, rows, notes):
    for name in ("d.json", "d.jsonl") if text.startswith("{\n") else ("d.json",):
        (tmp_path / name).write_text(text)
        source = read_source(tmp_path / name)
        assert [(r.provenance.line, r.values.get("a")) for r in source.records] == rows
        assert all(part in "".join(source.notes) for part in notes)
        assert [r.row for r in source.rejections] == (["no"] if "no" in text else [])


def test_a_document_or_row_too_large_to_hold(tmp_path, monkeypatch):
    path = tmp_path / "d.json"
    path.write_text('[{"a": "x"}, {"a": "y"}, {"a": "' + "z" * 200 + '"}]')
    monkeypatch.setattr("inhouse.sources.jsonl_file.MAX_CHARS", 100)
    source = read_source(path)
    assert (len(source.records), len(source.rejections[0].row)) == (2, 200)
    assert "an object of more than" in source.rejections[0].reason
    monkeypatch.setattr("inhouse.sources.jsonl_file.MAX_WHOLE_BYTES", 100)
    with pytest.raises(SourceError, match="the file has 235 bytes; at most 100 bytes are read") as caught:
        read_source(path)
    assert "JSON Lines" in caught.value.remedy


# --- paths


def test_a_path_is_input_target_and_group(tmp_path):
    source = invoices(tmp_path)
    mapping = Mapping("classify", ("text", "fields.items.0.name"), ("fields.items.0.qty",), "fields.company")
    examples, _ = to_examples(source, mapping)
    assert examples[5].inputs == {"text": INVOICES[5]["text"], "fields.items.0.name": "bolt"}
    assert (examples[5].target, examples[5].group) == ("5", "bolt 1")


def test_a_path_that_a_row_lacks_costs_the_row_but_not_as_a_group(tmp_path):
    bad = {"id": "x", "text": "no company", "fields": {"total": 1}}
    listed = {"id": "y", "text": "a list", "fields": [1]}
    source = invoices(tmp_path, bad, listed)
    values, rejections = extract(source, "fields.company")
    assert len(values) == 12
    assert [(r.provenance.line, r.reason) for r in rejections] == [
        (13, "no value for column 'fields.company'"),
        (14, "no value for column 'fields.company'"),
    ]
    examples, _ = to_examples(source, Mapping("extract", ("text",), ("fields",), "fields.company"))
    assert [e.group for e in examples[11:]] == ["bolt 3", input_key({"text": "no company"})]


def test_a_column_with_a_dot_in_its_name_goes_before_a_path(tmp_path):
    rows = [{"a.b": "column", "a": {"b": "path", "b.c": 0}, "a.b.c": {"d": "longest"}}]
    source = read_source(write_lines(tmp_path / "d.jsonl", rows))
    read = input_reader(source, ["a.b", "a.b.c.d"])
    assert read(source.records[0]) == ({"a.b": "column", "a.b.c.d": "longest"}, "")


@pytest.mark.parametrize("name", ["fields.compny", "fields.company.x", "fields.items.1", "fields..total", "text.x"])
def test_a_path_that_no_row_has_lists_the_paths_there(tmp_path, name):
    source = invoices(tmp_path)
    with pytest.raises(SourceError) as caught:
        check_columns(source, ["text", name])
    assert f"column {name!r} is missing" in caught.value.what
    assert "fields.company, fields.total, fields.items, fields.items.0, fields.items.0.name" in caught.value.what
    if name == "fields.compny":
        assert "did you mean 'fields.company'?" in caught.value.remedy


def test_paths_lead_into_json_text_in_cells_of_a_table(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text(
        "text,meta\n" + "".join(f'row {i},"{{""customer"": ""c{i % 3}""}}"\n' for i in range(6)) + "x,none\n"
    )
    source = read_source(path)
    examples, _ = to_examples(source, Mapping("generate", ("text",), ("text",), "meta.customer"))
    assert [e.group for e in examples[:4]] == ["c0", "c1", "c2", "c0"]
    assert examples[6].group == input_key({"text": "x"})


# --- targets of an extract task


def test_an_object_keeps_keys_and_types_and_loses_outer_space(tmp_path):
    values, rejections = extract(invoices(tmp_path), "fields")
    assert not rejections
    assert values[3] == {"company": "Bolt 3", "total": 3.5, "items": [{"name": "bolt", "qty": 3}], "vat": None}
    assert list(values[3]) == ["company", "total", "items", "vat"]


def test_targets_are_written_compactly(tmp_path):
    source = read_source(write_lines(tmp_path / "d.jsonl", [{"t": "x", "o": {"ü": [1, "a"]}}]))
    [example], _ = to_examples(source, Mapping("extract", ("t",), ("o",)))
    assert example.target == '{"ü":[1,"a"]}'


def test_what_is_no_object_or_empty_is_rejected(tmp_path):
    odd = [{"text": "t", "fields": value} for value in ("free text", [1], {}, None, "")]
    values, rejections = extract(invoices(tmp_path, *odd), "fields")
    assert len(values) == 12
    assert [r.reason for r in rejections] == [
        "the target 'fields' is not a JSON object: 'free text'",
        "the target 'fields' is not a JSON object: '[1]'",
        "the target 'fields' is an empty object",
        "the target is empty (fields)",
        "the target is empty (fields)",
    ]


def test_several_columns_make_the_keys(tmp_path):
    rows = [
        {"text": f"t{i}", "intent": " find ", "slots": [{"s": 1}], "n": 1.5, "meta": {"day": "x"}} for i in range(6)
    ]
    rows += [{"text": "e", "intent": "", "slots": [], "n": 0, "meta": {"day": ""}}]
    rows += [{"text": "m", "intent": "x", "slots": [], "meta": {"day": "x"}}]
    values, rejections = extract(
        read_source(write_lines(tmp_path / "d.jsonl", rows)), "intent", "slots", "n", "meta.day"
    )
    assert values[0] == {"intent": "find", "slots": [{"s": 1}], "n": 1.5, "day": "x"}
    assert values[6] == {"intent": None, "slots": [], "n": 0, "day": ""}
    assert [(r.provenance.line, r.reason) for r in rejections] == [(8, "no value for column 'n'")]


def test_cells_of_a_table_are_texts_unless_the_column_holds_json(tmp_path):
    path = tmp_path / "d.csv"
    rows = [f'row {i},12.5,"[{{""q"": {i}}}]",' for i in range(30)]
    path.write_text("text,total,lines,vat\n" + "\n".join([*rows, 'odd,1,"[broken]",', "empty,,,"]) + "\n")
    values, rejections = extract(read_source(path), "total", "lines", "vat")
    assert values[7] == {"total": "12.5", "lines": [{"q": 7}], "vat": None}
    assert [r.reason for r in rejections] == [
        "the target 'lines' is not valid JSON: Expecting value at character 2",
        "the target is empty (total, lines, vat)",
    ]


def test_one_plain_column_or_list_is_an_object_with_that_key(tmp_path):
    source = read_source(write_lines(tmp_path / "d.jsonl", [{"text": "t", "total": 5, "slots": [1]}] * 3))
    assert extract(source, "total")[0][0] == {"total": 5}
    assert extract(source, "slots")[0][0] == {"slots": [1]}


def test_objects_as_text_in_cells(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("text,output\n" + '"a","{""total"": 1.50, ""when"": "" now ""}"\n' * 3 + 'b,"{""a"": NaN}"\n')
    values, rejections = extract(read_source(path), "output")
    assert values == [{"total": 1.5, "when": "now"}] * 3
    assert "NaN is not JSON" in rejections[0].reason


# --- which column is what


def test_the_object_is_found_and_its_column_is_no_input(tmp_path):
    mapping = infer_mapping(invoices(tmp_path), kind="extract", group="fields.company")
    assert mapping == Mapping("extract", ("text",), ("fields",), "fields.company")
    mapping = infer_mapping(invoices(tmp_path), kind="extract", target=["fields.company", "fields.total"])
    assert mapping.fields == ("text",)


def test_two_columns_of_json_cannot_be_told_apart(tmp_path):
    source = read_source(write_lines(tmp_path / "d.jsonl", [{"text": "t", "one": {"a": 1}, "two": [2]}] * 3))
    with pytest.raises(SourceError, match="one, two all hold JSON"):
        infer_mapping(source, kind="extract")


@pytest.mark.parametrize(
    ("kind", "fields", "targets", "part"),
    [
        ("extract", ("fields",), ("fields.company",), "cannot be an input too"),
        ("extract", ("fields.company",), ("fields",), "cannot be an input too"),
        ("extract", ("text",), ("fields.total", "totals.total"), "would both be the key 'total'"),
        ("classify", ("text",), ("id", "fields"), "a classify task has one"),
        ("generate", ("text",), ("id", "fields"), "a generate task has one"),
    ],
)
def test_names_that_do_not_go_together(tmp_path, kind, fields, targets, part):
    source = invoices(tmp_path, {"text": "t", "totals": {"total": 1}})
    with pytest.raises(UsageError, match=part):
        infer_mapping(source, kind=kind, fields=fields, target=targets)


def test_a_group_inside_the_target_is_fine_for_objects_alone(tmp_path):
    source = invoices(tmp_path)
    assert infer_mapping(source, kind="extract", target="fields.company", group="fields.company").group
    with pytest.raises(UsageError):
        infer_mapping(source, kind="classify", target="fields.company", group="fields.company")


def test_the_text_to_write_is_found(tmp_path):
    rows = [{"mr": f"name[Bolt {i}]", "ref": f"There is a place called Bolt {i}.", "meta": [i]} for i in range(12)]
    source = read_source(write_lines(tmp_path / "d.jsonl", rows))
    assert infer_mapping(source, kind="generate") == Mapping("generate", ("mr",), ("ref",))
    with pytest.raises(SourceError, match="holds lists or objects, not texts") as caught:
        infer_mapping(source, kind="generate", target="meta")
    assert "--kind extract" in caught.value.remedy


def test_prompt_and_completion(tmp_path):
    rows = [{"prompt": f"Say {i}", "completion": f" said the number {i} " * 20} for i in range(12)]
    source = read_source(write_lines(tmp_path / "d.jsonl", rows))
    mapping = infer_mapping(source, kind="generate")
    assert mapping == Mapping("generate", ("prompt",), ("completion",))
    assert to_examples(source, mapping)[0][0].target == ("said the number 0  " * 20).strip()


def test_the_only_text_is_the_input_and_not_the_answer(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("message,code\n" + "".join(f"some words {i},{i % 3}\n" for i in range(12)))
    with pytest.raises(SourceError, match="no column is named like an answer"):
        infer_mapping(read_source(path), kind="generate")
