"""The training loop on a tiny random model: it learns, it resumes exactly, it never trains on nothing."""

from __future__ import annotations

import json
import math

import pytest
import torch

from inhouse.core import Dataset, Example, Provenance, Silent, Task
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.lora import attach
from inhouse.engine.torch_model import load_model, use_threads
from inhouse.errors import NothingToLearn
from inhouse.train import encode, make_plan, make_recipe
from inhouse.train import loop as training

WORDS = {
    "card_arrival": "where is my card",
    "change_pin": "how do I change my pin",
    "failed_transfer": "transfer failed",
}


@pytest.fixture(scope="module")
def template(tiny_base):
    return ChatTemplate(tiny_base.folder)


def _dataset(per_label=12):
    examples = [
        Example({"text": f"{words} {n}"}, label, f"{label}{n}", Provenance("f.csv", n + 2))
        for n in range(per_label)
        for label, words in WORDS.items()
    ]
    splits = ["validation" if i % 6 == 5 else "train" for i in range(len(examples))]
    return Dataset("t", 1, tuple(examples), tuple(splits))


def _prepared(template, **wish):
    task = Task.model_validate({"name": "t", "labels": tuple(WORDS), "train": {"epochs": 4, "rank": 4, **wish}})
    dataset = _dataset()
    sides = [encode(dataset.of(s), template, system="", max_tokens=1024) for s in ("train", "validation")]
    recipe = make_recipe(task, dataset, sides[0], base_model="tiny", base_sha256="0", precision="float32")
    return recipe, sides


def _run(tiny_base, recipe, sides, checkpoint):
    use_threads(1)
    model = load_model(tiny_base.folder, "float32")
    return training.run_loop(
        model, attach(model, recipe.rank, recipe.alpha, recipe.seed), *sides, recipe, checkpoint, Silent()
    )


def test_it_learns(tiny_base, template, tmp_path):
    recipe, sides = _prepared(template, learning_rate=0.05, epochs=30)
    result = _run(tiny_base, recipe, sides, tmp_path / "c.safetensors")
    history = result.position.history
    assert result.position.best_loss < 0.5 * history[0]["validation_loss"]
    assert result.position.best_loss == min(row["validation_loss"] for row in history)
    assert result.position.tokens <= recipe.epochs * sum(e.tokens for e in sides[0])


def test_the_fused_pass_learns_what_the_padded_one_does(tiny_base, template, tmp_path, monkeypatch):
    recipe, sides = _prepared(template)
    fused = _run(tiny_base, recipe, sides, tmp_path / "fused.safetensors")
    monkeypatch.setattr(training, "can_fuse", lambda *_: False)
    padded = _run(tiny_base, recipe, sides, tmp_path / "padded.safetensors")
    for one, other in zip(fused.position.history, padded.position.history, strict=True):
        assert one["validation_loss"] == pytest.approx(other["validation_loss"], rel=1e-4)
    assert fused.position.history[-1]["validation_loss"] < 0.99 * fused.position.history[0]["validation_loss"]


class _Killed(Exception):
    """Stands for SIGKILL: nothing after it runs."""


@pytest.mark.parametrize("at", [1, 5, 9])
def test_a_resumed_run_ends_as_an_unbroken_one(tiny_base, template, tmp_path, monkeypatch, at):
    recipe, sides = _prepared(template)
    whole = _run(tiny_base, recipe, sides, tmp_path / "whole.safetensors")
    real, written = training.write_checkpoint, []

    def write_then_die(*arguments):
        real(*arguments)
        written.append(1)
        if len(written) == at:
            raise _Killed

    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(training, "write_checkpoint", write_then_die)
    with pytest.raises(_Killed):
        _run(tiny_base, recipe, sides, tmp_path / "broken.safetensors")
    monkeypatch.setattr(training, "write_checkpoint", real)
    resumed = _run(tiny_base, recipe, sides, tmp_path / "broken.safetensors")
    assert resumed.resumed
    assert resumed.position.history == whole.position.history
    assert resumed.position.tokens == whole.position.tokens
    assert all(torch.equal(resumed.state[name], tensor) for name, tensor in whole.state.items())


def test_it_stops_when_validation_stops_improving(tiny_base, template, tmp_path):
    recipe, sides = _prepared(template, learning_rate=0.05, epochs=40)
    wrong = [type(e)(e.prompt, template.answer_ids("refund please")) for e in sides[1]]
    result = _run(tiny_base, recipe, [sides[0], wrong], tmp_path / "c.safetensors")
    assert "not fallen 3 times" in result.stopped_because
    assert result.position.step < recipe.epochs * math.ceil(len(sides[0]) / recipe.batch_size)
    assert result.position.best_step < result.position.step


def test_max_steps_cuts_the_plan_off(tiny_base, template, tmp_path):
    recipe, sides = _prepared(template, max_steps=3)
    assert _run(tiny_base, recipe, sides, tmp_path / "c.safetensors").position.step == 3


def test_no_examples_is_an_error(tiny_base, template, tmp_path):
    recipe, sides = _prepared(template)
    with pytest.raises(NothingToLearn):
        _run(tiny_base, recipe, [sides[0], []], tmp_path / "c.safetensors")


def test_an_answer_without_tokens_is_an_error_with_its_line(template):
    bad = Example({"text": "hello"}, "", "g", Provenance("f.csv", 17))
    with pytest.raises(NothingToLearn, match=r"f\.csv:17"):
        encode([bad], template, system="", max_tokens=100)


def test_a_long_input_loses_its_end_and_never_its_answer(template):
    long = Example({"text": "card " * 400}, "card_arrival", "g", Provenance("f.csv", 2))
    (encoded,) = encode([long], template, system="", max_tokens=64)
    assert encoded.truncated
    assert encoded.tokens <= 64
    assert encoded.answer == template.answer_ids("card_arrival")
    assert encoded.prompt[-len(template.prompt_ids([])) :] == template.prompt_ids([])  # the turn still ends


CHAT = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "where is my card"},
    {"role": "assistant", "content": "card_arrival"},
    {"role": "user", "content": "no"},
    {"role": "assistant", "content": "sorry", "weight": 0},
    {"role": "user", "content": "new pin please"},
]


def _chat(template, messages, max_tokens=1024):
    example = Example({"messages": json.dumps(messages)}, "change_pin", "g", Provenance("f.jsonl", 2))
    (encoded,) = encode([example], template, system="unused", max_tokens=max_tokens, chat=True)
    return encoded


def test_every_turn_of_the_assistant_with_weight_carries_loss_and_no_other_token(template):
    encoded = _chat(template, CHAT)
    text = [*encoded.prompt, *encoded.answer]
    positions, wanted = encoded.learned
    assert wanted == [*template.answer_ids("card_arrival"), *template.answer_ids("change_pin")]
    assert [text[p] for p in positions] == wanted
    assert encoded.prompt == template.prompt_ids(CHAT)


def test_a_long_conversation_loses_its_oldest_turns(template):
    whole = _chat(template, CHAT)
    encoded = _chat(template, CHAT, max_tokens=whole.tokens - 1)
    assert encoded.truncated
    assert encoded.prompt == template.prompt_ids([CHAT[0], *CHAT[3:]])
    assert encoded.learned[1] == template.answer_ids("change_pin")


def test_a_conversation_whose_last_question_does_not_fit_is_an_error(template):
    with pytest.raises(NothingToLearn, match=r"f\.jsonl:2"):
        _chat(template, CHAT, max_tokens=12)


def test_a_batch_in_parts_gives_the_gradients_of_the_whole(tiny_base, template, monkeypatch):
    _, (train, _) = _prepared(template)
    model = load_model(tiny_base.folder, "float32")
    adapters = attach(model, 4, 8, seed=0)
    grads = []
    for most in (10_000, 1):
        monkeypatch.setattr(training, "TOKENS_AT_ONCE", most)
        model.zero_grad()
        loss = training._learn(training.trunk_of(model, 1024), train[:8])
        grads.append((loss, [layer.up.grad.clone() for layer in adapters.values()]))
    assert grads[0][0] == pytest.approx(grads[1][0], rel=1e-4)
    for together, apart in zip(grads[0][1], grads[1][1], strict=True):
        assert torch.allclose(together, apart, atol=1e-5)


def test_the_plan_counts_what_the_run_will_see(template):
    recipe, sides = _prepared(template)
    plan = make_plan(recipe, *sides, parameters=1000, flops=1e9)
    assert plan.tokens == recipe.epochs * sum(e.tokens for e in sides[0])
    assert plan.steps == recipe.epochs * math.ceil(len(sides[0]) / recipe.batch_size)
    assert plan.estimated_seconds > 0


def test_batches_hold_every_example_once_and_differ_by_epoch():
    first = training._batches([5, 9, 3, 7] * 20, 16, 0, 0)
    assert sorted(i for b in first for i in b) == list(range(80))
    assert first == training._batches([5, 9, 3, 7] * 20, 16, 0, 0)
    assert first != training._batches([5, 9, 3, 7] * 20, 16, 0, 1)
