"""LoRA's relatives and all weights: what peft and transformers compute, learned, resumed, merged and served."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import many_intents, write_csv, write_tiny_gguf
from torch import nn
from torch.nn import functional
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from inhouse.core import Dataset, Example, Provenance, Silent, Task, TrainSection
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.lora import (
    adapter_state,
    attach,
    learned_parameters,
    merged_weights,
    write_adapter,
)
from inhouse.engine.torch_model import load_model
from inhouse.pipeline.preparation import Prepared
from inhouse.pipeline.preparation import _with_room as with_room
from inhouse.store import Workspace, registry
from inhouse.train import Encoded, encode, loop, make_plan, make_recipe, memory_needed
from inhouse.train import fused as fused_pass

ADAPTERS = ["lora", "rslora", "dora"]
IDS = torch.tensor([[1, 60, 61, 62, 63, 7], [2, 3, 3, 9, 8, 1]])
SHAPE = {
    "vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "attn_implementation": "eager",
}  # fmt: skip
FAMILIES = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen2 (with biases)": (Qwen2Config, Qwen2ForCausalLM)}


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request, tmp_path_factory):
    """A random model of a real architecture, with biases that are not 0."""
    config, model_class = FAMILIES[request.param]
    torch.manual_seed(0)
    model = model_class(config(**SHAPE))
    for name, weight in model.named_parameters():
        if name.endswith(".bias"):
            nn.init.normal_(weight, 0.0, 0.1)
    place = tmp_path_factory.mktemp("base")
    model.save_pretrained(place)
    return place


def with_adapter(folder: Path, method: str):
    """The model of a folder with an adapter that matters in all its parts."""
    model = load_model(folder, "float32")
    adapters = attach(model, 4, 8, 0, method)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in learned_parameters(adapters).items():
        if not name.endswith("lora_A.weight"):
            parameter.data += torch.randn(parameter.shape, generator=generator) * 0.1
    return model, adapters


def peft_model(folder: Path, adapter: Path, *, learns: bool = False):
    from peft import PeftModel

    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return PeftModel.from_pretrained(base, adapter, is_trainable=learns)


# peft asks transformers for something that transformers deprecates.
quiet_peft = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


@quiet_peft
@pytest.mark.parametrize("method", ADAPTERS)
def test_peft_computes_the_same_logits_gradients_and_merged_model(folder, method, tmp_path):
    model, adapters = with_adapter(folder, method)
    write_adapter(tmp_path, adapter_state(adapters), rank=4, alpha=8, base="tiny", method=method)
    theirs = peft_model(folder, tmp_path, learns=True)
    logits = [one(input_ids=IDS).logits for one in (model, theirs)]
    for one in logits:
        functional.cross_entropy(one[:, :-1].flatten(0, 1), IDS[:, 1:].flatten()).backward()
    assert torch.allclose(logits[0], logits[1], atol=1e-5)
    found = {  # peft puts the adapter's name into that of a parameter
        name.replace(".default", "").replace("magnitude_vector.weight", "magnitude_vector"): parameter.grad
        for name, parameter in theirs.named_parameters()
        if parameter.requires_grad
    }
    ours = learned_parameters(adapters)
    assert set(ours) == set(found)
    for name, parameter in ours.items():
        assert (parameter.grad - found[name]).norm() <= 1e-5 * found[name].norm(), name
    merged = load_model(folder, "float32")
    weights = merged_weights(folder / "model.safetensors", adapter_state(adapters), rank=4, alpha=8, method=method)
    merged.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights})
    assert torch.allclose(merged(input_ids=IDS).logits, logits[1], atol=1e-4)
    assert not torch.allclose(load_model(folder, "float32")(input_ids=IDS).logits, logits[1], atol=1e-2)


def test_the_scale_of_rslora_falls_with_the_root_of_the_rank(folder):
    scales = [
        next(iter(attach(load_model(folder, "float32"), rank, 8, 0, "rslora").values())).scale for rank in (4, 16)
    ]
    assert scales == [4.0, 2.0]


# ---------------------------------------------------------------------- the loop


WORDS = {"card_arrival": "where is my card", "change_pin": "how do I change my pin"}


def prepared(tiny_base, **wish):
    template = ChatTemplate(tiny_base.folder)
    examples = [
        Example({"text": f"{words} {n}"}, label, f"{label}{n}", Provenance("f.csv", n + 2))
        for n in range(12)
        for label, words in WORDS.items()
    ]
    splits = tuple("validation" if i % 6 == 5 else "train" for i in range(len(examples)))
    dataset = Dataset("t", 1, tuple(examples), splits)
    task = Task.model_validate({"name": "t", "labels": tuple(WORDS), "train": {"epochs": 3, **wish}})
    sides = [encode(dataset.of(s), template, system="", max_tokens=1024) for s in ("train", "validation")]
    recipe = make_recipe(task, dataset, sides[0], base_model="tiny", base_sha256="0", precision="float32")
    return recipe, sides


def run(tiny_base, recipe, sides, checkpoint, *, mixed=False, **options):
    torch.set_num_threads(1)
    model = load_model(tiny_base.folder, "float32")
    adapters = attach(model, recipe.rank, recipe.alpha, recipe.seed, recipe.method)
    trunk = loop.trunk_of(model, recipe.max_tokens, mixed=mixed)
    return loop.run_loop(trunk, adapters, *sides, recipe, checkpoint, Silent(), **options)


@pytest.mark.parametrize(
    ("wish", "rank", "alpha", "rate"),
    [
        ({"method": "lora"}, 16, 32, 1e-3),
        ({"method": "dora"}, 16, 32, 1e-3),
        ({"method": "rslora"}, 16, 8, 1e-3),
        ({"method": "rslora", "rank": 64}, 64, 8, 1e-3),
        ({"method": "full"}, 0, 0, 1e-4),
        ({"method": "full", "learning_rate": 0.01}, 0, 0, 0.01),
    ],
)
def test_the_recipe_of_a_method(tiny_base, wish, rank, alpha, rate):
    recipe, _ = prepared(tiny_base, **wish)
    assert (recipe.method, recipe.rank, recipe.alpha, recipe.learning_rate) == (wish["method"], rank, alpha, rate)


@pytest.mark.parametrize(
    ("width", "wish", "rate"),
    [
        (64, {}, 1e-3),
        (576, {}, 1e-3),
        (2048, {}, 5.3e-4),
        (4096, {}, 3.8e-4),
        (4096, {"method": "full"}, 3.8e-5),
        (4096, {"learning_rate": 0.01}, 0.01),
    ],
)
def test_wider_bases_learn_at_a_smaller_rate(width, wish, rate):
    task, learned = Task(name="t", kind="generate", train=wish), [Encoded([1, 2], [3, 4])] * 8
    of_base = {"base_model": "tiny", "base_sha256": "0", "precision": "float32"}
    recipe = make_recipe(task, Dataset("t", 1, (), ()), learned, **of_base, width=width)
    assert recipe.learning_rate == rate


def test_what_task_toml_asks_for_is_the_reason_of_a_choice(tiny_base):
    recipe, sides = prepared(tiny_base, epochs=3, learning_rate=0.01)
    told = {True: [], False: []}
    for wish in (TrainSection(epochs=3, learning_rate=0.01), None):
        for choice in make_plan(recipe, *sides, seconds_per_token=1.0, wish=wish).choices:
            told["task.toml" in choice.reason].append(choice.name)
    assert told[True] == ["passes", "learning rate"]
    assert told[False].count("batch") == 2


@pytest.mark.parametrize("method", ["dora", "rslora", "full"])
def test_it_learns_and_a_resumed_run_ends_as_an_unbroken_one(tiny_base, method, tmp_path):
    recipe, sides = prepared(tiny_base, method=method, learning_rate=0.003)
    whole = run(tiny_base, recipe, sides, tmp_path / "whole.safetensors")
    assert whole.position.best_loss < 0.8 * whole.position.untrained_loss
    asked = iter([False] * 4 + [True])
    stopped = run(tiny_base, recipe, sides, tmp_path / "c.safetensors", asked_to_stop=lambda: next(asked))
    assert stopped.interrupted
    resumed = run(tiny_base, recipe, sides, tmp_path / "c.safetensors")
    assert resumed.resumed
    assert resumed.position.history == whole.position.history
    assert all(torch.equal(resumed.state[name], tensor) for name, tensor in whole.state.items())


def test_all_weights_learn_in_float32_though_they_are_multiplied_in_bfloat16(tiny_base, tmp_path):
    recipe, sides = prepared(tiny_base, method="full", max_steps=2)
    result = run(tiny_base, recipe, sides, tmp_path / "c.safetensors", mixed=True)
    before = dict(load_model(tiny_base.folder, "float32").named_parameters())
    assert set(result.state) == set(before)
    for name, tensor in result.state.items():
        assert tensor.dtype == torch.float32
        changed = (tensor - before[name]).abs()
        assert changed.max() > 0, name
        # A step of 1e-4 in a weight of 0.2: bfloat16 has no number between.
        assert changed.max() < 5e-4, name
    # The products were rounded to bfloat16: float32 alone gives another result.
    alone = run(tiny_base, recipe, sides, tmp_path / "d.safetensors")
    assert any(not torch.equal(alone.state[name], tensor) for name, tensor in result.state.items())


@pytest.mark.parametrize("method", ["lora", "full"])
def test_layers_computed_again_give_the_same_gradients(tiny_base, method):
    _, (examples, _) = prepared(tiny_base)
    found = []
    for checkpointed in (False, True):
        model = load_model(tiny_base.folder, "float32")
        adapters = attach(model, 4, 8, 0, method)
        calls = []
        model.model.layers[0].mlp.register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))
        trunk = loop.trunk_of(model, 1024, checkpointed=True) if checkpointed else loop.PlainTrunk(model)
        loss, _ = loop._learn(trunk, examples[:8])
        found.append((loss, len(calls), [p.grad.clone() for p in learned_parameters(adapters).values()]))
        with torch.no_grad():
            trunk.logits(examples[:1])
        assert not model.training
    (plain, once, expected), (again, twice, gradients) = found
    assert (once, twice) == (1, 2)
    assert again == plain
    assert all(torch.equal(one, other) for one, other in zip(gradients, expected, strict=True))


def test_all_weights_take_their_memory():
    class Shape:
        parameters, layers, hidden, heads, vocabulary = 134_515_008, 30, 576, 9, 49_152

    rank = {"precision": "bfloat16", "longest": 100, "at_once": 1024, "answers": 64}
    rank["fused"] = False
    lora, full = (memory_needed(Shape(), rank=16, method=method, **rank) for method in ("lora", "full"))
    assert full - lora == pytest.approx(20 * Shape.parameters, rel=0.1)  # itself, gradient, two moments, the best
    less = memory_needed(Shape(), rank=16, method="full", checkpointed=True, **rank)
    assert full - less > 0.5e9
    assert memory_needed(Shape(), rank=16, four_bit=True, **rank) < lora


def of_length(tiny_base, tokens: int, **wish) -> Prepared:
    """A training on texts of so many tokens."""
    learned = [Encoded([5] * (tokens - 4), [6] * 4) for _ in range(8)]
    task = Task.model_validate({"name": "t", "kind": "generate", "train": wish})
    recipe = make_recipe(
        task, Dataset("t", 1, (), ()), learned, base_model="tiny", base_sha256="0", precision="float32"
    )
    return Prepared(task, Dataset("t", 1, (), ()), tiny_base, "xllamacpp", recipe, learned, learned[:2])


@pytest.mark.parametrize("method", ["lora", "dora"])
def test_attention_scores_are_counted_where_they_are_kept(tiny_base, method):
    from inhouse.train.attention import KEPT_UP_TO

    kept, long = (of_length(tiny_base, n, method=method) for n in (KEPT_UP_TO, KEPT_UP_TO + 1))
    shape, rows = tiny_base.shape, 1024
    scores = 1.25 * rows * shape.layers * shape.heads * KEPT_UP_TO * 4
    if method == "lora":  # of longer texts they are computed again
        assert kept.memory - long.memory == pytest.approx(scores / 2, rel=0.01)
    else:  # transformers' own pass keeps all of them, those that are masked too
        assert long.memory > kept.memory
        assert kept.memory - of_length(tiny_base, KEPT_UP_TO // 2, method=method).memory == pytest.approx(
            scores / 2, rel=0.01
        )


@pytest.mark.parametrize(("fused", "method"), [(True, "lora"), (False, "lora"), (True, "dora")])
def test_layers_are_computed_again_wherever_the_fused_pass_does_not_compute_them(tiny_base, monkeypatch, fused, method):
    monkeypatch.setattr(fused_pass, "fuses", lambda config, longest: fused)  # it is not for Gemma and Phi
    training, told = of_length(tiny_base, 300, method=method), Silent()
    short = with_room(training, 0.95 * training.memory, told)
    assert short.checkpointed == (not fused or method == "dora")
    assert any("each layer is computed again" in line for line in told.said) == short.checkpointed
    assert short.memory < training.memory or not short.checkpointed
    assert not with_room(training, training.memory, told).checkpointed


# ---------------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def ready(tmp_path_factory, tiny_gguf, cli):
    """A workspace with a task that has data and was never trained."""
    place = tmp_path_factory.mktemp("methods") / "workspace"
    messages = write_csv(place.parent / "intents.csv", many_intents(4))
    assert cli(place, "init", "intents", "--base", tiny_gguf).code == 0
    assert cli(place, "add", "intents", messages, "--input", "text", "--target", "category").code == 0
    return place


@pytest.fixture
def workspace(ready, tmp_path):
    return Path(shutil.copytree(ready, tmp_path / "workspace"))


def set_keys(workspace: Path, lines: str) -> None:
    file = workspace / "tasks" / "intents" / "task.toml"
    head, found, tail = file.read_text("utf-8").replace('method = "lora"\n', "").partition("[train]\n")
    assert found
    file.write_text(f"{head}{found}{lines}\n{tail}", "utf-8")


@pytest.mark.parametrize("method", ["dora", "rslora", "full"])
def test_train_serves_what_each_method_learned(workspace, cli, method):
    set_keys(workspace, f'method = "{method}"\nepochs = 8\nlearning_rate = 0.005\nbatch_size = 8')
    trained = cli(workspace, "train", "intents", "--json").json
    assert trained["recipe"]["method"] == method
    assert trained["parity"]["passed"], trained["parity"]
    assert trained["validation_loss"] < 1.0
    version = registry.find_version(Workspace(workspace), "intents", "1")
    assert version.lineage["recipe"]["method"] == method
    adapter = cli(workspace, "export", "intents", "--version", 1, "--to", "adapter", "--out", workspace / "adapter")
    merged = cli(workspace, "export", "intents", "--version", 1, "--to", "merged", "--out", workspace / "merged")
    assert merged.code == 0, merged.err
    if method == "full":
        assert adapter.code == 2
        assert "has no adapter" in adapter.err
        assert "--to merged" in adapter.err
    else:
        assert adapter.code == 0
        kept = (workspace / "adapter" / "adapter_config.json").read_text()
        assert f'"use_{method}": true' in kept


def test_a_dry_run_tells_the_method_and_what_it_takes(workspace, cli):
    set_keys(workspace, 'method = "full"')
    plan = cli(workspace, "train", "intents", "--dry-run", "--json").json
    choices = {c["name"]: c for c in plan["choices"]}
    assert choices["method"]["value"] == "all weights"
    assert "task.toml" in choices["method"]["reason"]
    assert choices["learning rate"]["value"] == "0.0001"


def test_where_memory_is_short_layers_are_computed_again(workspace, cli, monkeypatch):
    from inhouse.engine import torch_model

    set_keys(workspace, 'method = "full"\nmax_steps = 2')
    roomy = cli(workspace, "train", "intents", "--dry-run", "--json").json
    monkeypatch.setattr(torch_model, "free_memory", lambda: 0.9 * 2**30 * roomy["memory_gib"])
    short = cli(workspace, "train", "intents", "--dry-run")
    assert "each layer is computed again" in short.err
    trained = cli(workspace, "train", "intents", "--json")
    assert "each layer is computed again" in trained.err
    assert trained.json["steps"] == 2


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ('method = "qlora"', ["method", "qlora", "'dora'"]),
        ('method = "full"\nrank = 8', ["train.rank", "leave one of them out"]),
        ('objective = "sft"\nbeta = 0.2', ["train.beta", "'dpo'", "leave one of them out"]),
        ("beta = 0.2\nsft_weight = 1.0", ["train.beta and train.sft_weight", "0 of 33", 'train.objective = "dpo"']),
        ('objective = "dpo"', ["no training example has a rejected answer", 'train.objective = "sft"']),
        ("max_tokens = 2000", ["train.max_tokens is 2000", "reads 1024 tokens at most", "1024 or less"]),
    ],
)
def test_a_method_that_cannot_be_is_refused(workspace, cli, lines, told):
    set_keys(workspace, lines)
    done = cli(workspace, "train", "intents")
    assert done.code == 3
    assert "task.toml" in done.err
    assert all(word in done.err for word in told), done.err


def test_a_base_of_a_short_context_sets_the_limit_and_it_is_told(tmp_path, cli):
    base, place = write_tiny_gguf(tmp_path / "short.gguf", context=512), tmp_path / "workspace"
    messages = write_csv(tmp_path / "intents.csv", many_intents(4))
    assert cli(place, "init", "intents", "--base", base).code == 0
    assert cli(place, "add", "intents", messages, "--input", "text", "--target", "category").code == 0
    plan = cli(place, "train", "intents", "--dry-run", "--json")
    assert plan.json["recipe"]["max_tokens"] == 512
    assert "reads 512 tokens at most: input and answer together may take so many, not the usual 1024" in plan.err
    set_keys(place, "max_tokens = 600")
    assert "train.max_tokens is 600" in cli(place, "train", "intents").err


def test_what_another_base_takes_does_not_hang_on_how_the_own_one_is_computed(tiny_base, tmp_path):
    learned = [Encoded([1] * 200, [4, 5])] * 40
    task, dataset = Task(name="t", kind="generate"), Dataset("t", 1, (), ())
    recipe = make_recipe(task, dataset, learned, base_model="tiny", base_sha256="0", precision="float32")
    fused = Prepared(task, dataset, tiny_base, "xllamacpp", recipe, learned, learned[:4])
    folder = shutil.copytree(tiny_base.folder, tmp_path / "odd")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_act": "gelu"}))  # which the fused pass has not
    unfused = replace(fused, base=replace(tiny_base, folder=folder))
    assert fused.memory < unfused.memory
    assert fused.memory == fused.memory_with(tiny_base.shape) == unfused.memory_with(tiny_base.shape)
