"""The fine-tuned encoder: tiny random encoders of real architecture classes, trained, served and evaluated for real."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from conftest import ROBERTAS, many_intents, write_csv, write_encoder
from safetensors.torch import load_file

import inhouse
from inhouse.cli.show import planned
from inhouse.core import EncoderRecipe, Evaluation, Recipe, Silent
from inhouse.deploy import compare_labels, open_served
from inhouse.deploy.version_files import CLASSIFIER
from inhouse.engine import classifier as classifier_file
from inhouse.engine import get_base
from inhouse.engine.classifier import LabelClassifier
from inhouse.engine.encoder import SentenceEncoder, TextTokens, vectors_of
from inhouse.engine.encoder_facts import facts_of
from inhouse.engine.encoder_model import load_encoder, padded_texts, pooled
from inhouse.engine.label_head import LabelHead, NGrams
from inhouse.engine.lora import copy_state
from inhouse.errors import (
    ConfigError,
    EngineFault,
    InputError,
    ModelUnavailable,
    NotFound,
    Refused,
    TooFewExamples,
    UsageError,
)
from inhouse.pipeline import classifier, classifier_packaging, curve_shares
from inhouse.pipeline.curve import curve_of_today, kept_curve
from inhouse.pipeline.curve_shares import encoder_parts
from inhouse.store import Settings, predictions, records, registry
from inhouse.train import encoder_loop
from inhouse.train.encoder_loop import LabelledTexts, batches_of, looked_at, supervised_contrast, tunable, tune
from inhouse.train.encoder_needs import encoder_memory_needed, kept_for_gradient, parts_of
from inhouse.train.label_head import Plain, chosen_plain, fit_head, fitted_pool, folds_of

TEXTS = [row["text"] for row in many_intents()]


@pytest.fixture(scope="module")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoders") / "tiny-bert")


@pytest.fixture(scope="module")
def workspace_of(tmp_path_factory, tiny_gguf, models_dir, tiny_encoder):
    """Makes workspaces with a task `intents` of 96 messages, for the tiny encoder."""

    def make(**train):
        folder = tmp_path_factory.mktemp("encoder")
        (folder / "inhouse.toml").write_text(f'models_dir = "{models_dir}"\noffline = true\nthreads = 1\n')
        workspace = inhouse.open_workspace(folder)
        task = inhouse.init(workspace, "intents", base_model=str(tiny_gguf))
        wish = {"model": "encoder", "learning_rate": 1e-3, "max_steps": 12, **train}
        changed = {"encoder_model": str(tiny_encoder), "train": task.train.model_copy(update=wish)}
        workspace.save_task(task.model_copy(update=changed))
        inhouse.add(workspace, "intents", [write_csv(folder / "intents.csv", many_intents())])
        return workspace

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INHOUSE_THREADS", "1")
        yield make


@pytest.fixture(scope="module")
def trained_encoder(workspace_of):
    workspace = workspace_of()
    return workspace, inhouse.train(workspace, "intents")


def classifier_of(workspace, version):
    return workspace.blobs.path(version.file_sha256, CLASSIFIER)


def test_a_trained_encoder_registers_and_passes_the_gate(trained_encoder):
    workspace, result = trained_encoder
    version = registry.find_version(workspace, "intents", "latest")
    assert (version.contender, version.engine) == ("fine-tuned-encoder", "openvino")
    assert result.parity.passed, result.parity.reason
    assert result.parity.tokens == 78  # every validation and training message
    assert result.recipe["method"] == "encoder"
    assert result.steps == 12
    assert result.validation_score == version.parity.trainer_accuracy > 0.5  # by chance: a third


def test_the_same_recipe_gives_the_same_file_and_is_not_repeated(trained_encoder, workspace_of):
    workspace, result = trained_encoder
    assert inhouse.train(workspace, "intents").run == result.run
    other = workspace_of()
    inhouse.train(other, "intents")
    files = [registry.find_version(w, "intents", "latest") for w in (workspace, other)]
    assert files[0].file_sha256 == files[1].file_sha256
    assert files[0].adapter_sha256 == files[1].adapter_sha256


def test_all_that_waits_is_answered_as_a_batch_would_be(trained_encoder, monkeypatch):
    workspace, _ = trained_encoder
    version = registry.find_version(workspace, "intents", "latest")
    served = open_served(workspace, version)
    try:
        together = served.answer([{"text": text} for text in TEXTS])
        begun, go, groups, answer = threading.Event(), threading.Event(), [], served.classifier.answer

        def slow(questions, progress=None):
            begun.set()
            assert go.wait(60)
            groups.append(len(questions))
            return answer(questions, progress)

        monkeypatch.setattr(served.classifier, "answer", slow)
        soon = [served.soon({"text": TEXTS[0]})]
        assert begun.wait(60)
        soon += [served.soon({"text": text}) for text in TEXTS[1:]]
        empty, left = served.soon({"text": " "}), served.soon({"text": "nobody waits"})
        assert left.cancel()
        go.set()
    finally:
        served.close()
    alone = [one.result(60) for one in soon]  # what waits is answered before the model is freed
    assert [a.prediction.target for a in together] == [a.prediction.target for a in alone]
    with pytest.raises(InputError, match="the input is empty"):
        empty.result(60)
    assert groups == [1, 64, len(TEXTS) - 65]
    assert all(0 < a.prediction.confidence <= 1 for a in together)


def test_an_empty_input_keeps_its_place(trained_encoder):
    workspace, _ = trained_encoder
    served = open_served(workspace, registry.find_version(workspace, "intents", "latest"))
    try:
        first, second = served.answer([{"text": "  "}, {"text": "new pin please"}])
    finally:
        served.close()
    assert first.prediction.error == "the input is empty"
    assert second.prediction.target in {"card_arrival", "change_pin", "failed_transfer"}


def test_it_is_evaluated_under_its_own_name_and_promoted_and_predicts(trained_encoder, tmp_path):
    workspace, result = trained_encoder
    found = inhouse.evaluate(workspace, "intents")
    names = {c.name for c in found.contenders}
    assert "fine-tuned-encoder" in names
    assert "fine-tuned" not in names
    (untrained,) = (one for one in found.left_out if one.contender == "fine-tuned")
    assert "`inhouse train intents --model causal` makes one" in untrained.reason
    assert {"embedding-linear", "tfidf-linear", "prompted", "majority"} <= names
    assert Path(found.report).is_file()
    assert [r.target_errors for r in found.reviews if r.contender == "fine-tuned-encoder"] == [0.02, 0.05]
    version = registry.find_version(workspace, "intents", "latest")
    (review,) = (r for r in found.reviews if r.contender == "fine-tuned-encoder" and r.target_errors == 0.05)
    assert version.threshold == (1.01 if review.threshold is None else review.threshold)
    kept = json.loads(Path(found.files["json"]).read_bytes())
    assert isinstance(kept.pop("wrong_answers"), list)
    assert Evaluation.model_validate(kept) == found
    for what in ("markdown", "card", "card_markdown"):
        assert result.model_version in Path(found.files[what]).read_text("utf-8")
    inhouse.promote(workspace, "intents", force=True, reason="for the test")
    checked = registry.find_version(workspace, "intents", "champion").checked
    assert checked.parity.passed
    assert checked.parity.tokens == len(records.load_dataset(workspace, "intents").of("train"))
    rows = write_csv(tmp_path / "new.csv", [{"text": row["text"]} for row in many_intents(2)])
    done = inhouse.predict(workspace, "intents", rows, tmp_path / "out.csv")
    assert (done.model_version, done.rows, done.errors) == (result.model_version, 24, 0)


def test_a_stopped_training_goes_on_to_the_same_weights(tiny_encoder, tmp_path):
    whole, _ = tuned(tiny_encoder, tmp_path / "whole.safetensors", steps=6)
    asked = iter([False, False, False, True])
    part, stopped = tuned(tiny_encoder, tmp_path / "part.safetensors", steps=6, stop=lambda: next(asked))
    assert stopped.interrupted
    assert stopped.position.step == 3
    again, outcome = tuned(tiny_encoder, tmp_path / "part.safetensors", steps=6)
    assert outcome.resumed
    assert outcome.position.step == 6
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert any(not torch.equal(part[name], again[name]) for name in whole)


def test_validation_examples_are_answered_as_before_they_were_learned_from(trained_encoder):
    workspace, result = trained_encoder
    version = registry.find_version(workspace, "intents", "latest")
    assert (result.steps, version.lineage["steps"]) == (12, 24)
    examples = records.load_dataset(workspace, "intents").of("validation")
    served = LabelClassifier(classifier_of(workspace, version), exact=version.exact)
    questions = [served.question(e.inputs["text"]) for e in examples]
    before, now = served.answer_unseen(questions), served.answer(questions)
    right = [a.target == e.target for a, e in zip(before, examples, strict=True)]
    assert sum(right) / len(right) == pytest.approx(result.parity.trainer_accuracy)
    assert result.parity.validation_examples == len(right)
    assert all(a.confidence != b.confidence for a, b in zip(before, now, strict=True))
    others = [served.question(f"{e.inputs['text']} today") for e in examples]
    assert served.answer_unseen(others) == served.answer(others)


def test_ctrl_c_in_the_second_tuning_leaves_a_version_and_the_next_train_goes_on(trained_encoder, workspace_of):
    unbroken, _ = trained_encoder
    workspace = workspace_of()
    stopped = inhouse.train(workspace, "intents", Second(lambda: signal.raise_signal(signal.SIGINT)))
    assert stopped.interrupted
    assert "second tuning" in stopped.stopped_because
    assert registry.find_version(workspace, "intents", "latest").lineage["steps"] == 12
    done = inhouse.train(workspace, "intents")
    assert (done.interrupted, done.resumed) == (False, True)
    ours, theirs = (registry.find_version(w, "intents", "latest") for w in (workspace, unbroken))
    assert ours.adapter_sha256 == theirs.adapter_sha256
    assert ours.file_sha256 == theirs.file_sha256


def no_numbers_from(first, last):
    """Makes the gradients of one weight no numbers at these steps, counted from 1."""
    steps = itertools.count(1)

    def spoil(encoder):
        weight = next(p for name, p in encoder.named_parameters() if name.endswith("query.weight"))
        weight.requires_grad_().register_hook(lambda g: g * math.nan if first <= next(steps) <= last else g)

    return spoil


@pytest.mark.parametrize("step", [1, 5])
def test_a_training_that_diverges_goes_back_once_and_on_with_a_smaller_rate(tiny_encoder, tmp_path, step):
    told = Silent()
    file = tmp_path / "c.safetensors"
    after, outcome = tuned(tiny_encoder, file, steps=6, spoil=no_numbers_from(step, step), reporter=told)
    assert any("diverged" in line and "learning rate of 0.0003" in line for line in told.warned)
    assert (outcome.position.rate, outcome.position.diverged_at, outcome.position.step) == (0.3, step, 6)
    assert all(torch.isfinite(weight).all() for weight in after.values())
    with pytest.raises(EngineFault, match="diverged twice"):
        tuned(tiny_encoder, tmp_path / "d.safetensors", steps=6, spoil=no_numbers_from(1, 9))


def test_a_look_takes_some_of_all_texts_whatever_their_order(monkeypatch):
    monkeypatch.setattr(encoder_loop, "LOOKED_AT", 12)
    by_label = LabelledTexts([[i] for i in range(60)], [i // 20 for i in range(60)])
    seen = looked_at(by_label, recipe_of())
    assert len(seen.ids) == 12
    assert set(seen.labels) == {0, 1, 2}
    assert looked_at(by_label, recipe_of(seed=3)) == seen  # seeds are compared on the same texts


def test_the_gate_compares_texts_of_all_labels_and_says_when_they_are_few(workspace_of, monkeypatch):
    workspace, asked, served = workspace_of(max_steps=2), [], classifier_packaging._Answerer.served

    def recorded(side, *given, **how):
        asked.append(side.texts)
        return served(side, *given, **how)

    monkeypatch.setattr(classifier_packaging._Answerer, "served", recorded)
    monkeypatch.setattr(classifier_packaging, "COMPARED", 12)
    told = Silent()
    inhouse.train(workspace, "intents", told)
    dataset = records.load_dataset(workspace, "intents")
    for texts, split, rows in zip(asked, ("validation", "train"), (9, 69), strict=True):
        examples = [e.inputs["text"] for e in dataset.of(split)]
        assert texts == [examples[i * rows // 6] for i in range(6)]
    assert any("12 texts to compare" in line for line in told.warned)


class Second(Silent):
    """Does something where the second tuning begins."""

    def __init__(self, does):
        super().__init__()
        self._does = does

    def say(self, text):
        super().say(text)
        if text.startswith("tuning once more"):
            self._does()


def test_a_second_tuning_without_time_leaves_the_first_to_serve(workspace_of, monkeypatch):
    workspace = workspace_of(minutes=5.0)
    told = Second(lambda: monkeypatch.setattr(encoder_loop._LabelTrainer, "_seconds", lambda tuning: 1e9))
    result = inhouse.train(workspace, "intents", told)
    assert not result.interrupted
    assert any("before the second tuning was done: the first serves" in line for line in told.warned)
    assert registry.find_version(workspace, "intents", "latest").lineage["steps"] == result.steps


def test_a_second_tuning_that_diverges_leaves_the_first_to_serve(workspace_of, monkeypatch):
    workspace = workspace_of()
    told = Second(lambda: monkeypatch.setattr(encoder_loop, "_learn", lambda *given: math.nan))
    result = inhouse.train(workspace, "intents", told)
    assert any("what was tuned without them serves" in line for line in told.warned)
    assert registry.find_version(workspace, "intents", "latest").lineage["steps"] == result.steps
    assert result.parity.passed


def test_another_kind_of_model_leaves_a_stopped_run_alone(workspace_of):
    workspace = workspace_of()
    prepared = classifier.prepare_classifier(workspace, workspace.load_task("intents"), Silent())
    number = prepared.dataset.number
    causal = Recipe.model_validate({
        **CAUSAL, "dataset_fingerprint": prepared.dataset.fingerprint, "base_model": "tiny", "base_sha256": "0",
    })  # fmt: skip
    first = records.open_run(workspace, "intents", number, causal)
    second = records.open_run(workspace, "intents", number, prepared.recipe)
    assert records.abandon_runs(workspace, "intents", second, number) == []
    assert records.abandon_runs(workspace, "intents", first, number) == []
    faster = records.open_run(workspace, "intents", number, prepared.recipe.model_copy(update={"learning_rate": 0.1}))
    assert records.abandon_runs(workspace, "intents", faster, number) == [second.id]
    assert records.abandon_runs(workspace, "intents", faster, number + 1) == [first.id]


CAUSAL = {
    "seed": 0, "epochs": 1, "batch_size": 8, "learning_rate": 1e-3, "warmup_share": 0.1, "rank": 4, "alpha": 8,
    "weight_decay": 0.0, "max_grad_norm": 1.0, "max_tokens": 64, "patience": 3, "precision": "float32", "system": "",
}  # fmt: skip


def recipe_of(**changes) -> EncoderRecipe:
    values = {
        "base_model": "tiny", "base_sha256": "0", "dataset_fingerprint": "0", "seed": 0, "schedule": 6, "batch_size": 16,
        "learning_rate": 1e-3, "head_learning_rate": 1e-3, "layer_decay": 0.9, "warmup_share": 0.1, "weight_decay": 0.01,
        "max_grad_norm": 1.0, "label_smoothing": 0.1, "scale": 20.0, "temperature": 0.1, "contrast": 1.0, "max_tokens": 32,
        "patience": 9, "strength": 10.0, "ngram_weights": (0.0, 0.3), "margin_weights": (1.0,),
    }  # fmt: skip
    return EncoderRecipe.model_validate({**values, **changes})


def tuned(folder, checkpoint, *, steps, stop=lambda: False, spoil=lambda encoder: None, reporter=None):
    """Tune the tiny encoder on the messages; the weights as they stand and the outcome."""
    torch.set_num_threads(1)
    encoder, facts, rows = load_encoder(folder), facts_of(folder), many_intents()
    ids = TextTokens.of_folder(folder, 32).ids([row["text"] for row in rows])
    labels = sorted({row["category"] for row in rows})
    wanted = [labels.index(row["category"]) for row in rows]
    means = torch.eye(3, facts.width)
    spoil(encoder)
    outcome = tune(
        encoder,
        facts,
        means,
        LabelledTexts(ids[:72], wanted[:72]),
        LabelledTexts(ids[72:], wanted[72:]),
        recipe_of(schedule=steps),
        checkpoint,
        reporter or Silent(),
        asked_to_stop=stop,
    )
    return {name: p.detach().clone() for name, p in encoder.named_parameters()}, outcome


def gradients(folder, monkeypatch, kept_at_once):
    """The loss and the gradients of a step on thirty messages, within so many bytes."""
    monkeypatch.setattr(encoder_loop, "KEPT_AT_ONCE", kept_at_once)
    torch.set_num_threads(1)
    encoder, facts, rows = load_encoder(folder).train(), facts_of(folder), many_intents()[:30]
    ids = TextTokens.of_folder(folder, 32).ids([row["text"] for row in rows])
    labels = sorted({row["category"] for row in rows})
    texts = LabelledTexts(ids, [labels.index(row["category"]) for row in rows])
    head = torch.nn.Parameter(torch.eye(3, facts.width))
    learned = {**tunable(encoder), "head": head}
    torch.manual_seed(7)
    loss = encoder_loop._learn(encoder, head, facts, texts, range(30), recipe_of())
    return loss, {name: parameter.grad for name, parameter in learned.items()}


def test_a_step_in_parts_has_the_gradients_of_a_whole_one(tiny_encoder, monkeypatch):
    loss, whole = gradients(tiny_encoder, monkeypatch, math.inf)
    in_parts, parts = gradients(tiny_encoder, monkeypatch, 0)
    assert in_parts == pytest.approx(loss, rel=1e-6)
    for name, gradient in whole.items():
        assert (gradient - parts[name]).norm() <= 1e-5 * gradient.norm(), name


@pytest.mark.parametrize("family", ["bert", "distilbert", "xlm-roberta", "modernbert"])
def test_a_step_in_parts_keeps_no_more_than_a_part_at_once(family, tmp_path, monkeypatch):
    folder = write_encoder(tmp_path / family, family)
    facts, alive = facts_of(folder), Alive()
    lengths = sorted(len(ids) for ids in TextTokens.of_folder(folder, 32).ids(TEXTS[:30]) for _ in (1, 2))
    kept = kept_for_gradient(facts, lengths, list(parts_of(lengths)))
    with torch.autograd.graph.saved_tensors_hooks(alive.pack, alive.unpack):
        gradients(folder, monkeypatch, math.inf)
        whole, alive.most = alive.most, 0
        gradients(folder, monkeypatch, 0)
    assert max(kept) * 2 < sum(kept)
    assert 0.6 * sum(kept) < whole < 1.3 * sum(kept)
    assert 0.6 * max(kept) < alive.most < 1.3 * max(kept)


class Alive:
    """Counts the bytes of tensors that are kept for gradients at one time; weights, which are there anyway, are not."""

    def __init__(self):
        self.users, self.now, self.most = Counter(), 0, 0

    def pack(self, tensor):
        weight = isinstance(tensor, torch.nn.Parameter) or isinstance(tensor._base, torch.nn.Parameter)
        return tensor if weight else Kept(self, tensor)

    def unpack(self, kept):
        return kept.tensor if isinstance(kept, Kept) else kept

    def count(self, place, size, users):
        before = self.users[place] > 0
        self.users[place] += users
        self.now += size * ((self.users[place] > 0) - before)
        self.most = max(self.most, self.now)


class Kept:
    def __init__(self, alive, tensor):
        self.alive, self.tensor = alive, tensor
        self.place, self.size = tensor.untyped_storage().data_ptr(), tensor.untyped_storage().nbytes()
        alive.count(self.place, self.size, 1)

    def __del__(self):
        self.alive.count(self.place, self.size, -1)


def test_more_memory_than_there_is_is_told_with_what_takes_less(workspace_of, monkeypatch):
    workspace = workspace_of()
    monkeypatch.setattr(classifier, "encoder_memory_needed", lambda *_: 1e15)
    told = Silent()
    plan = inhouse.plan_training(workspace, "intents", told)
    assert not plan.fits
    assert any("smaller `train.max_tokens` or `train.batch_size`" in line for line in told.warned)


def test_vectors_of_words_are_left_as_they_are(tiny_encoder, tmp_path):
    before = dict(load_encoder(tiny_encoder).named_parameters())
    after, outcome = tuned(tiny_encoder, tmp_path / "c.safetensors", steps=2)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == set(tunable(load_encoder(tiny_encoder)))
    assert not any("embeddings" in name for name in changed)
    assert set(outcome.state) == changed


@pytest.mark.parametrize("family", ["bert", "distilbert", "modernbert", *ROBERTAS])
def test_encoders_of_the_hub_are_read_and_exported(family, tmp_path, models_dir):
    from inhouse.engine.classifier import Reading, write_classifier
    from inhouse.engine.encoder_model import TwinEncoder

    folder = write_encoder(tmp_path / family, family)
    base = get_base(str(folder), Settings(models_dir=models_dir))
    assert (base.spec.kind, base.spec.local) == ("encoder", folder)
    facts = facts_of(base.folder)
    assert facts.width == 32
    assert facts.layers == 2
    assert len(tunable(load_encoder(base.folder))) > 10
    twin = TwinEncoder(load_encoder(base.folder), load_encoder(folder), facts.pooling).eval()
    reading = Reading((base.folder / "tokenizer.json").read_text(), min(32, facts.longest), facts.pad, facts.prefix)
    targets = [row["category"] for row in many_intents()]
    vectors = vectors_of(twin, reading.tokens.ids(TEXTS), facts.pad)
    head = fit_head(vectors, TEXTS, targets, plain=Plain(0.3), strength=10.0)
    write_classifier(tmp_path / "model", twin, reading, head, {})
    served = LabelClassifier(tmp_path / "model", exact=True)
    answers = served.answer([served.question(text) for text in TEXTS])
    chances = head.log_chances(vectors, TEXTS)
    assert [a.target for a in answers] == [head.labels[i] for i in chances.argmax(1)]
    assert np.allclose([a.confidence for a in answers], np.exp(chances.max(1)), atol=0.02)


def test_pooling_length_and_prefix_are_those_of_the_folder(tmp_path):
    folder = write_encoder(tmp_path / "e5")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 12}))
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": "query: "}}))
    facts = facts_of(folder)
    assert (facts.pooling, facts.longest, facts.prefix) == ("cls", 12, "query: ")
    model = load_encoder(folder)
    ids, mask = padded_texts(TextTokens.of_folder(folder, 12, "query: ").ids(["new pin please"]), facts.pad)
    with torch.inference_mode():
        first = torch.nn.functional.normalize(model(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0], dim=1)
        assert torch.allclose(pooled(model, ids, mask, "cls"), first)
    given = SentenceEncoder(folder).embed(["new pin please"])
    assert np.allclose(given, first.numpy(), atol=1e-6)


@pytest.mark.parametrize("family", ["bert", *ROBERTAS])
def test_the_longest_text_is_read_to_its_end_and_padding_changes_nothing(family, tmp_path):
    folder = write_encoder(tmp_path / family, family)
    facts, model = facts_of(folder), load_encoder(folder)
    assert facts.longest == (40 if family == "bert" else 38)
    whole, short = [2, *[7] * (facts.longest - 2), 3], [2, 8, 9, 3]
    with torch.inference_mode():
        both, alone = (pooled(model, *padded_texts(rows, facts.pad), "mean") for rows in ([whole, short], [short]))
    assert torch.allclose(both[1], alone[0], atol=1e-5)
    assert not torch.allclose(both[0], both[1], atol=1e-2)


def test_an_e5_gets_its_prefix_by_its_name_and_that_is_told(tmp_path, models_dir):
    told, prefixes = [], {}
    for name in ("tiny-e5-base", "tiny-e5-instruct", "base5"):
        folder = write_encoder(tmp_path / name)
        prefixes[name] = facts_of(get_base(str(folder), Settings(models_dir=models_dir), told.append).folder).prefix
    assert prefixes == {"tiny-e5-base": "query: ", "tiny-e5-instruct": "", "base5": ""}
    assert [line for line in told if "'query: '" in line] == [
        "tiny-e5-base is an E5 by its name: every text gets the prefix 'query: ', which these were trained with"
    ]


def test_a_dense_layer_after_the_pooling_is_refused(tmp_path, models_dir):
    folder = write_encoder(tmp_path / "dense")
    kinds = ["Transformer", "Pooling", "Dense", "Normalize"]
    steps = [{"idx": i, "type": f"sentence_transformers.models.{kind}"} for i, kind in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(steps))
    with pytest.raises(ModelUnavailable, match="a step 'Dense', which is not done here"):
        get_base(str(folder), Settings(models_dir=models_dir))
    del steps[2]
    (folder / "modules.json").write_text(json.dumps(steps))
    assert get_base(str(folder), Settings(models_dir=models_dir)).spec.kind == "encoder"


@pytest.mark.parametrize(("content", "told"), [('[{"idx": 0,', "not valid JSON"), ('{"idx": 0}', "no JSON array")])
def test_damaged_steps_of_an_encoder_are_told_with_the_file(tmp_path, models_dir, content, told):
    folder = write_encoder(tmp_path / "damaged")
    (folder / "modules.json").write_text(content)
    with pytest.raises(ModelUnavailable, match=told) as fault:
        get_base(str(folder), Settings(models_dir=models_dir))
    assert "modules.json" in str(fault.value)


def test_a_cut_text_keeps_its_last_token(tiny_encoder):
    tokens = TextTokens.of_folder(tiny_encoder, 5)
    (whole,), (cut,) = tokens.whole(["my card has not arrived today"]), tokens.ids(["my card has not arrived today"])
    assert len(whole) > 5
    assert cut == [*whole[:4], whole[-1]]


def test_what_is_no_encoder_is_refused_with_the_remedy(tmp_path, models_dir, workspace_of, tiny_gguf):
    folder = write_encoder(tmp_path / "odd")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelUnavailable, match=r"no tokenizer\.json"):
        get_base(str(folder), Settings(models_dir=models_dir))
    other = write_encoder(tmp_path / "max")
    (other / "1_Pooling").mkdir()
    (other / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_max_tokens": True}))
    with pytest.raises(ModelUnavailable, match="pooling_mode_max_tokens"):
        get_base(str(other), Settings(models_dir=models_dir))
    workspace = workspace_of()
    task = workspace.load_task("intents")
    workspace.save_task(task.model_copy(update={"encoder_model": str(tiny_gguf)}))
    with pytest.raises(ModelUnavailable, match="is a model that writes answers, not a sentence encoder"):
        inhouse.train(workspace, "intents")


def test_an_encoder_is_for_labels(workspace_of):
    workspace = workspace_of()
    with pytest.raises(UsageError, match="no model that can be trained"):
        inhouse.train(workspace, "intents", model="decoder")
    inhouse.init(workspace, "notes", kind="generate")
    with pytest.raises(UsageError, match="an encoder picks a label"):
        inhouse.train(workspace, "notes", model="encoder")


class Steps(Silent):
    """Keeps where each training begins and how many steps it has; stops at a step of the last one, where one is named."""

    def __init__(self, stop_at=None):
        super().__init__()
        self.begun, self.of, self._stop_at, self._last = [], [], stop_at, False

    def say(self, text):
        super().say(text)
        self._last = self._last or text == "training on 69 of 69 examples"

    def bar(self, label, total):
        return SimpleNamespace(update=partial(self._at, [], total) if label == "training" else lambda *_: None)

    def _at(self, seen, total, done, *_):
        if not seen:
            self.begun.append(done)
            self.of.append(total)
        seen.append(done)
        if self._last and done == self._stop_at:
            self._stop_at = None
            signal.raise_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def encoder_curve(workspace_of):
    workspace = workspace_of()
    return workspace, inhouse.train_curve(workspace, "intents")


def test_the_curve_of_an_encoder_ends_with_what_its_version_is_judged_by(encoder_curve, trained_encoder):
    workspace, found = encoder_curve
    measured = [p for p in found.points if p.measured]
    assert [p.examples for p in measured] == [17, 34, 69]
    assert measured[-1].score == pytest.approx(trained_encoder[1].validation_score)
    assert (found.metric, found.validation_examples, found.interrupted) == ("accuracy", 9, False)
    assert "69 more examples would bring accuracy about" in found.reason
    assert Path(found.chart).read_text("utf-8").startswith("<svg")
    assert kept_curve(workspace, "intents") == found
    # It speaks of the data that it was drawn of, give or take a tenth.
    assert [curve_of_today(workspace, "intents", n) == found for n in (60, 63, 76, 90)] == [False, True, True, False]
    assert registry.versions(workspace, "intents") == []
    assert not list((workspace.paths.root / "runs").glob("*"))


def test_a_curve_of_an_encoder_that_was_stopped_goes_on_to_the_same_points(encoder_curve, workspace_of):
    workspace = workspace_of()
    part = inhouse.train_curve(workspace, "intents", Steps(stop_at=4))
    assert part.interrupted
    assert "of 3 trainings 2 are done" in part.reason
    assert part.points[:2] == encoder_curve[1].points[:2]
    again = Steps()
    whole = inhouse.train_curve(workspace, "intents", again)
    assert again.begun == [12, 12, 4]
    assert whole.points == encoder_curve[1].points
    assert not list((workspace.paths.root / "runs").glob("*"))


def test_minutes_count_for_each_training_of_a_curve_and_keys_of_the_other_model_do_not(workspace_of, monkeypatch):
    workspace, told = workspace_of(model="causal", max_steps=None, rank=4), Steps()
    monkeypatch.setattr(curve_shares, "step_seconds", lambda _: 1.0)
    inhouse.train_curve(workspace, "intents", told, minutes=0.2, model="encoder")
    assert told.of == [5, 5, 5]  # nine tenths of 12 s have room for five steps, each taken twice
    assert any("not used: train.rank" in line for line in told.said)


@pytest.fixture
def relabelled(workspace_of):
    """Makes what training needs of the messages, each relabelled: by whether it is in the smallest part, whether in the
    half, and its label."""
    workspace = workspace_of()
    prepared = classifier.prepare_classifier(workspace, workspace.load_task("intents"), Silent())
    small, half, _ = ({e.id for e in p.examples("train")} for p in encoder_parts(prepared, Silent()))

    def make(label_of):
        examples = [
            replace(e, target=label_of(e.id in small, e.id in half, e.target)) for e in prepared.dataset.examples
        ]
        return classifier.classifier_on(
            replace(prepared.dataset, examples=tuple(examples)), prepared.task, prepared.base
        )

    return make


def test_a_label_that_a_part_lacks_is_never_its_answer(relabelled, tmp_path):
    prepared = relabelled(lambda small, half, label: label if small or label != "change_pin" else "other")
    first = encoder_parts(prepared, Silent())[0]
    assert "other" not in first.targets("train")
    metric, scores = curve_shares._encoder_scores(first, tmp_path, Silent(), lambda: False)
    wanted = prepared.targets("validation")
    assert (metric, len(scores)) == ("accuracy", len(wanted))
    assert len(first.validation.ids) == len(wanted) - wanted.count("other") < len(wanted)
    assert all(score == 0 for score, label in zip(scores, wanted, strict=True) if label == "other")
    assert sum(scores) > 0


def test_a_part_of_one_label_is_left_out_of_the_curve_and_that_is_told(relabelled):
    told = Silent()
    parts = encoder_parts(relabelled(lambda small, half, label: "same" if small else label), told)
    assert [part.edge for part in parts] == [34, 69]
    assert ["1 labels in 17 training examples" in line for line in told.warned] == [True]
    with pytest.raises(TooFewExamples, match="too few training examples for a curve"):
        encoder_parts(relabelled(lambda small, half, label: "same" if half else label), Silent())


def test_the_plan_tells_time_and_choices_and_keeps_nothing(workspace_of):
    workspace = workspace_of(max_steps=None)
    plan = inhouse.plan_training(workspace, "intents")
    assert plan.steps == 12  # passes over 69 messages, of one batch each
    assert plan.minutes > 0
    assert plan.fits
    assert {"model", "steps", "head"} <= {choice.name for choice in plan.choices}
    short = inhouse.plan_training(workspace, "intents", minutes=plan.minutes / 2)
    assert 1 <= short.steps < 12
    assert registry.versions(workspace, "intents") == []


def test_a_plan_without_the_memory_for_it_measures_no_step(workspace_of, monkeypatch):
    workspace = workspace_of(max_steps=None)
    free = psutil.virtual_memory()._replace(available=0)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    monkeypatch.setattr(classifier, "step_seconds", lambda _: pytest.fail("a step was run"))
    plan = inhouse.plan_training(workspace, "intents")
    assert not plan.fits
    assert plan.minutes > 0
    told = planned(plan)
    assert "`train.batch_size`" in told
    assert "train.rank" not in told


def test_the_plan_of_the_causal_model_tells_what_the_encoder_would_take(workspace_of, tiny_encoder):
    workspace = workspace_of()
    prepared = get_base(str(tiny_encoder), workspace.settings)  # on this machine
    plan = inhouse.plan_training(workspace, "intents", model="causal")
    (option,) = [o for o in plan.options if o.kind == "encoder"]
    assert option.parameters == prepared.spec.parameters
    assert option.minutes > 0
    assert "(--model encoder)" in planned(plan)


def test_the_plan_of_the_causal_model_stands_whatever_the_encoder_is(workspace_of, tmp_path, models_dir):
    folder = write_encoder(tmp_path / "odd")
    workspace = workspace_of(model="causal")
    get_base(str(folder), Settings(models_dir=models_dir))
    task = workspace.load_task("intents")
    workspace.save_task(task.model_copy(update={"encoder_model": str(folder)}))
    told = Silent()
    assert [o for o in inhouse.plan_training(workspace, "intents", told).options if o.kind == "encoder"]
    (folder / "tokenizer.json").unlink()
    assert not [o for o in inhouse.plan_training(workspace, "intents", told).options if o.kind == "encoder"]
    assert [warning for warning in told.warned if "nearly in the training data" not in warning] == []


def test_a_measured_step_teaches_nothing(tiny_encoder):
    encoder, facts = load_encoder(tiny_encoder), facts_of(tiny_encoder)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    ids = TextTokens.of_folder(tiny_encoder, 32).ids(TEXTS[:40])
    assert (
        encoder_loop.seconds_per_step(encoder, facts, LabelledTexts(ids, [i % 3 for i in range(40)]), recipe_of()) > 0
    )
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())


def test_a_measured_step_whose_gradient_is_no_number_changes_no_weight(tiny_encoder):
    encoder, facts = load_encoder(tiny_encoder), facts_of(tiny_encoder)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    ids = TextTokens.of_folder(tiny_encoder, 32).ids(TEXTS[:40])
    texts, odd = LabelledTexts(ids, [i % 3 for i in range(40)]), recipe_of().model_copy(update={"scale": math.inf})
    assert encoder_loop.seconds_per_step(encoder, facts, texts, odd) > 0
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())


def test_memory_counts_the_head_of_many_rows_as_far_as_their_own_space_is_used(tiny_encoder):
    few, many, more = (
        encoder_memory_needed(facts_of(tiny_encoder), recipe_of().batch_size, [10] * n) for n in (100, 10_000, 10_001)
    )
    assert many - few > 1.5 * 2**30
    assert few <= more < few + 0.1 * 2**30


def test_keys_of_the_file_are_for_the_model_that_it_names(workspace_of):
    workspace = workspace_of(model="causal", method="dora", learning_rate=2e-3, batch_size=7, max_tokens=20)
    told = Silent()
    plan = inhouse.plan_training(workspace, "intents", told, model="encoder")
    assert (plan.recipe["learning_rate"], plan.recipe["batch_size"], plan.recipe["max_tokens"]) == (5e-5, 69, 20)
    assert any("not used: train.method, train.learning_rate, train.batch_size" in line for line in told.said)
    file = workspace.paths.task_file("intents")
    file.write_text(file.read_text().replace('model = "causal"', 'model = "encoder"'))
    with pytest.raises(ConfigError, match=r"train\.method = 'dora' is for the causal model"):
        inhouse.train(workspace, "intents")


def test_the_contrast_is_that_of_the_paper():
    vectors = torch.nn.functional.normalize(torch.randn(6, 5, generator=torch.Generator().manual_seed(0)), dim=1)
    labels = torch.tensor([0, 0, 1, 1, 1, 2])
    total = 0.0
    for i in range(6):
        others = [j for j in range(6) if j != i]
        bottom = sum(torch.exp(vectors[i] @ vectors[j] / 0.1) for j in others)
        alike = [j for j in others if labels[j] == labels[i]]
        terms = [torch.log(torch.exp(vectors[i] @ vectors[j] / 0.1) / bottom) for j in alike]
        total -= sum(terms) / max(len(alike), 1)
    assert torch.isclose(supervised_contrast(vectors, labels, 0.1), torch.as_tensor(total / 6), atol=1e-5)


def test_a_pass_holds_every_text_once_and_most_beside_one_of_its_label():
    labels = [i % 5 for i in range(50)]
    batches = batches_of(labels, 16, 0, 3)
    assert sorted(place for batch in batches for place in batch) == list(range(50))
    assert all(labels[a] == labels[b] for batch in batches for a, b in zip(batch[::2], batch[1::2], strict=True))
    assert batches_of(labels, 16, 0, 3) == batches
    assert batches_of(labels, 16, 1, 3) != batches


@pytest.fixture(scope="module")
def head_data():
    """Vectors that tell nothing, and letters that tell all."""
    rows = many_intents()
    texts, targets = [r["text"] for r in rows], [r["category"] for r in rows]
    vectors = np.random.default_rng(0).normal(size=(len(texts), 16)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), texts, targets


def test_the_rows_own_space_has_the_same_solution(head_data, monkeypatch):
    vectors, texts, targets = head_data
    turned = fit_head(vectors, [*texts[:-1], texts[0]], targets, plain=Plain(0.5), strength=10.0)  # two rows are alike
    monkeypatch.setattr(sys.modules[fit_head.__module__], "OWN_SPACE", 0)
    direct = fit_head(vectors, [*texts[:-1], texts[0]], targets, plain=Plain(0.5), strength=10.0)
    assert np.allclose(turned.log_chances(vectors, texts), direct.log_chances(vectors, texts), atol=2e-3)


def test_labels_of_one_or_two_rows_are_learned_without_a_warning(head_data):
    vectors, texts, _ = head_data
    targets = [f"label {i * 2 // 3}" for i in range(12)]
    given = {"weights": (0.0,), "margin_weights": (1.0,), "strength": 10.0, "seed": 0}
    plain = chosen_plain(vectors[:12, :8], texts[:12], targets, **given)
    for which in (plain, Plain(1.0, margin=2.0)):
        head = fit_head(vectors[:12], texts[:12], targets, plain=which, strength=10.0)
        assert len(head.labels) == 8


def test_letters_are_weighed_by_what_they_tell(head_data):
    vectors, texts, targets = head_data
    given = {"strength": 10.0, "seed": 0}
    assert chosen_plain(
        vectors[:, :8], texts, targets, weights=(0.0, 0.01, 2.0), margin_weights=(0.0,), **given
    ) == Plain(2.0)
    svm = chosen_plain(vectors[:, :8], texts, targets, weights=(0.0,), margin_weights=(2.0,), **given)
    assert svm.ngram_weight == 2.0
    assert svm.margin > 1
    head = fit_head(vectors, texts, targets, plain=svm, strength=10.0)
    right = [head.labels[i] for i in head.with_pool((0.0, 1.0)).log_chances(vectors, texts).argmax(1)]
    assert right == targets


def test_the_pool_leans_to_the_classifier_that_knows_and_is_written_whole(head_data):
    vectors, texts, targets = head_data
    half = len(texts) // 2
    order = np.random.default_rng(1).permutation(len(texts))
    learned, held = order[:half], order[half:]
    take = lambda items, places: [items[i] for i in places]  # noqa: E731
    head = fit_head(vectors[learned], take(texts, learned), take(targets, learned), plain=Plain(1.0), strength=10.0)
    pool = fitted_pool(head, vectors[held], take(texts, held), take(targets, held))
    assert pool[1] > pool[0] >= 0
    pooled_head = head.with_pool(pool)
    again = LabelHead.of_bytes(*pooled_head.as_bytes())
    assert np.array_equal(again.log_chances(vectors, texts), pooled_head.log_chances(vectors, texts))
    assert np.allclose(np.exp(again.log_chances(vectors, texts)).sum(1), 1)
    assert fitted_pool(head, vectors[:1], texts[:1], ["a label that nobody trained"]) == head.pool


def test_rows_of_one_group_stay_in_one_fold():
    folds = folds_of(["a", "b", "a", "c", "d", "e", "f", "c"])
    assert list(folds) == [0, 1, 0, 2, 3, 4, 0, 2]


def test_what_groups_alone_tell_does_not_choose(head_data):
    """Each row stands there with its copy: without groups the n-grams that name the copy would seem to tell all."""
    vectors = np.repeat(head_data[0][:, :8], 2, axis=0)
    labels = np.random.default_rng(3).choice(["a", "b", "c"], len(head_data[1]))
    texts = [f"word{i % 26}{chr(97 + i % 7)} {chr(97 + i // 26)}{chr(97 + i % 26)}zq" for i in range(len(labels))]
    rows = {"weights": (0.0, 2.0), "margin_weights": (), "strength": 10.0, "seed": 0}
    doubled, targets = np.repeat(texts, 2).tolist(), np.repeat(labels, 2).tolist()
    assert chosen_plain(vectors * 0.01, doubled, targets, **rows).ngram_weight == 2.0
    alone = chosen_plain(vectors * 0.01, doubled, targets, groups=doubled, **rows)
    assert alone.ngram_weight == 0.0


def test_no_n_gram_tells_of_a_single_text_or_holds_a_number(head_data, monkeypatch):
    texts = head_data[1]
    once = "ask Zbigniew Quaxtor of contract 774412 and 3 4 5"
    words, letters = (terms for terms, _ in NGrams.learn([*texts, once, "contract 774412 bounced"]).parts)
    assert "contract" in words
    assert not any("zbigniew" in term or "qua" in term for term in (*words, *letters))
    assert not any(pair in term for pair in ("77", "74", "44", "41", "12") for term in (*words, *letters))
    monkeypatch.setattr(sys.modules[NGrams.__module__], "MOST_TERMS", 7)
    assert [len(terms) for terms, _ in NGrams.learn(texts).parts] == [7, 7]
    alone = NGrams.learn(["one", "two"])  # no term is in both
    assert alone.of(["one two"]).nnz == 0


@pytest.mark.parametrize("number", ["1,5", "3/4", "1.2", "7:9", "1'4", "6_2", "2-0", "8 3", "58", "٣٤"])
def test_no_n_gram_holds_a_number_with_a_sign_in_it(number):
    words, letters = (terms for terms, _ in NGrams.learn([f"pay {number} eur", f"owe {number} eur"]).parts)
    assert "eur" in words
    assert " eu" in letters
    assert [term for term in (*words, *letters) if sum(map(str.isdecimal, term)) > 1] == []


def test_an_easy_split_makes_the_head_no_surer_than_its_rows_allow(head_data):
    vectors, texts, targets = head_data
    head = fit_head(vectors, texts, targets, plain=Plain(1.0), strength=10.0)
    known = slice(0, 20)  # of what was learned: no mistake among them
    assert [head.labels[i] for i in head.experts(vectors[known], texts[known])[1].argmax(1)] == targets[known]
    sum_of_few = sum(fitted_pool(head, vectors[known], texts[known], targets[known]))
    sum_of_many = sum(fitted_pool(head, vectors, texts, targets))
    assert 2 <= sum_of_few < sum_of_many < 4  # without a prior: 20


def test_another_file_fails_the_gate(trained_encoder):
    from inhouse.core import Prediction

    trainer = [Prediction(target="a", confidence=0.9)] * 100
    served = [*trainer[:95], *[Prediction(target="b", confidence=0.9)] * 5]
    logprobs = np.log([0.9] * 95 + [0.01] * 5)
    right = np.ones(10, bool)
    parity = compare_labels(trainer, logprobs, served, right, right)
    assert not parity.passed
    assert "only 95 of 100 labels agree" in parity.reason
    near = compare_labels(trainer, np.log([0.9] * 95 + [0.89] * 5), served, right, right)
    assert near.passed
    assert near.ties == 5


def test_a_file_that_is_none_is_refused(tmp_path):
    file = tmp_path / "model"
    file.write_bytes(b"not a zip archive")
    with pytest.raises(ModelUnavailable, match="no whole classifier"):
        LabelClassifier(file)


def test_a_file_of_before_answers_validation_examples_as_any_text(trained_encoder, tmp_path):
    workspace, _ = trained_encoder
    file, before = classifier_of(workspace, registry.find_version(workspace, "intents", "latest")), tmp_path / "before"
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(before, "w") as older:
        assert "unseen.json" in archive.namelist()
        for name in set(archive.namelist()) - {"unseen.json"}:
            older.writestr(name, archive.read(name))
        older.writestr("held.json", "{}")
    served = LabelClassifier(before)
    questions = [served.question(text) for text in TEXTS[:20]]
    assert served.answer_unseen(questions) == served.answer(questions)


def test_the_tuned_weights_are_kept_beside_the_file(trained_encoder, tiny_encoder):
    workspace, _ = trained_encoder
    version = registry.find_version(workspace, "intents", "latest")
    kept = load_file(workspace.blobs.path(version.adapter_sha256, ".safetensors"))
    assert set(kept) == set(tunable(load_encoder(tiny_encoder)))


def test_what_was_tuned_can_be_read_back_and_is_what_serves(trained_encoder, tiny_encoder):
    workspace, _ = trained_encoder
    version = registry.find_version(workspace, "intents", "latest")
    encoder, facts = load_encoder(tiny_encoder), facts_of(tiny_encoder)
    ids = TextTokens.of_folder(tiny_encoder, 32).ids(TEXTS[:5])
    forward = partial(pooled, encoder, pooling=facts.pooling)
    before = vectors_of(forward, ids, facts.pad)
    state = load_file(workspace.blobs.path(version.adapter_sha256, ".safetensors"))
    copy_state({name: weight.detach() for name, weight in tunable(encoder).items()}, state)
    served = LabelClassifier(classifier_of(workspace, version), exact=True)
    given = served._vectors([served.question(text).prompt for text in TEXTS[:5]])
    assert np.allclose(given[:, : facts.width], vectors_of(forward, ids, facts.pad), atol=0.01)
    assert np.allclose(given[:, facts.width :], before, atol=0.01)
    assert not np.allclose(given[:, : facts.width], before, atol=0.02)
    with pytest.raises(EngineFault, match="is on one side only"):
        copy_state({name: weight.detach() for name, weight in tunable(encoder).items()}, {})


def test_a_damaged_classifier_fails_the_gate(workspace_of, monkeypatch):
    write = classifier_file.write_classifier

    def damaged(file, twin, reading, head, unseen):
        with torch.no_grad():
            for weight in twin.tuned.parameters():
                weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
        turned = replace(head, tuned=replace(head.tuned, weights=-head.tuned.weights))
        write(file, twin, reading, turned, unseen)

    monkeypatch.setattr(classifier_file, "write_classifier", damaged)
    workspace, told = workspace_of(max_steps=4), Silent()
    result = inhouse.train(workspace, "intents", told)
    assert not result.parity.passed
    assert any("failed the parity gate and cannot be promoted" in line for line in told.warned)
    with pytest.raises(Refused, match="parity gate"):
        inhouse.promote(workspace, "intents", force=True, reason="try")


def test_an_exported_folder_answers_as_the_served_file_without_inhouse(trained_encoder, tmp_path):
    workspace, _ = trained_encoder
    version = registry.find_version(workspace, "intents", "latest")
    out = tmp_path / "export"
    done = inhouse.export(workspace, "intents", to="openvino", out=out, which="latest")
    assert "classify.py" in done.files
    served = open_served(workspace, version)
    try:
        expected = [a.prediction for a in served.answer([{"text": text} for text in TEXTS[:20]])]
    finally:
        served.close()
    ran = subprocess.run(
        [sys.executable, str(out / "classify.py"), *TEXTS[:20]],
        capture_output=True, text=True, check=True, cwd=tmp_path, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    answers = [line.split("\t") for line in ran.stdout.splitlines()]
    assert [label for label, _ in answers] == [p.target for p in expected]
    assert np.allclose([float(chance) for _, chance in answers], [p.confidence for p in expected], atol=0.01)
    assert "python check.py" in (out / "README.md").read_text("utf-8")
    checked = [sys.executable, str(out / "check.py")]
    ran = subprocess.run(checked, capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]})
    told = json.loads((out / "check.json").read_text("utf-8"))
    assert f"{len(told['cases'])} of {len(told['cases'])} answers are the same" in ran.stdout
    told["cases"] = [{**case, "answer": "another"} for case in told["cases"]]
    (out / "check.json").write_text(json.dumps(told))
    assert subprocess.run(checked, capture_output=True, check=False, env={"PATH": os.environ["PATH"]}).returncode == 1
    with pytest.raises(UsageError, match="is a fine-tuned encoder, which is not exported to gguf"):
        inhouse.export(workspace, "intents", to="gguf", out=tmp_path / "no", which="latest")


def test_the_server_answers_with_a_label(trained_encoder):
    from starlette.testclient import TestClient

    from inhouse.api import make_app

    workspace, result = trained_encoder
    with TestClient(make_app(workspace)) as client:
        asked = {"model": result.model_version, "messages": [{"role": "user", "content": "new pin please now"}]}
        answer = client.post("/v1/chat/completions", json=asked).json()
        streamed = client.post("/v1/chat/completions", json={**asked, "stream": True}).text
    label = answer["choices"][0]["message"]["content"]
    assert label in registry.find_version(workspace, "intents", "latest").labels
    assert 0 < answer["inhouse"]["confidence"] <= 1
    assert answer["usage"]["prompt_tokens"] > 3
    assert label in streamed
    assert streamed.rstrip().endswith("data: [DONE]")


# --- what is forgotten


def words_of(workspace, version):
    """What a classifier's file has of texts, beside its base's own vocabulary."""
    with zipfile.ZipFile(classifier_of(workspace, version)) as archive:
        return "".join(archive.read(name).decode() for name in ("head.json", "unseen.json"))


def test_a_classifier_serves_on_and_tells_nothing_of_what_is_forgotten(trained_encoder, tmp_path):
    workspace = inhouse.open_workspace(shutil.copytree(trained_encoder[0].paths.root, tmp_path / "copy"))
    before = registry.find_version(workspace, "intents", "latest")
    validation = [e.inputs["text"] for e in records.load_dataset(workspace, "intents").of("validation")]
    endings = ("in spain", "at the bank", "since monday", "this week", "please help", "on my phone")
    ending = next(e for e in endings if any(text.endswith(e) for text in validation))
    gone = [text for text in validation if text.endswith(ending)]
    told = [f'"{" ".join(ending.split()[-2:])}"', *(hashlib.sha256(text.encode()).hexdigest() for text in gone)]
    assert [text for text in told if text not in words_of(workspace, before)] == []
    done = inhouse.forget(workspace, "intents", match=ending.upper(), yes=True)
    after = registry.find_version(workspace, "intents", "latest")
    assert (done.classifiers, done.models) == ((before.name,), (before.name,))
    assert not workspace.blobs.location(before.file_sha256, CLASSIFIER).exists()
    assert [text for text in told if text in words_of(workspace, after)] == []
    served = LabelClassifier(classifier_of(workspace, after), exact=after.exact)
    questions = [served.question(text) for text in validation if text not in gone]
    unseen, now = served.answer_unseen(questions), served.answer(questions)
    assert all(a.confidence != b.confidence for a, b in zip(unseen, now, strict=True))
    served.close()
    workspace.close()


# ---------------------------------------------------------------------- a linear contender that serves


@pytest.fixture(scope="module")
def evaluated(workspace_of):
    workspace = workspace_of()
    inhouse.train(workspace, "intents")
    inhouse.evaluate(workspace, "intents")
    return workspace


def win(workspace, winner):
    """A verdict that the winner is enough."""
    version = registry.find_version(workspace, "intents", 1)
    verdict = {**version.evaluation["verdict"], "decision": "not_needed", "winner": winner, "reason": "it is enough"}
    registry.update_version(
        workspace, version.model_copy(update={"evaluation": {**version.evaluation, "verdict": verdict}})
    )


@pytest.mark.parametrize("name", ["tfidf-linear", "embedding-linear"])
def test_a_linear_model_that_is_enough_is_promoted_and_answers_as_it_was_judged(evaluated, tmp_path, name):
    win(evaluated, name)
    promoted = inhouse.promote(evaluated, "intents")
    assert not promoted.forced
    version = registry.find_version(evaluated, "intents", "champion")
    assert (version.contender, version.name) == (name, promoted.champion)
    assert inhouse.promote(evaluated, "intents", which=str(version.number)).champion == version.name
    dataset = records.load_dataset(evaluated, "intents")
    kept = predictions.load(evaluated, "intents", "intents@1", name, dataset.fingerprint)
    test = dataset.of("test")
    assert (version.checked.parity.passed, version.checked.parity.tokens) == (True, len(test))
    served = open_served(evaluated, version)
    try:
        answers = [a.prediction for a in served.answer([e.inputs for e in test])]
        *_, (label, _) = served.stream(served.question(test[0].inputs))
    finally:
        served.close()
    assert [a.target for a in answers] == kept.filter(kept["split"] == "test")["answer"].to_list()
    assert [a.raw or a.confidence for a in answers] == pytest.approx(
        kept.filter(kept["split"] == "test")["confidence"].to_list(), abs=1e-5
    )
    assert label == answers[0].target
    rows = write_csv(tmp_path / "new.csv", [{"text": row["text"]} for row in many_intents(2)])
    done = inhouse.predict(evaluated, "intents", rows, tmp_path / "out.csv")
    assert (done.model_version, done.rows, done.errors) == (version.name, 24, 0)
    assert inhouse.evaluate(evaluated, "intents").model_version == "intents@1"


def test_another_contender_needs_a_reason_and_one_that_cannot_serve_is_refused(evaluated):
    win(evaluated, "tfidf-linear")
    with pytest.raises(Refused, match="not promoted"):
        inhouse.promote(evaluated, "intents", which="1", contender="embedding-linear")
    forced = inhouse.promote(
        evaluated, "intents", which="1", contender="embedding-linear", force=True, reason="for the test"
    )
    assert forced.forced
    own = inhouse.promote(evaluated, "intents", which="1", contender="fine-tuned-encoder", force=True, reason="test")
    assert own.champion == "intents@1"
    assert inhouse.promote(evaluated, "intents", which="1", force=True, reason="test").champion == "intents@1"
    with pytest.raises(Refused, match="cannot be served yet"):
        inhouse.promote(evaluated, "intents", which="1", contender="majority")
    with pytest.raises(NotFound, match="was not compared"):
        inhouse.promote(evaluated, "intents", which="1", contender="gpt")


def test_what_is_forgotten_goes_out_of_a_linear_model_too(evaluated):
    win(evaluated, "tfidf-linear")
    inhouse.promote(evaluated, "intents", which="1")
    before = registry.find_version(evaluated, "intents", "champion")
    held = json.loads(zipfile.ZipFile(classifier_of(evaluated, before)).read("unseen.json"))
    example = records.load_dataset(evaluated, "intents").of("validation")[0]
    assert hashlib.sha256(example.inputs["text"].encode()).hexdigest() in held
    told = inhouse.forget(evaluated, "intents", match=example.inputs["text"], yes=True)
    assert before.name in told.classifiers
    after = registry.find_version(evaluated, "intents", "champion")
    assert after.file_sha256 != before.file_sha256
    assert len(json.loads(zipfile.ZipFile(classifier_of(evaluated, after)).read("unseen.json"))) < len(held)
