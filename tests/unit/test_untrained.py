"""Before anything is trained: what needs no training is compared, promoted and served like any other version."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from conftest import many_intents, write_csv, write_encoder

import inhouse
from inhouse.core import Silent
from inhouse.deploy import Dispatcher, open_served
from inhouse.errors import NotFound, Refused
from inhouse.pipeline.upkeep import status
from inhouse.store import registry


class Said(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


def workspace_of(folder: Path, models_dir: Path, tiny_gguf: Path, kind: str = "classify"):
    folder.mkdir()
    (folder / "inhouse.toml").write_text(f'models_dir = "{models_dir}"\noffline = true\nthreads = 1\n')
    workspace = inhouse.open_workspace(folder)
    task = inhouse.init(workspace, "intents", kind=kind, base_model=str(tiny_gguf))
    wish = {"train": task.train.model_copy(update={"max_steps": 3})}
    if kind == "classify":
        wish["encoder_model"] = str(write_encoder(folder / "tiny-bert"))
    workspace.save_task(task.model_copy(update=wish))
    return workspace


@pytest.fixture(scope="module")
def untrained(tmp_path_factory, models_dir, tiny_gguf, one_thread):
    """A classify task that was evaluated without a training."""
    folder = tmp_path_factory.mktemp("untrained")
    workspace = workspace_of(folder / "w", models_dir, tiny_gguf)
    inhouse.add(workspace, "intents", [write_csv(folder / "intents.csv", many_intents())])
    said = Said()
    yield workspace, inhouse.evaluate(workspace, "intents", said), said.lines
    workspace.close()


def test_what_needs_no_training_is_compared_and_the_best_is_the_candidate(untrained):
    workspace, found, said = untrained
    assert any("nothing is trained yet" in line for line in said)
    assert {"tfidf-linear", "embedding-linear", "prompted", "few-shot", "majority"} <= {
        c.name for c in found.contenders
    }
    assert not any(c.name.startswith("fine-tuned") for c in found.contenders)
    assert {one.contender for one in found.left_out} >= {"fine-tuned", "fine-tuned-encoder"}
    assert found.comparisons == ()
    version = registry.find_version(workspace, "intents", "candidate")
    assert version.name == found.model_version == "intents@1"
    assert not version.fine_tuned
    assert version.parity.passed
    if found.verdict.decision == "not_needed":
        assert found.verdict.winner == version.contender
    html = Path(found.report).read_text("utf-8")
    assert "Nothing was trained." in html
    if found.verdict.decision == "not_needed":
        assert f"Nothing is trained yet: use {version.contender}" in html
    card = Path(found.files["card_markdown"]).read_text("utf-8")
    assert ("It was made from tiny\\-bert" in card) == (version.contender == "embedding-linear")
    assert "How it learned" not in html
    assert "Of sentence embeddings with a linear model, which trains in a second" in html
    if found.verdict.decision == "not_needed":
        assert [step for step, _ in found.next_steps] == ["inhouse promote intents", "inhouse train intents"]
    assert status(workspace)["tasks"][0]["next"] == "inhouse promote intents"


def test_it_is_promoted_and_served_as_any_other_version_and_another_one_beside_it(untrained):
    workspace, found, _ = untrained
    assert found.verdict.decision == "not_needed"
    assert inhouse.promote(workspace, "intents").champion == "intents@1"
    chosen = Dispatcher(workspace).choose("intents")
    served = open_served(workspace, chosen.version)
    try:
        (answer,) = served.answer([{"text": "how do I pay my card"}])
    finally:
        served.close()
    assert answer.prediction.target in chosen.version.labels
    with pytest.raises(Refused, match="the verdict is not_needed"):
        inhouse.promote(workspace, "intents", contender="prompted")
    forced = inhouse.promote(workspace, "intents", contender="prompted", force=True, reason="a try")
    version = registry.find_version(workspace, "intents", forced.champion.partition("@")[2])
    assert (version.contender, version.lineage["compared_with"]) == ("prompted", "intents@1")
    inhouse.rollback(workspace, "intents")


def test_the_same_again_is_the_same_version(untrained):
    workspace, found, _ = untrained
    again = inhouse.evaluate(workspace, "intents", contenders=["prompted"])
    assert again.model_version == found.model_version
    # What trains in a second takes part, and what was asked before.
    assert {c.name for c in again.contenders} == {c.name for c in found.contenders}
    assert again.verdict.winner == found.verdict.winner


def test_a_version_that_is_named_must_be_there(untrained):
    workspace, _, _ = untrained
    with pytest.raises(NotFound, match="no model version"):
        inhouse.evaluate(workspace, "intents", which="17")


def test_a_training_after_it_is_compared_with_what_serves(untrained):
    workspace, _, _ = untrained
    trained = inhouse.retrain(workspace, "intents")
    assert trained.evaluation.against_champion["champion"] == "intents@1"
    assert registry.find_version(workspace, "intents", "latest").fine_tuned
    assert {"fine-tuned", "tfidf-linear"} <= {c.name for c in trained.evaluation.contenders}


def test_a_prompt_is_the_best_where_nothing_else_writes(tmp_path, models_dir, tiny_gguf, one_thread):
    workspace = workspace_of(tmp_path / "w", models_dir, tiny_gguf, kind="generate")
    rows = [{"text": f"note {i} of the day", "answer": f"Dear all, note {i}."} for i in range(60)]
    inhouse.add(workspace, "intents", [write_csv(tmp_path / "rows.csv", rows)], inputs=["text"], target="answer")
    found = inhouse.evaluate(workspace, "intents", contenders=["prompted"])
    version = registry.find_version(workspace, "intents", "latest")
    assert version.contender == "prompted"
    assert found.model_version == version.name
    assert {one.contender for one in found.left_out} >= {"few-shot", "retrieval", "prompted-best"}
    assert all("--contender" in one.reason for one in found.left_out if one.contender == "few-shot")
    workspace.close()


def test_nothing_is_asked_where_the_test_is_in_the_training_data(tmp_path, models_dir, tiny_gguf):
    workspace = workspace_of(tmp_path / "w", models_dir, tiny_gguf)
    with write_csv(tmp_path / "rows.csv", many_intents()).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    tests = [{**row, "text": f"{row['text']} !"} for row in rows[::6]]
    inhouse.add(workspace, "intents", [tmp_path / "rows.csv"], test=write_csv(tmp_path / "test.csv", tests))
    said = Said()
    with pytest.raises(Refused, match=r"in the training data too, or nearly so: test\.csv:2, test\.csv:3") as refused:
        inhouse.evaluate(workspace, "intents", said)
    assert "--apply leakage" in str(refused.value)
    assert said.lines == []
    assert registry.versions(workspace, "intents") == []
    workspace.close()
