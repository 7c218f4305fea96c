"""The fused pass over packed texts computes what transformers computes on padded ones, in every family it takes."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from inhouse.engine.lora import LoraLinear, attach
from inhouse.engine.torch_model import can_compile
from inhouse.train import Encoded, fused, loop, packing

SHAPE: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "attn_implementation": "eager",
}
ROPE = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
FAMILIES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "llama": (LlamaConfig, LlamaForCausalLM, {"tie_word_embeddings": True}),
    "llama 3.1": (
        LlamaConfig,
        LlamaForCausalLM,
        {"rope_parameters": {**ROPE, "rope_theta": 1e4, "original_max_position_embeddings": 64}},
    ),
    "mistral": (MistralConfig, MistralForCausalLM, {"sliding_window": None, "head_dim": 32}),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, {}),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 24}),
}


def model_of(family: str) -> tuple[Any, dict[str, LoraLinear]]:
    """A random model with adapters that matter, norms that are not 1 and biases that are not 0."""
    config, model_class, more = FAMILIES[family]
    torch.manual_seed(0)
    model = model_class(config(**SHAPE | more)).eval()
    adapters = attach(model, 4, 8, seed=0)
    for layer in adapters.values():
        nn.init.normal_(layer.up, std=0.1)
    for name, weight in model.named_parameters():
        if name.endswith("norm.weight"):
            nn.init.normal_(weight, 1.0, 0.2)
        elif name.endswith(".bias"):
            nn.init.normal_(weight, 0.0, 0.1)
    return model, adapters


def texts(lengths: list[int], shared: int = 7) -> list[Encoded]:
    """Random texts of these lengths with a common beginning; some carry loss in the prompt too."""
    rng = random.Random(1)
    beginning = [rng.randrange(300) for _ in range(shared)]
    found = []
    for number, length in enumerate(lengths):
        rest = [rng.randrange(300) for _ in range(length - shared)]
        taught = (shared + 2,) if number % 3 == 0 and length > shared + 9 else ()
        found.append(Encoded([*beginning, *rest[:-3]], rest[-3:], taught=taught))
    return found


def gradients(trunk: Any, adapters: dict[str, LoraLinear], examples: list[Encoded]) -> tuple[float, list[torch.Tensor]]:
    weights = [p for layer in adapters.values() for p in (layer.down, layer.up)]
    for weight in weights:
        weight.grad = None
    logits, wanted = trunk.logits(examples)
    loss = functional.cross_entropy(logits, wanted, reduction="sum")
    loss.backward()
    return loss.item(), [w.grad.clone() for w in weights if w.grad is not None]


LENGTHS = [19, 30, 11, 25, 40, 12, 150, 300, 290, 33]


@pytest.mark.parametrize("shared", [7, 0])
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_those_of_the_plain_padded_pass(family: str, shared: int) -> None:
    model, adapters = model_of(family)
    examples = texts(LENGTHS, shared)
    plain, expected = gradients(loop.PlainTrunk(model), adapters, examples)
    assert fused.can_fuse(model, 512)
    assert packing.pack(examples).prefix == (shared if shared >= packing.SHORTEST_PREFIX else 0)
    loss, found = gradients(fused.FusedTrunk(model), adapters, examples)
    assert loss == pytest.approx(plain, rel=1e-6)
    assert len(found) == len(expected) == 2 * len(adapters)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours - theirs).norm() <= 1e-5 * theirs.norm()


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("family", [*FAMILIES, "gemma3"])
def test_texts_side_by_side_give_the_gradients_of_padded_ones(
    family: str, attention: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they are under flash attention, which no CPU has: any other gets the same from the positions."""
    model, adapters = gemma3() if family == "gemma3" else model_of(family)
    examples = texts(LENGTHS)
    plain, expected = gradients(loop.PlainTrunk(model), adapters, examples)
    model.set_attn_implementation(attention)
    monkeypatch.setattr(model.config, "_attn_implementation_internal", "flash_attention_2")
    trunk = loop.PlainTrunk(model)
    monkeypatch.undo()
    calls = []
    model.model.layers[0].register_forward_pre_hook(lambda _, given: calls.append(given[0].shape))
    loss, found = gradients(trunk, adapters, examples)
    assert calls == [(1, sum(LENGTHS) - len(LENGTHS), SHAPE["hidden_size"])]
    assert loss == pytest.approx(plain, rel=1e-6)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours - theirs).norm() <= 1e-5 * theirs.norm()


def gemma3() -> tuple[Any, dict[str, LoraLinear]]:
    """A model whose layers look back over different lengths."""
    torch.manual_seed(0)
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    config = Gemma3TextConfig(**SHAPE, head_dim=16, sliding_window=32, layer_types=kinds)
    model = Gemma3ForCausalLM(config).eval()
    adapters = attach(model, 4, 8, 0)
    for layer in adapters.values():
        nn.init.normal_(layer.up, 0.0, 0.1)
    return model, adapters


@pytest.mark.filterwarnings("ignore")  # what torch warns itself of, within its compiler
@pytest.mark.skipif(not can_compile(), reason="torch.compile has no compiler here")
def test_compiled_layers_give_the_same_gradients() -> None:
    model, adapters = gemma3()
    plain, expected = gradients(loop.PlainTrunk(model), adapters, texts(LENGTHS))
    trunk = loop.trunk_of(model, 512, compiled=True)
    for lengths in (LENGTHS[:3], LENGTHS):  # of any number and length, one program
        loss, found = gradients(trunk, adapters, texts(lengths))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert loss == pytest.approx(plain, rel=1e-5)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours - theirs).norm() <= 1e-4 * theirs.norm()


def test_logits_stand_in_the_order_of_the_texts() -> None:
    model, _ = model_of("llama")
    examples = texts(LENGTHS)
    logits, wanted = fused.FusedTrunk(model).logits(examples)
    assert wanted.tolist() == [token for e in examples for token in e.learned[1]]
    ours = [part[-1] for part in torch.split(logits, [len(e.learned[1]) for e in examples])]
    for one, example in zip(ours, examples, strict=True):
        alone = loop.PlainTrunk(model).logits([example])[0][-1]
        assert torch.allclose(one, alone, atol=1e-4)


def test_weights_are_joined_without_a_second_copy_and_the_model_stays_usable() -> None:
    model, _ = model_of("qwen2")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    size = sum(w.untyped_storage().nbytes() for w in {w.data_ptr(): w for w in model.parameters()}.values())
    fused.FusedTrunk(model)
    storages = {w.untyped_storage().data_ptr(): w.untyped_storage().nbytes() for w in model.parameters()}
    assert sum(storages.values()) <= size * 1.01
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())


def test_what_is_computed_otherwise_is_not_fused() -> None:
    small = {k: v for k, v in SHAPE.items() if k != "attn_implementation"}
    gemma = GemmaForCausalLM(GemmaConfig(**small, head_dim=16))
    windowed = MistralForCausalLM(MistralConfig(**small, sliding_window=64))
    assert not fused.can_fuse(gemma, 100)
    assert not fused.can_fuse(windowed, 100)
    assert fused.can_fuse(windowed, 64)
    assert isinstance(loop.trunk_of(gemma, 100), loop.PlainTrunk)
