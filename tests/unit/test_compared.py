"""Both fine-tuned kinds and the champion in one evaluation; the best of ours is promoted; a prompt can be served."""

from __future__ import annotations

import base64
import json
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from conftest import many_intents, write_csv, write_encoder

import inhouse
from inhouse.cli.show import evaluated as told
from inhouse.core import Silent
from inhouse.deploy import open_served
from inhouse.deploy.served_prompt import ServedPrompt
from inhouse.deploy.version_files import PROMPT
from inhouse.engine.prompt_file import read_frame
from inhouse.errors import InputError, Refused, UsageError
from inhouse.pipeline.release import enough as usual_contender
from inhouse.store import erase, predictions, records, registry

HANDBOOK = """A card takes five days to come by post, and a new pin comes in a letter of its own.

A transfer fails where the account has too little on it, or the bank abroad has sent it back; try it again.

Who forgot the pin can change it at any machine of the bank with the card and the old one. Card number 4711 is a test."""


@pytest.fixture(scope="module")
def compared(tmp_path_factory, tiny_gguf, models_dir):
    """A task of which both kinds were trained, the encoder first, and evaluated."""
    folder = tmp_path_factory.mktemp("compared")
    encoder = write_encoder(folder / "tiny-bert")
    (folder / "inhouse.toml").write_text(f'models_dir = "{models_dir}"\noffline = true\nthreads = 1\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INHOUSE_THREADS", "1")
        workspace = inhouse.open_workspace(folder)
        task = inhouse.init(workspace, "intents", base_model=str(tiny_gguf))
        wish = {"max_steps": 12}
        changed = {"encoder_model": str(encoder), "train": task.train.model_copy(update=wish)}
        workspace.save_task(task.model_copy(update=changed))
        inhouse.add(workspace, "intents", [write_csv(folder / "intents.csv", many_intents())])
        documents = workspace.paths.documents("intents")
        documents.mkdir(parents=True)
        (documents / "handbook.txt").write_text(HANDBOOK, "utf-8")
        inhouse.train(workspace, "intents", model="encoder")
        inhouse.train(workspace, "intents", model="causal")
        yield workspace, inhouse.evaluate(workspace, "intents")
        workspace.close()


def test_both_kinds_answer_the_same_test_and_the_better_on_validation_is_spoken_of(compared):
    workspace, found = compared
    models = {c.name: c.model for c in found.contenders}
    assert models["fine-tuned-encoder"] == "intents@1"
    assert models["fine-tuned"] == "intents@2"
    assert not {"fine-tuned", "fine-tuned-encoder"} & {one.contender for one in found.left_out}
    dataset = records.load_dataset(workspace, "intents")
    right = {}
    for name, version in (("fine-tuned-encoder", "intents@1"), ("fine-tuned", "intents@2")):
        kept = predictions.load(workspace, "intents", version, name, dataset.fingerprint)
        validation = kept.filter(kept["split"] == "validation")
        right[version] = (validation["answer"] == validation["expected"]).fill_null(False).mean()
    assert right[found.model_version] == max(right.values())
    ours = next(n for n, m in models.items() if m == found.model_version)
    of_ours = [c.theirs for c in found.comparisons if c.ours == ours]
    assert of_ours[-1] == "majority"
    shown = [c.theirs for c in found.comparisons if c.ours != ours]
    assert set(shown[1:]) == {"fine-tuned", "fine-tuned-encoder"}
    assert shown[0] in of_ours, "the best alternative"
    assert {c.ours for c in found.comparisons} == {ours, "fine-tuned+retrieval"}
    assert Path(found.report).name == f"{found.model_version}.html"
    for number in (1, 2):
        kept_version = registry.find_version(workspace, "intents", number)
        assert kept_version.evaluation is not None
        assert kept_version.evaluation["model_version"] == found.model_version


def test_the_better_one_is_the_candidate_and_the_other_is_not_promoted(compared):
    workspace, found = compared
    best = int(found.model_version.partition("@")[2])
    if registry.find_version(workspace, "intents", best).parity.passed:
        assert registry.alias_number(workspace, "intents", "candidate") == best
    for number in (1, 2):
        version = registry.find_version(workspace, "intents", number)
        adopted = {**version.evaluation, "verdict": {**version.evaluation["verdict"], "decision": "adopt"}}
        parity = version.parity.model_copy(update={"passed": True})
        registry.update_version(workspace, version.model_copy(update={"evaluation": adopted, "parity": parity}))
    with pytest.raises(Refused, match=f"the verdict is for {found.model_version}"):
        inhouse.promote(workspace, "intents", which=str(3 - best))
    assert inhouse.promote(workspace, "intents", which=str(best)).champion == found.model_version


def test_bases_with_their_limits_and_tokens_are_told_everywhere(compared):
    _, found = compared
    behind = {name: one for one in found.bases for name in one.used_by}
    assert {"fine-tuned", "prompted", "few-shot"} <= behind.keys()
    assert [one.title for one in found.bases if "fine-tuned-encoder" in one.used_by] == [
        behind["embedding-linear"].title
    ]
    assert behind["embedding-linear"].title.startswith("tiny-bert")
    assert behind["prompted"].parameters > 0
    assert next(c for c in found.contenders if c.name == "tfidf-linear").fit_seconds > 0
    html = Path(found.report).read_text("utf-8")
    markdown = Path(found.files["markdown"]).read_text("utf-8")
    text = re.sub(r"\s+", " ", told(found))
    assert json.loads(Path(found.files["json"]).read_text("utf-8"))["bases"][0]["used_by"]
    tokens = {c.name: c.prompt_tokens for c in found.contenders}
    assert tokens["fine-tuned"] < tokens["few-shot"]
    assert re.search(
        r"fine-tuned asks with \d+ tokens where (prompted|few-shot|prompted-best|retrieval|grounded) needs [\d,]+",
        found.shorter_prompt,
    )
    for page in (html, markdown.replace("\\", ""), text):
        assert found.shorter_prompt in page
        assert behind["prompted"].title in page
        assert behind["prompted"].limits[:40] in page
    assert "tokens in" in text
    assert f"{tokens['few-shot']:,.0f}" in text


def test_what_is_named_is_asked_beside_all_that_was_asked_before(compared):
    workspace, first = compared
    with pytest.raises(UsageError, match="no contender"):
        inhouse.evaluate(workspace, "intents", contenders=["prompt"])
    with pytest.raises(UsageError, match="no time"):
        inhouse.evaluate(workspace, "intents", minutes=0)
    found = inhouse.evaluate(workspace, "intents", contenders=["prompted"], minutes=9)
    assert {c.name for c in found.contenders} == {c.name for c in first.contenders}
    assert all(c.cached > 0 for c in found.contenders if c.name in ("prompted", "few-shot", "retrieval"))
    assert (found.verdict.decision, found.verdict.winner) == (first.verdict.decision, first.verdict.winner)


def test_what_is_neither_named_nor_kept_is_left_out_and_told(compared):
    workspace, _ = compared
    task = workspace.load_task("intents")
    workspace.save_task(task.model_copy(update={"instruction": "Say what the message is about."}))
    found = inhouse.evaluate(workspace, "intents", Silent(), contenders=["prompted"])
    workspace.save_task(task)
    assert {c.name for c in found.contenders} >= {"fine-tuned", "prompted", "tfidf-linear", "embedding-linear"}
    assert {"few-shot", "retrieval"} <= {one.contender for one in found.left_out}
    assert any("nothing is known of those that were not asked" in warning for warning in found.warnings)
    assert "not compared: few-shot, as it was not asked for" in told(found)
    inhouse.evaluate(workspace, "intents")


def enough(workspace, winner):
    """A verdict that the winner is enough."""
    for number in (1, 2):
        version = registry.find_version(workspace, "intents", number)
        verdict = {
            **version.evaluation["verdict"],
            "decision": "not_needed",
            "winner": winner,
            "reason": "it is enough",
        }
        told = {**version.evaluation, "verdict": verdict}
        registry.update_version(workspace, version.model_copy(update={"evaluation": told}))


def serve(workspace, name):
    """Promote a contender; by force, as the random base is far worse than what was promoted above."""
    return inhouse.promote(workspace, "intents", which="1", contender=name, force=True, reason="for the test")


def test_a_second_evaluation_asks_no_language_model_at_all(compared, monkeypatch):
    from inhouse.evaluate.contenders import generating

    workspace, _ = compared
    monkeypatch.setattr(import_module("inhouse.evaluate.beyond"), "LEAST", 5)
    first = inhouse.evaluate(workspace, "intents")
    asked: list[int] = []

    def refused(engine, questions, *more):
        asked.append(len(questions))
        raise AssertionError("it was asked again")

    monkeypatch.setattr(generating, "answer_all", refused)
    monkeypatch.setattr(import_module("inhouse.evaluate.divergence"), "divergence", refused)
    second = inhouse.evaluate(workspace, "intents")
    assert asked == []
    steady = {(c.contender, c.change): c.same.value for c in second.consistency}
    assert steady == {(c.contender, c.change): c.same.value for c in first.consistency}
    assert {"prompted", "fine-tuned"} <= {name for name, _ in steady}
    kept = predictions.load(workspace, "intents", second.model_version, "prompted again", second.dataset_fingerprint)
    (key,) = kept.group_by("example", "key").len().select("len").unique().to_series().to_list()
    assert second.forgetting == first.forgetting
    assert key == 1  # the same question three times has three keys


def test_of_a_sample_everything_says_so_and_it_is_promoted_by_what_it_was_asked(compared, monkeypatch):
    from inhouse.evaluate.contenders import asking

    workspace, _ = compared
    tests = len(records.load_dataset(workspace, "intents").of("test"))
    monkeypatch.setattr(asking, "SAMPLED", tests // 2)
    monkeypatch.setattr(asking, "SAMPLED_OF_BEST_PROMPT", tests // 2)
    found = inhouse.evaluate(workspace, "intents")
    by_name = {c.name: c for c in found.contenders}
    some = [c.name for c in found.contenders if c.asked]
    assert {c.asked for c in found.contenders} == {None, tests // 2}
    assert not {"fine-tuned", "fine-tuned-encoder", "majority", "tfidf-linear", found.verdict.against} & set(some)
    assert "few-shot" in some
    assert (by_name["few-shot"].metrics["accuracy"].n, by_name["tfidf-linear"].metrics["accuracy"].n) == (
        tests // 2,
        tests,
    )
    assert (by_name["few-shot"].metrics["macro_f1"].n, by_name["few-shot"].unanswered) == (tests // 2, 0)
    assert {c.theirs for c in found.comparisons} >= set(some) - {"fine-tuned+retrieval"}
    html = Path(found.report).read_text("utf-8")
    markdown = Path(found.files["markdown"]).read_text("utf-8").replace("\\", "")
    for page in (html, markdown, re.sub(r"\s+", " ", told(found))):
        assert found.sampled in page
    kept = predictions.load(workspace, "intents", found.model_version, "few-shot", found.dataset_fingerprint)
    assert (kept["split"] == "test").sum() == tests // 2
    serve(workspace, "few-shot")
    version = registry.find_version(workspace, "intents", "champion")
    assert (version.contender, version.parity.passed) == ("few-shot", True)
    assert (version.checked.parity.passed, version.checked.parity.tokens) == (True, tests // 2)
    kept = predictions.load(workspace, "intents", version.name, "few-shot", found.dataset_fingerprint)
    assert (kept["split"] == "test").sum() == tests // 2
    monkeypatch.undo()
    again = inhouse.evaluate(workspace, "intents")
    assert again.sampled == ""
    inhouse.promote(workspace, "intents", which="1", contender="fine-tuned-encoder", force=True, reason="for the test")


@pytest.mark.parametrize(
    "name", ["prompted", "few-shot", "retrieval", "prompted-best", "grounded", "fine-tuned+retrieval"]
)
def test_a_prompt_that_is_enough_is_promoted_and_answers_as_it_was_judged(compared, tmp_path, name):
    workspace, found = compared
    enough(workspace, name)
    assert usual_contender(registry.find_version(workspace, "intents", 1)) == name
    promoted = serve(workspace, name)
    version = registry.find_version(workspace, "intents", "champion")
    assert (version.contender, version.name) == (name, promoted.champion)
    assert version.parity.tokens > 0
    assert serve(workspace, name).champion == version.name  # the same file, the same version
    kept = predictions.load(workspace, "intents", found.model_version, name, found.dataset_fingerprint)
    test = records.load_dataset(workspace, "intents").of("test")
    served = open_served(workspace, version)
    try:
        assert isinstance(served, ServedPrompt)
        answers = [a.prediction for a in served.answer([e.inputs for e in test])]
        *_, (label, told) = served.stream(served.question(test[0].inputs))
    finally:
        served.close()
    cited = [a.sources for a in answers]
    assert (told.prediction.sources, all(cited)) == (cited[0], name == "grounded")
    assert {one.partition("#")[0] for some in cited for one in some} <= {"handbook.txt"}
    expected = kept.filter(kept["split"] == "test")["answer"].to_list()
    assert sum(a.target == e for a, e in zip(answers, expected, strict=True)) >= len(test) - 1
    assert label == answers[0].target
    rows = write_csv(tmp_path / "new.csv", [{"text": row["text"]} for row in many_intents(1)])
    done = inhouse.predict(workspace, "intents", rows, tmp_path / "out.csv")
    assert (done.model_version, done.errors) == (version.name, 0)
    told = "that inhouse shows other solved examples" if "tuned" in name else "is an untrained base with a prompt"
    with pytest.raises(UsageError, match=told):
        inhouse.export(workspace, "intents", to="gguf", out=tmp_path / "out")


def test_a_fine_tuned_model_with_examples_answers_by_its_weights_alone(compared):
    """Its prompt is the file of the version; the weights are those of the trained one, and are kept for it."""
    workspace, _ = compared
    serve(workspace, "fine-tuned+retrieval")
    version = registry.find_version(workspace, "intents", "champion")
    tuned = registry.find_version(workspace, "intents", 2)
    assert version.lineage["weights"] == tuned.file_sha256 in erase.referenced(workspace)
    served, plain = open_served(workspace, version), open_served(workspace, tuned)
    try:
        inputs = {"text": "where is my card"}
        ids, alone = (one.question(inputs).prompt for one in (served, plain))
        assert len(ids) > len(alone)
        assert "assistant" in served.template.decode(ids) or len(ids) > 2 * len(alone)
        with pytest.raises(InputError, match="the model was trained for at most"):
            served.question({"text": "card " * 2000})
    finally:
        served.close()
        plain.close()


def test_the_champion_stands_among_the_contenders(compared):
    workspace, _ = compared
    version = registry.find_version(workspace, "intents", "champion")
    found = inhouse.evaluate(workspace, "intents")
    (row,) = (c for c in found.contenders if c.name == "champion")
    assert row.model == version.name
    assert found.against_champion["champion"] == version.name
    assert row.metrics["accuracy"].model_dump() == found.against_champion["champion_accuracy"]
    assert "champion" not in {c.theirs for c in found.comparisons}


@pytest.mark.parametrize("name", ["retrieval", "few-shot", "fine-tuned+retrieval"])
def test_what_is_forgotten_goes_out_of_a_prompt_too(compared, name):
    workspace, _ = compared
    inhouse.evaluate(workspace, "intents")  # of the data as it is now
    serve(workspace, name)
    before = registry.find_version(workspace, "intents", "champion")
    frame = json.loads(workspace.blobs.path(before.file_sha256, PROMPT).read_text("utf-8"))
    shown = frame["shots"][0][0]["content"]
    forgotten = inhouse.forget(workspace, "intents", match=shown, yes=True)
    assert before.name in forgotten.classifiers
    after = registry.find_version(workspace, "intents", before.number)
    assert shown not in workspace.blobs.path(after.file_sha256, PROMPT).read_text("utf-8")
    assert not workspace.blobs.location(before.file_sha256, PROMPT).exists()
    left = read_frame(workspace.blobs.path(after.file_sha256, PROMPT))
    assert len(left.shots) == len(frame["shots"]) - 1
    if name == "retrieval":
        was = np.frombuffer(base64.b64decode(frame["look_up"]["vectors"]), np.float32).reshape(len(frame["shots"]), -1)
        assert np.array_equal(left.look_up.matrix, was[1:])
        served = open_served(workspace, after)
        try:
            (answer,) = served.answer([records.load_dataset(workspace, "intents").of("test")[0].inputs])
        finally:
            served.close()
        assert answer.prediction.error is None


def test_a_remote_model_is_not_served(compared):
    workspace, _ = compared
    version = registry.find_version(workspace, "intents", 1)
    row = {**version.evaluation["contenders"][-1], "name": "remote:gpt", "model": None}
    told = {**version.evaluation, "contenders": [*version.evaluation["contenders"], row]}
    main = told["model_version"].partition("@")[2]
    registry.update_version(
        workspace, registry.find_version(workspace, "intents", main).model_copy(update={"evaluation": told})
    )
    with pytest.raises(Refused, match="every request would leave this machine"):
        inhouse.promote(workspace, "intents", which=main, contender="remote:gpt")
