"""Inputs longer than a model reads: the parts that matter are kept, the same way in training, evaluation and service."""

from __future__ import annotations

import csv
import json
import random

import pytest
from conftest import write_csv
from hypothesis import given
from hypothesis import strategies as st

from inhouse.core import Example, Provenance, Task, Trimming, render_input
from inhouse.core.trimming import LONGEST_PART, MARK, parts_of
from inhouse.store import Workspace, registry
from inhouse.train import fit_trimming, kept_share

WORDS = [
    "goods",
    "leave",
    "our",
    "yard",
    "on",
    "pallets",
    "remain",
    "until",
    "paid",
    "in",
    "full",
    "under",
    "general",
    "terms",
]
SCHEMA = {"type": "object", "properties": {"total": {"type": "string"}, "day": {"type": "string"}}}


def count(text):
    return len(text.split())


def document(seed, lines=60):
    """Prose, and somewhere in it two lines that hold the values."""
    draw = random.Random(seed)
    rows = [" ".join(draw.choices(WORDS, k=12)) for _ in range(lines)]
    total, day = f"{draw.randrange(100, 9999)}.{draw.randrange(10, 99)}", f"2026-0{draw.randrange(1, 9)}-1{seed % 9}"
    rows[draw.randrange(lines)] = f"sum to be paid EUR {total}"
    rows[draw.randrange(lines)] = "page"
    place = draw.randrange(lines)
    rows.insert(place, f"date of invoice {day}")
    return "\n".join(rows), json.dumps({"total": total, "day": day})


def example(seed, lines=60):
    text, target = document(seed, lines)
    return Example({"text": text}, target, f"{seed}", Provenance("d.csv", seed))


def task():
    return Task(name="t", kind="extract", schema=SCHEMA)


def test_it_keeps_what_rows_taught_and_drops_the_rest_of_documents_that_it_never_saw():
    trimming = fit_trimming(task(), [example(i) for i in range(40)], room=60)
    unseen = [example(i) for i in range(100, 130)]
    trimmed = [Example(trimming(e.inputs, count), e.target, e.group, e.provenance) for e in unseen]
    assert all(count(e.inputs["text"]) <= 60 and MARK in e.inputs["text"] for e in trimmed)
    assert kept_share(task(), zip(unseen, trimmed, strict=True)) > 0.95
    # The beginning alone, as it would be without a choice:
    begun = [Example({"text": " ".join(e.inputs["text"].split()[:60])}, e.target, "", e.provenance) for e in unseen]
    assert kept_share(task(), zip(unseen, begun, strict=True)) < 0.3


def test_it_never_looks_at_the_target_and_leaves_what_fits_as_it_is():
    trimming = fit_trimming(task(), [example(i) for i in range(40)], room=60)
    assert trimming({"text": " two\n\nlines "}, count) == {"text": " two\n\nlines "}
    again = Trimming.model_validate(json.loads(trimming.model_dump_json()))
    text, _ = document(7)
    assert again({"text": text}, count) == trimming({"text": text}, count)


def test_without_rows_that_teach_the_words_of_the_task_choose():
    about = Task(name="t", kind="generate", instruction="Say what the warranty covers.")
    lines = [" ".join(random.Random(i).choices(WORDS, k=10)) for i in range(50)]
    lines[31] = "the warranty covers the gearbox"
    rows = [Example({"text": "\n".join(lines)}, "x", "", Provenance("d", 1))]
    trimming = fit_trimming(about, rows, room=40)
    assert trimming.weights == {}
    kept = trimming(rows[0].inputs, count)["text"]
    assert "the warranty covers the gearbox" in kept
    assert count(kept) <= 40


def test_words_of_a_label_choose_for_labels():
    about = Task(name="t", kind="classify", labels=("steel", "wood"))
    rows = []
    for i in range(40):
        lines = document(i)[0].split("\n")
        lines[5 + i % 50] = ("rust weld ingot", "beech plank saw")[i % 2] + f" {i}"
        rows.append(Example({"text": "\n".join(lines)}, ("steel", "wood")[i % 2], f"{i}", Provenance("d", i)))
    trimming = fit_trimming(about, rows, room=40)
    lines = [*document(99)[0].split("\n"), "beech plank saw"]
    assert "beech plank saw" in trimming({"text": "\n".join(lines)}, count)["text"]
    assert kept_share(about, [(rows[0], rows[0])]) is None


@given(
    st.lists(st.text(st.characters(codec="utf-8"), max_size=300), min_size=1, max_size=3),
    st.integers(8, 200),
    st.sampled_from(["\n", " ", ". ", "\r\n\n"]),
)
def test_any_text_is_whole_in_its_parts_and_gets_no_longer_than_the_room(texts, room, between):
    inputs = {f"f{i}": between.join([text] * 9) for i, text in enumerate(texts)}
    parts = parts_of(inputs)
    assert {name: "".join(p.text for p in parts if p.field == name) for name in inputs} == inputs
    assert all(len(p.text) <= LONGEST_PART or not p.text.rstrip().count(" ") for p in parts) or between == "\r\n\n"
    trimmed = Trimming(room=room)(inputs, lambda text: len(text.split()) + len(text) // 20)
    assert list(trimmed) == list(inputs)
    size = len(render_input(trimmed).split()) + len(render_input(trimmed)) // 20
    assert size <= room or all(value in (MARK, f" {MARK}", inputs[name]) for name, value in trimmed.items())


@pytest.fixture(scope="module")
def invoices(tmp_path_factory, tiny_gguf, tiny_base, cli, one_thread):
    """A task whose documents are twice as long as its model reads."""
    folder = tmp_path_factory.mktemp("trimming") / "work"
    rows = [dict(zip(("text", "target"), document(i, lines=18), strict=True)) for i in range(40)]
    file = write_csv(folder.parent / "invoices.csv", rows)
    assert cli(folder, "init", "t", "--kind", "extract", "--base", tiny_gguf).code == 0
    toml = folder / "tasks" / "t" / "task.toml"
    toml.write_text(toml.read_text().replace("[train]\n", "[train]\nmax_tokens = 400\nmax_steps = 2\nbatch_size = 4\n"))
    added = cli(folder, "add", "t", file, "--input", "text", "--target", "target", "--yes")
    assert added.code == 0, added.err
    assert 'train.trim = "relevance"' in added.err
    toml.write_text(toml.read_text().replace("[train]\n", '[train]\ntrim = "relevance"\n'))
    return folder


def test_trimmed_documents_are_trained_evaluated_and_answered(invoices, cli, tmp_path):
    cleaned = cli(invoices, "clean", "t", "--json")
    found = [f for f in cleaned.json["findings"] if f["check"] == "overlong"]
    assert found
    assert all(f["severity"] == "info" and "of their targets' values" in f["reason"] for f in found)
    trained = cli(invoices, "train", "t", "--json")
    assert trained.code == 0, trained.err
    assert "examples are trimmed from" in trained.err
    assert "not learned from" not in trained.err
    version = registry.find_version(Workspace(invoices), "t", "latest")
    assert version.trimming is not None
    assert version.lineage["recipe"]["trim"] == "relevance"
    evaluated = cli(invoices, "evaluate", "t", "--contender", "retrieval", "--json")
    assert evaluated.code == 0, evaluated.err
    registry.update_version(
        Workspace(invoices), version.model_copy(update={"parity": version.parity.model_copy(update={"passed": True})})
    )
    assert cli(invoices, "promote", "t", "--force", "--reason", "a test").code == 0
    file = write_csv(tmp_path / "new.csv", [{"text": document(200, 18)[0]}, {"text": "short"}])
    done = cli(invoices, "predict", "t", file, "--out", tmp_path / "out.csv", "--json")
    assert done.code == 0, done.err
    assert done.json["trimmed"] == 1
    assert "1 of 2 inputs are longer than the model reads" in done.err
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert len(rows) == 2
    assert not any("the input takes" in row["error"] for row in rows)


def test_what_is_served_reads_the_very_tokens_that_were_learned(invoices, cli):
    from inhouse.core import Silent
    from inhouse.deploy import ServedModel
    from inhouse.pipeline.preparation import prepare_training

    workspace = Workspace(invoices)
    prepared = prepare_training(workspace, workspace.load_task("t"), Silent())
    served = ServedModel(workspace, registry.find_version(workspace, "t", "latest"))
    try:
        from inhouse.pipeline.learning_data import to_learn_from

        whole = to_learn_from(workspace, "t").of("train")
        questions = [served.question(e.inputs) for e in whole]
    finally:
        served.close()
    assert [q.prompt for q in questions] == [e.prompt for e in prepared.learned]
    assert all(q.trimmed for q in questions)


def test_conversations_and_encoders_have_no_parts_to_choose_from():
    with pytest.raises(ValueError, match="oldest turns"):
        Task.model_validate({"name": "t", "kind": "generate", "input": {"chat": True}, "train": {"trim": "relevance"}})
    with pytest.raises(ValueError, match="for the causal model"):
        Task.model_validate({"name": "t", "train": {"model": "encoder", "trim": "relevance"}})
