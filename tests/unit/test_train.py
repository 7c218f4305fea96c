"""The training loop on a tiny random model: it learns, it resumes exactly, it never trains on nothing."""

from __future__ import annotations

import json
import math
import time
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from inhouse.core import Dataset, Example, Provenance, Silent, Task
from inhouse.engine import torch_model
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.lora import adapter_state, attach
from inhouse.engine.torch_model import load_model, use_threads
from inhouse.errors import EngineFault, NothingToLearn
from inhouse.train import encode, make_plan, make_recipe, trainer, within_minutes
from inhouse.train import loop as training
from inhouse.train.checkpoint import SMALLER_RATE, Position
from inhouse.train.plan import PLANNED_SHARE, asked_at, look_every, planned_steps

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


def _ready(tiny_base, recipe):
    use_threads(1)
    model = load_model(tiny_base.folder, "float32")
    adapters = attach(model, recipe.rank, recipe.alpha, recipe.seed)
    return training.trunk_of(model, recipe.max_tokens), adapters


def _run(tiny_base, recipe, sides, checkpoint, reporter=None, **options):
    return training.run_loop(*_ready(tiny_base, recipe), *sides, recipe, checkpoint, reporter or Silent(), **options)


def test_it_learns(tiny_base, template, tmp_path):
    recipe, sides = _prepared(template, learning_rate=0.05, epochs=30)
    result = _run(tiny_base, recipe, sides, tmp_path / "c.safetensors")
    history = result.position.history
    assert result.position.best_loss < 0.5 * result.position.untrained_loss
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
    real, written = trainer.write_checkpoint, []

    def write_then_die(*arguments, **options):
        real(*arguments, **options)
        written.append(1)
        if len(written) == at:
            raise _Killed

    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(trainer, "SAVE_SHARE", math.inf)
    monkeypatch.setattr(trainer, "write_checkpoint", write_then_die)
    with pytest.raises(_Killed):
        _run(tiny_base, recipe, sides, tmp_path / "broken.safetensors")
    monkeypatch.setattr(trainer, "write_checkpoint", real)
    resumed = _run(tiny_base, recipe, sides, tmp_path / "broken.safetensors")
    assert resumed.resumed
    assert resumed.position.history == whole.position.history
    assert resumed.position.tokens == whole.position.tokens
    assert all(torch.equal(resumed.state[name], tensor) for name, tensor in whole.state.items())


@pytest.mark.parametrize("how", ["damaged", "older", "of another adapter", "of another optimizer", "half a best"])
def test_a_checkpoint_that_cannot_be_gone_on_with_is_told_and_the_training_begins_anew(
    tiny_base, template, tmp_path, how
):
    recipe, sides = _prepared(template)
    whole = _run(tiny_base, recipe, sides, tmp_path / "whole.safetensors")
    file, asked = tmp_path / "c.safetensors", iter([False] * 3 + [True])
    _run(tiny_base, recipe, sides, file, asked_to_stop=lambda: next(asked))
    if how == "damaged":
        file.write_bytes(file.read_bytes()[:-1000])
    else:
        with safe_open(file, framework="pt") as saved:
            tensors, metadata = {name: saved.get_tensor(name) for name in saved.keys()}, saved.metadata()  # noqa: SIM118
        if how == "older":
            metadata["position"] = json.dumps({"step": 3})
        part = {"of another adapter": "now.", "of another optimizer": "optimizer."}.get(how, "-")
        tensors = {
            name: tensor[:1] if name.startswith(part) and tensor.ndim else tensor for name, tensor in tensors.items()
        }
        if how == "half a best":
            name = next(name for name in tensors if name.startswith("now."))
            tensors["best." + name.removeprefix("now.")] = tensors[name].clone()
        save_file({n: t.contiguous() for n, t in tensors.items()}, file, metadata)
    told = Silent()
    begun_anew = _run(tiny_base, recipe, sides, file, told)
    (warning,) = told.warned
    assert f"the checkpoint {file} cannot be gone on with" in warning
    assert not begun_anew.resumed
    assert all(torch.equal(begun_anew.state[name], tensor) for name, tensor in whole.state.items())


def test_it_stops_when_validation_stops_improving(tiny_base, template, tmp_path):
    recipe, sides = _prepared(template, learning_rate=0.01, epochs=50)
    wrong = [type(e)(e.prompt, template.answer_ids("refund please")) for e in sides[1]]
    result = _run(tiny_base, recipe, [sides[0], wrong], tmp_path / "c.safetensors")
    assert "not become better 3 times" in result.stopped_because
    assert result.position.step < recipe.epochs * math.ceil(len(sides[0]) / recipe.batch_size)
    assert result.position.best_step < result.position.step


def test_max_steps_cuts_the_plan_off(tiny_base, template, tmp_path):
    recipe, sides = _prepared(template, max_steps=3)
    assert _run(tiny_base, recipe, sides, tmp_path / "c.safetensors").position.step == 3


def _losing(monkeypatch, losses):
    """The loop meets these losses at the given steps (counted over the whole run); at all others its own."""
    real, seen = training._learn, []

    def learn(*arguments):
        loss, measured = real(*arguments)
        seen.append(loss)
        return losses.get(len(seen), loss), measured

    monkeypatch.setattr(training, "_learn", learn)


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), 1e4])
def test_a_training_that_diverges_goes_back_and_on_with_a_smaller_rate(
    tiny_base, template, tmp_path, monkeypatch, loss
):
    recipe, sides = _prepared(template)
    every = look_every(*sides, recipe)
    _losing(monkeypatch, {every + 2: loss})
    told = Silent()
    result = _run(tiny_base, recipe, sides, tmp_path / "c.safetensors", told)
    assert any("diverged" in line and f"from step {every} " in line for line in told.warned)
    assert (result.position.rate, result.position.diverged_at) == (SMALLER_RATE, every + 2)
    assert result.position.step == recipe.epochs * math.ceil(len(sides[0]) / recipe.batch_size)
    assert all(math.isfinite(row["train_loss"]) for row in result.position.history)
    assert [row["step"] for row in result.position.history] == sorted({row["step"] for row in result.position.history})
    assert all(torch.isfinite(tensor).all() for tensor in result.state.values())


def test_a_training_that_diverges_before_the_first_look_begins_again(tiny_base, template, tmp_path, monkeypatch):
    recipe, sides = _prepared(template)
    _losing(monkeypatch, {1: float("nan")})
    result = _run(tiny_base, recipe, sides, tmp_path / "c.safetensors")
    assert result.position.rate == SMALLER_RATE
    assert math.isfinite(result.position.best_loss)


def test_hard_training_examples_beside_easy_validation_ones_are_no_divergence(tiny_base, template, tmp_path):
    recipe, (hard, prompts) = _prepared(template)
    trunk, adapters = _ready(tiny_base, recipe)
    trunk.model.lm_head.weight.data *= 50  # a model that is sure of what it says
    engine = torch_model.TorchEngine.around(trunk.model, template.answer_ids)
    said = engine.generate([e.prompt for e in prompts], max_new_tokens=4)
    easy = [replace(e, answer=list(answer.ids)) for e, answer in zip(prompts, said, strict=True)]
    told = Silent()
    result = training.run_loop(trunk, adapters, hard, easy, recipe, tmp_path / "c.safetensors", told)
    first, *_ = result.position.history
    assert first["train_loss"] > 3 * first["validation_loss"] + 3
    assert (told.warned, result.position.rate) == ([], 1.0)


def test_a_training_that_diverges_twice_is_an_error_with_its_remedy(tiny_base, template, tmp_path, monkeypatch):
    recipe, sides = _prepared(template)
    _losing(monkeypatch, {2: float("nan"), 3: float("nan")})
    with pytest.raises(EngineFault, match="diverged twice") as fault:
        _run(tiny_base, recipe, sides, tmp_path / "c.safetensors")
    assert "train.learning_rate" in fault.value.remedy


def test_asked_to_stop_it_ends_after_the_step_and_goes_on_as_if_it_had_not(tiny_base, template, tmp_path):
    recipe, sides = _prepared(template)
    whole = _run(tiny_base, recipe, sides, tmp_path / "whole.safetensors")
    asked = iter([False] * 3 + [True])
    stopped = _run(tiny_base, recipe, sides, tmp_path / "c.safetensors", asked_to_stop=lambda: next(asked))
    assert stopped.interrupted
    assert stopped.position.step == 3
    assert "you stopped it after 3 of" in stopped.stopped_because
    assert any(tensor.abs().sum() > 0 for name, tensor in stopped.state.items() if "lora_B" in name)
    resumed = _run(tiny_base, recipe, sides, tmp_path / "c.safetensors")
    assert not resumed.interrupted
    assert resumed.position.history == whole.position.history
    assert all(torch.equal(resumed.state[name], tensor) for name, tensor in whole.state.items())


def test_asked_to_stop_before_the_first_step_there_is_no_model(tiny_base, template, tmp_path):
    recipe, sides = _prepared(template)
    with pytest.raises(KeyboardInterrupt):
        _run(tiny_base, recipe, sides, tmp_path / "c.safetensors", asked_to_stop=lambda: True)


def test_the_minutes_end_a_training_with_what_it_learned(tiny_base, template, tmp_path):
    recipe, sides = _prepared(template, epochs=50)
    short = recipe.model_copy(update={"minutes": 0.01})
    result = _run(tiny_base, short, sides, tmp_path / "c.safetensors")
    assert result.stopped_because == "the 0.01 minutes are over"
    assert 0 < result.position.step < 50 * math.ceil(len(sides[0]) / recipe.batch_size)
    assert result.position.best_step == result.position.step
    assert not result.interrupted


def test_the_schedule_is_fitted_into_the_minutes(template):
    recipe, sides = _prepared(template, epochs=10)
    steps = planned_steps(recipe, len(sides[0]))
    plan = make_plan(recipe, *sides, seconds_per_token=0.01)

    def fitted(minutes):
        wish = recipe.model_copy(update={"minutes": minutes})
        return within_minutes(wish, *sides, seconds_per_token=0.01)

    half = fitted(plan.seconds / 120)
    assert steps / 4 < half.steps < steps / 2
    assert make_plan(half, *sides, seconds_per_token=0.01).seconds <= plan.seconds / 2
    longer = half.model_copy(update={"steps": half.steps + 1})
    assert make_plan(longer, *sides, seconds_per_token=0.01).seconds > PLANNED_SHARE * plan.seconds / 2
    assert fitted(60.0).steps == steps
    assert within_minutes(recipe, *sides, seconds_per_token=0.01) is recipe


def test_a_plan_with_written_answers_takes_longer(template):
    recipe, sides = _prepared(template)
    silent, judged = (make_plan(recipe, *sides, seconds_per_token=0.01, judged=j).seconds for j in (False, True))
    assert silent < judged


@pytest.mark.parametrize(
    ("loss", "scores", "better"),
    [
        (0.9, [1, 1, 1, 1, 1, 1, 1, 1], True),  # clearly more right answers, at a higher loss
        (0.1, [0, 0, 0, 0, 0, 0, 0, 0], False),  # clearly fewer, at a lower one
        (0.1, [1, 1, 1, 0, 0, 0, 0, 1], True),  # a tie in answers: the loss decides
        (0.9, [1, 1, 1, 0, 0, 0, 0, 1], False),
    ],
)
def test_the_tasks_own_metric_decides_and_the_loss_where_it_cannot_tell(loss, scores, better):
    scored = (1, 1, 1, 1, 0, 0, 0, 0)
    before = Position(best_loss=0.5, best_scores=scored, top_scores=scored, best_step=1, step=2)
    assert before.better(loss, scores) is better
    after = before.after_look(loss, 0.0, scores)
    assert (after.best_step == 2) is better
    assert after.misses == int(not better)


@pytest.mark.parametrize(
    ("untrained", "losses", "diverged"),
    [
        (0.3, [0.5], False),  # the first batch is harder than the validation examples
        (0.05, [0.06, 0.04, 0.5, 0.05], False),  # one hard batch of a task that the base knows
        (0.3, [0.5, 4.0, 9.0, 11.0], True),
        (3.0, [3.1, 3.0, 8.0, 9.0, 10.0, 11.0], True),
        (0.3, [math.nan], True),
    ],
)
def test_only_an_explosion_is_a_divergence(untrained, losses, diverged):
    position, seen = Position(untrained_loss=untrained), False
    for loss in losses:
        position = position.after_step(loss, 100)
        seen = seen or position.has_diverged(loss, 1.0)
    assert seen is diverged


def test_overfitting_is_told_with_its_evidence():
    rows = [(10, 0.9, 1.0), (20, 0.5, 0.8), (30, 0.2, 0.9), (40, 0.1, 1.1)]
    history = tuple({"step": s, "train_loss": t, "validation_loss": v} for s, t, v in rows)
    told = training.overfitting(Position(step=40, best_step=20, history=history))
    assert "after step 20" in told
    assert "0.5 to 0.1" in told
    assert "0.8 to 1.1" in told
    near_zero = tuple(row | {"validation_loss": row["validation_loss"] / 50} for row in history)
    assert training.overfitting(Position(step=40, best_step=20, history=near_zero)) == ""
    assert training.overfitting(Position(step=20, best_step=20, history=history[:2])) == ""
    assert training.overfitting(Position(step=40, best_step=10, history=history[:1])) == ""


def test_a_judge_chooses_the_step_that_is_kept(tiny_base, template, tmp_path):
    recipe, sides = _prepared(template, learning_rate=0.05, epochs=8)
    asked = []

    def scores(places):
        asked.append(tuple(places))
        return [1.0 if len(asked) == 2 else 0.0 for _ in places]

    judge = training.Judge("chrf", scores)
    result = _run(tiny_base, recipe, sides, tmp_path / "c.safetensors", judge=judge)
    assert result.position.best_step == result.position.history[1]["step"]
    assert "not become better 3 times" in result.stopped_because
    assert set(asked) == {tuple(asked_at(*sides, recipe))}


def test_measuring_a_few_steps_teaches_nothing(tiny_base, template):
    recipe, sides = _prepared(template)
    trunk, adapters = _ready(tiny_base, recipe)
    before = {name: tensor.clone() for name, tensor in adapter_state(adapters).items()}
    assert training.seconds_per_token(trunk, adapters, sides[0], recipe) > 0
    assert all(torch.equal(before[name], tensor) for name, tensor in adapter_state(adapters).items())
    assert all(layer.down.grad is None and layer.up.grad is None for layer in adapters.values())


def test_the_same_seed_gives_the_same_adapter_to_the_bit_and_another_does_not(tiny_base, template, tmp_path):
    recipe, sides = _prepared(template)
    one, other = (_run(tiny_base, recipe, sides, tmp_path / f"{name}.safetensors") for name in "ab")
    assert all(torch.equal(one.state[name], tensor) for name, tensor in other.state.items())
    seeded = _run(tiny_base, recipe.model_copy(update={"seed": 1}), sides, tmp_path / "c.safetensors")
    assert not all(torch.equal(one.state[name], tensor) for name, tensor in seeded.state.items())


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
        loss, _ = training._learn(training.trunk_of(model, 1024), train[:8])
        grads.append((loss, [layer.up.grad.clone() for layer in adapters.values()]))
    assert grads[0][0] == pytest.approx(grads[1][0], rel=1e-4)
    for together, apart in zip(grads[0][1], grads[1][1], strict=True):
        assert torch.allclose(together, apart, atol=1e-5)


def test_the_plan_counts_what_the_run_will_see(template):
    recipe, sides = _prepared(template)
    plan = make_plan(recipe, *sides, seconds_per_token=0.001)
    assert plan.tokens == recipe.epochs * sum(e.tokens for e in sides[0])
    assert plan.steps == recipe.epochs * math.ceil(len(sides[0]) / recipe.batch_size)
    assert plan.seconds >= 0.001 * plan.tokens


def test_batches_hold_every_example_once_and_differ_by_epoch():
    first = training._batches([5, 9, 3, 7] * 20, 16, 0, 0)
    assert sorted(i for b in first for i in b) == list(range(80))
    assert first == training._batches([5, 9, 3, 7] * 20, 16, 0, 0)
    assert first != training._batches([5, 9, 3, 7] * 20, 16, 0, 1)


@pytest.mark.parametrize(
    ("has_it", "rates", "chosen"),
    [
        (True, {"bfloat16": 2.0, "float32": 1.0}, "bfloat16"),
        (True, {"bfloat16": 0.95, "float32": 1.0}, "bfloat16"),  # hardly slower, half the size
        (True, {"bfloat16": 0.5, "float32": 1.0}, "float32"),  # the instructions are there, and slow
        (False, {"bfloat16": 2.0, "float32": 1.0}, "float32"),
    ],
)
def test_the_precision_is_the_one_that_this_machine_multiplies_faster(monkeypatch, has_it, rates, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch_model, "cpu_has_bf16", lambda: has_it)
    monkeypatch.setattr(torch_model, "measure_flops", lambda precision, *_: rates[precision])
    assert torch_model.best_precision.__wrapped__() == chosen


@pytest.mark.parametrize("fault", [None, MemoryError])
def test_the_precision_is_measured_by_one_threads_own_time_and_the_threads_come_back(monkeypatch, fault):
    seen = []

    def measured(precision, clock, products):
        seen.append((torch.get_num_threads(), clock))
        if fault is not None:
            raise fault
        return 1.0

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch_model, "cpu_has_bf16", lambda: True)
    monkeypatch.setattr(torch_model, "measure_flops", measured)
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(fault) if fault else nullcontext():
            torch_model.best_precision.__wrapped__()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(usual)
    assert set(seen) == {(1, time.thread_time)}


def test_the_rate_of_products_is_by_the_clock_that_is_given(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    ticks = iter(range(100))
    assert torch_model.measure_flops("float32", lambda: 2.0 * next(ticks)) == 1024 * 576 * 576
