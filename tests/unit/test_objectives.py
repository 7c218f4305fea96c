"""Preference pairs: read in every form, learned by DPO's formula, reference computed once, resumed exactly."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from inhouse.core import Dataset, Example, Feedback, Provenance, Silent, Task, Trace
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.lora import adapter_state, attach, learned_parameters, write_adapter
from inhouse.engine.torch_model import load_model
from inhouse.errors import NothingToLearn
from inhouse.pipeline import corrections
from inhouse.pipeline.corrections import waiting_corrections
from inhouse.sources import infer_mapping, read_source, to_examples
from inhouse.store import Workspace, records, registry, traffic
from inhouse.store.database import now
from inhouse.train import Encoded, encode, loop, make_plan, make_recipe, objectives, within_minutes
from inhouse.train.plan import in_parts

# ---------------------------------------------------------------------- the formula


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, attn_implementation="eager",
    )  # fmt: skip
    place = tmp_path_factory.mktemp("base")
    LlamaForCausalLM(config).save_pretrained(place)
    return place


def test_token_losses_are_torchs_cross_entropy_with_its_gradient():
    torch.manual_seed(0)
    wanted, weights = torch.tensor([3, 299, 0, 7]), torch.tensor([1.0, -0.5, 2.0, 0.0])
    rows = torch.randn(4, 300) * 8
    found = []
    for losses in (objectives.token_losses, lambda x, w: functional.cross_entropy(x, w, reduction="none")):
        logits = rows.clone().requires_grad_()
        values = losses(logits, wanted)
        (values * weights).sum().backward()
        found.append((values.detach(), logits.grad))
    torch.testing.assert_close(*(value for value, _ in found), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(*(grad for _, grad in found), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("far", [0.0, 1e4, float("nan")])
def test_token_losses_stay_finite_where_a_token_has_no_chance_and_tell_what_is_no_number(far):
    logits = torch.zeros(1, 5)
    logits[0, 1] = far
    logits.requires_grad_()
    loss = objectives.token_losses(logits, torch.tensor([0]))
    loss.sum().backward()
    assert torch.isfinite(loss).all() == torch.isfinite(logits.grad).all() == (far == far)


def pairs(count: int = 6) -> list[Encoded]:
    """Random pairs; one has no rejected answer, one an earlier turn that carries loss."""
    rng = random.Random(1)

    def ids(n):
        return [rng.randrange(300) for _ in range(n)]

    return [
        Encoded(
            [*range(5, 15), *ids(n + 2)],
            ids(3 + n % 2),
            rejected=() if n == 2 else tuple(ids(2 + n % 3)),
            taught=(12,) if n == 3 else (),
        )
        for n in range(count)
    ]


def log_probability(model, prompt, answer):
    """What peft and transformers make of it, position by position."""
    ids = torch.tensor([[*prompt, *answer]])
    chances = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
    given = chances.gather(1, ids[0, 1:, None])[:, 0]
    return given[len(prompt) - 1 :].sum(), given


# peft asks transformers for something that transformers deprecates.
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("trunk", ["fused", "padded"])
def test_loss_and_gradients_are_those_of_the_papers_formula_on_peft(folder, tmp_path, trunk, monkeypatch):
    from peft import PeftModel

    model = load_model(folder, "float32")
    adapters = attach(model, 4, 8, 0)
    make = {"fused": lambda: loop.trunk_of(model, 512), "padded": lambda: loop.PlainTrunk(model)}
    trunk = make[trunk]()
    batch = objectives.with_reference(trunk, pairs(), tmp_path / "reference.json", Silent())
    generator = torch.Generator().manual_seed(1)
    for layer in adapters.values():
        layer.up.data = torch.randn(layer.up.shape, generator=generator) * 0.1
    write_adapter(tmp_path, adapter_state(adapters), rank=4, alpha=8, base="tiny")
    monkeypatch.setattr(loop, "TOKENS_AT_ONCE", 70)  # in parts
    assert len(list(in_parts(batch, 70))) > 2
    loss, measured = loop._learn(trunk, batch, objectives.Preference(beta=0.3, sft_weight=0.5))

    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    theirs = PeftModel.from_pretrained(base, tmp_path, is_trainable=True)
    margins, learned, hits = [], [], []
    for e in batch:
        chosen, tokens = log_probability(theirs, e.prompt, e.answer)
        learned += [tokens[p - 1] for p in e.learned[0]]
        first = theirs(input_ids=torch.tensor([[*e.prompt, *e.answer]])).logits[0].argmax(-1)
        hits += [(first[p - 1] == token).item() for p, token in zip(*e.learned, strict=True)]
        if e.rejected:
            rejected, _ = log_probability(theirs, e.prompt, e.rejected)
            with theirs.disable_adapter(), torch.no_grad():
                references = [log_probability(theirs, e.prompt, answer)[0] for answer in (e.answer, e.rejected)]
            margins.append(0.3 * ((chosen - references[0]) - (rejected - references[1])))
    margin = torch.stack(margins)
    expected = -functional.logsigmoid(margin).mean() - 0.5 * torch.stack(learned).mean()
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    assert measured["token_accuracy"] == pytest.approx(sum(hits) / len(hits))
    assert measured["reward_margin"] == pytest.approx(margin.mean().item(), rel=1e-4)
    assert measured["reward_accuracy"] == pytest.approx((margin > 0).float().mean().item())
    found = {n.replace(".default", ""): p.grad for n, p in theirs.named_parameters() if p.requires_grad}
    for name, parameter in learned_parameters(adapters).items():
        assert (parameter.grad - found[name]).norm() <= 1e-4 * found[name].norm(), name


def test_the_reference_is_computed_once_and_again_for_other_pairs(folder, tmp_path):
    model = load_model(folder, "float32")
    adapters = attach(model, 4, 8, 0)
    trunk, file = loop.trunk_of(model, 512), tmp_path / "reference.json"
    first = objectives.with_reference(trunk, pairs(), file, Silent())
    assert [e.reference is None for e in first] == [not e.rejected for e in first]
    for layer in adapters.values():
        torch.nn.init.normal_(layer.up)
    assert objectives.with_reference(trunk, pairs(), file, Silent()) == first
    other = objectives.with_reference(trunk, pairs(5), file, Silent())
    assert other[0].reference != first[0].reference


class _Bars(Silent):
    """Remembers how far each bar came."""

    def __init__(self):
        super().__init__()
        self.bars = {}

    def bar(self, title, total):
        self.bars[title] = [total]
        return SimpleNamespace(update=lambda done, note="": self.bars[title].append(done))


def test_the_reference_is_computed_in_parts_before_a_persons_eyes(folder, tmp_path, monkeypatch):
    model = load_model(folder, "float32")
    attach(model, 4, 8, 0)
    trunk, told = loop.trunk_of(model, 512), _Bars()
    monkeypatch.setattr(objectives, "TOKENS_AT_ONCE", 70)
    found = objectives.with_reference(trunk, pairs(), tmp_path / "reference.json", told)
    ((total, *done),) = told.bars.values()
    assert done[-1] == total == sum(e.tokens for e in pairs() if e.rejected)
    assert len(done) > 1
    for e in found:
        if e.rejected:
            alone = [log_probability(model, e.prompt, answer)[0].item() for answer in (e.answer, e.rejected)]
            assert e.reference == pytest.approx(alone, rel=1e-4)


def test_a_reference_that_cannot_be_read_is_computed_again(folder, tmp_path):
    model = load_model(folder, "float32")
    attach(model, 4, 8, 0)
    trunk, file = loop.trunk_of(model, 512), tmp_path / "reference.json"
    first = objectives.with_reference(trunk, pairs(), file, Silent())
    file.write_bytes(file.read_bytes()[:40])
    assert objectives.with_reference(trunk, pairs(), file, Silent()) == first


class _Counted:
    """A trunk that counts the texts it is given."""

    def __init__(self, trunk):
        self._trunk, self.texts = trunk, 0

    def logits(self, texts):
        self.texts += len(texts)
        return self._trunk.logits(texts)


def test_a_stop_keeps_the_reference_as_far_as_it_came_and_goes_on_there(folder, tmp_path, monkeypatch):
    model = load_model(folder, "float32")
    attach(model, 4, 8, 0)
    monkeypatch.setattr(objectives, "TOKENS_AT_ONCE", 70)
    unbroken, stopped, resumed = (_Counted(loop.trunk_of(model, 512)) for _ in range(3))
    whole = objectives.with_reference(unbroken, pairs(), tmp_path / "whole.json", Silent())
    file, asked = tmp_path / "reference.json", iter([False, True])
    with pytest.raises(KeyboardInterrupt):
        objectives.with_reference(stopped, pairs(), file, Silent(), asked_to_stop=lambda: next(asked))
    assert 0 < len(json.loads(file.read_bytes())["pairs"]) < sum(bool(e.rejected) for e in pairs())
    told = _Bars()
    assert objectives.with_reference(resumed, pairs(), file, told) == whole
    assert 0 < stopped.texts < unbroken.texts == stopped.texts + resumed.texts
    ((total, *done),) = told.bars.values()
    assert 0 < done[0] < done[-1] == total


def test_a_kill_loses_no_more_of_the_reference_than_was_computed_since_it_was_written(folder, tmp_path, monkeypatch):
    model = load_model(folder, "float32")
    attach(model, 4, 8, 0)
    monkeypatch.setattr(objectives, "TOKENS_AT_ONCE", 70)
    monkeypatch.setattr(objectives, "KEPT_EVERY", 0.0)
    trunk, file, asked = loop.trunk_of(model, 512), tmp_path / "reference.json", iter([False])
    with pytest.raises(StopIteration):  # in the second part
        objectives.with_reference(trunk, pairs(), file, Silent(), asked_to_stop=lambda: next(asked))
    assert json.loads(file.read_bytes())["pairs"]


# ---------------------------------------------------------------------- the loop

QUESTIONS = {"where is my card": ("card_arrival", "refund please"), "how do I change my pin": ("change_pin", "again")}


def prepared(tiny_base, *, with_pairs=True, **wish):
    template = ChatTemplate(tiny_base.folder)
    examples = [
        Example(
            {"text": f"{q} {n}"}, right, f"{q}{n}", Provenance("f.csv", n + 2), rejected=wrong if with_pairs else ""
        )
        for n in range(12)
        for q, (right, wrong) in QUESTIONS.items()
    ]
    splits = tuple("validation" if i % 6 == 5 else "train" for i in range(len(examples)))
    dataset = Dataset("t", 1, tuple(examples), splits)
    task = Task.model_validate({"name": "t", "kind": "generate", "train": {"epochs": 4, "rank": 4, **wish}})
    sides = [encode(dataset.of(s), template, system="", max_tokens=1024, pairs=True) for s in ("train", "validation")]
    recipe = make_recipe(task, dataset, sides[0], base_model="tiny", base_sha256="0", precision="float32")
    return recipe, sides


def run(tiny_base, recipe, sides, checkpoint, reporter=None, **options):
    torch.set_num_threads(1)
    model = load_model(tiny_base.folder, "float32")
    adapters = attach(model, recipe.rank, recipe.alpha, recipe.seed, recipe.method)
    trunk = loop.trunk_of(model, 1024)
    return loop.run_loop(trunk, adapters, *sides, recipe, checkpoint, reporter or Silent(), **options)


def test_it_comes_to_prefer_the_right_answer_and_writes_it(tiny_base, tmp_path):
    recipe, sides = prepared(tiny_base, learning_rate=0.01, epochs=20)
    assert (recipe.objective, recipe.beta, recipe.sft_weight) == ("dpo", 0.1, 1.0)
    seen = []
    result = run(tiny_base, recipe, sides, tmp_path / "c.safetensors", watch=lambda _, m: seen.append(m))
    last = result.position.history[-1]
    assert last["validation_reward_accuracy"] == 1.0
    assert last["validation_reward_margin"] > 0.5
    assert last["validation_right"] == 1.0
    assert result.position.best_loss < 0.5 * result.position.untrained_loss
    assert "reward_margin" in seen[0]


def test_without_the_likelihoods_part_the_gap_grows_too(tiny_base, tmp_path):
    recipe, sides = prepared(tiny_base, learning_rate=0.003, sft_weight=0.0)
    result = run(tiny_base, recipe, sides, tmp_path / "c.safetensors")
    assert result.position.untrained_loss == pytest.approx(0.6931, abs=1e-3)
    assert result.position.best_loss < 0.6
    assert result.position.history[-1]["validation_reward_accuracy"] == 1.0


@pytest.mark.parametrize("sft_weight", [0.0, 1.0])
def test_validation_without_pairs_makes_no_training_diverge(tiny_base, tmp_path, sft_weight):
    recipe, (train, validation) = prepared(tiny_base, learning_rate=0.003, sft_weight=sft_weight)
    without = [replace(e, rejected=()) for e in validation]
    told = Silent()
    result = run(tiny_base, recipe, [train, without], tmp_path / "c.safetensors", reporter=told)
    assert not any("diverged" in line for line in told.warned)
    assert result.position.rate == 1.0
    with_pairs = run(tiny_base, recipe, [train, validation], tmp_path / "d.safetensors")
    assert result.position.untrained_loss == pytest.approx(with_pairs.position.untrained_loss, rel=0.01)


def test_a_plan_counts_the_bases_opinion_of_every_pair(tiny_base):
    recipe, sides = prepared(tiny_base)
    plan = make_plan(recipe, *sides, seconds_per_token=0.01)
    alone = make_plan(recipe.model_copy(update={"objective": "sft"}), *sides, seconds_per_token=0.01)
    every = sum(e.tokens for side in sides for e in side)
    assert plan.seconds - alone.seconds == pytest.approx(0.01 * every / 2)  # of a pass forward and back
    within = within_minutes(recipe.model_copy(update={"minutes": plan.seconds / 120}), *sides, seconds_per_token=0.01)
    assert make_plan(within, *sides, seconds_per_token=0.01).seconds <= plan.seconds / 2


def test_a_resumed_run_ends_as_an_unbroken_one(tiny_base, tmp_path):
    recipe, sides = prepared(tiny_base)
    whole = run(tiny_base, recipe, sides, tmp_path / "whole.safetensors")
    asked = iter([False] * 4 + [True])
    run(tiny_base, recipe, sides, tmp_path / "c.safetensors", asked_to_stop=lambda: next(asked))
    resumed = run(tiny_base, recipe, sides, tmp_path / "c.safetensors")
    assert resumed.resumed
    assert resumed.position.history == whole.position.history
    assert all(torch.equal(resumed.state[name], tensor) for name, tensor in whole.state.items())


def test_the_objective_follows_the_data_unless_it_is_set(tiny_base):
    assert prepared(tiny_base, with_pairs=False)[0].objective == "sft"
    assert prepared(tiny_base, objective="sft")[0].objective == "sft"
    with pytest.raises(NothingToLearn, match="rejected answer") as fault:
        prepared(tiny_base, with_pairs=False, objective="dpo")
    assert 'train.objective = "sft"' in fault.value.remedy


def test_a_prompt_leaves_room_for_the_longer_answer(tiny_base):
    template = ChatTemplate(tiny_base.folder)
    long = Example(
        {"text": "card " * 400}, "no", "g", Provenance("f.csv", 2), rejected="the transfer failed again " * 3
    )
    (encoded,) = encode([long], template, system="", max_tokens=64, pairs=True)
    assert encoded.truncated
    assert all(text.tokens <= 64 for text in encoded.texts)
    assert encoded.rejected == tuple(template.answer_ids(long.rejected))
    (alone,) = encode([long], template, system="", max_tokens=64)
    assert alone.rejected == ()


@pytest.mark.parametrize("chat", [False, True])
def test_a_rejected_answer_without_room_is_told_as_a_right_one_is(tiny_base, chat):
    template, long = ChatTemplate(tiny_base.folder), "the transfer failed again " * 40
    text = json.dumps([{"role": "user", "content": "card"}]) if chat else "card"
    inputs, place = {"messages" if chat else "text": text}, Provenance("f.csv", 17)
    pair, right = Example(inputs, "no", "g", place, rejected=long), Example(inputs, long, "g", place)
    for example, what in ((pair, "the rejected answer takes"), (right, "the answer takes")):
        with pytest.raises(NothingToLearn, match=rf"f\.csv:17: {what} {len(template.answer_ids(long))} ") as fault:
            encode([example], template, system="", max_tokens=64, pairs=True, chat=chat)
        assert "within 64" in fault.value.what
        assert "train.max_tokens" in fault.value.remedy


# ---------------------------------------------------------------------- the files

ASKED = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "where is my card"}]
GOOD, BAD = {"role": "assistant", "content": "on its way"}, {"role": "assistant", "content": "no idea"}
FORMS = {
    "openai": {"input": {"messages": ASKED}, "preferred_output": [GOOD], "non_preferred_output": [BAD]},
    "trl": {"prompt": ASKED, "chosen": [GOOD], "rejected": [BAD]},
    "trl without a prompt": {"chosen": [*ASKED, GOOD], "rejected": [*ASKED, BAD]},
    "ours": {"messages": [*ASKED, GOOD], "rejected": "no idea"},
    "ours with a message": {"messages": [*ASKED, GOOD], "rejected": BAD},
    "ours with messages": {"messages": [*ASKED, GOOD], "rejected": [BAD]},
    "parts of a content": {
        "input": {"messages": ASKED},
        "preferred_output": [GOOD],
        "non_preferred_output": [{"role": "assistant", "content": [{"type": "text", "text": "no idea"}]}],
    },
}


def write(file: Path, rows: list) -> Path:
    file.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return file


@pytest.mark.parametrize("form", FORMS)
def test_pairs_of_conversations_are_read_in_every_form(form, tmp_path):
    source = read_source(write(tmp_path / "pairs.jsonl", [FORMS[form]] * 3))
    mapping = infer_mapping(source, kind="generate")
    examples, rejections = to_examples(source, mapping)
    assert rejections == []
    assert mapping.chat
    assert json.loads(examples[0].inputs["messages"]) == ASKED
    assert (examples[0].target, examples[0].rejected) == ("on its way", "no idea")
    assert examples[0].provenance.line == 1


def test_pairs_of_texts_are_read(tmp_path):
    rows = [{"prompt": f"where is card {n}", "chosen": f"card {n} is near", "rejected": f"lost {n}"} for n in range(12)]
    source = read_source(write(tmp_path / "pairs.jsonl", rows))
    mapping = infer_mapping(source, kind="generate")
    assert (mapping.fields, mapping.targets, mapping.rejected) == (("prompt",), ("chosen",), "rejected")
    assert any("rejected" in sentence for sentence in mapping.why)
    examples, _ = to_examples(source, mapping)
    assert (examples[3].target, examples[3].rejected) == ("card 3 is near", "lost 3")


def test_a_column_of_that_name_alone_is_no_pair(tmp_path):
    rows = [
        {"text": f"applicant number {n}", "rejected": "yes" if n % 2 else "no", "label": "ab"[n % 2]} for n in range(12)
    ]
    mapping = infer_mapping(read_source(write(tmp_path / "rows.jsonl", rows)), target="label")
    assert mapping.rejected == ""
    assert "rejected" in mapping.fields


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"non_preferred_output": []}, "not a list of messages"),
        ({"non_preferred_output": [BAD, BAD]}, "worse answer is not one message"),
        ({"preferred_output": [{"role": "user", "content": "hm"}]}, "better answer is not one message"),
        ({"non_preferred_output": [{"role": "assistant", "content": " "}]}, "content of the worse answer is empty"),
        ({"input": {"messages": ASKED, "tools": [{"type": "function"}]}}, "'tools'"),
    ],
)
def test_a_pair_that_is_none_is_rejected_with_its_reason(change, told, tmp_path):
    rows = [FORMS["openai"], FORMS["openai"], FORMS["openai"] | change]
    source = read_source(write(tmp_path / "pairs.jsonl", rows))
    (rejection,) = source.rejections
    assert rejection.provenance.line == 3
    assert told in rejection.reason


@pytest.mark.parametrize(
    ("rejected", "told"),
    [
        ([*ASKED, BAD], "worse answer is not one message"),
        (ASKED[-1], "worse answer is not one message"),
        ({"role": "assistant", "content": None}, "content of the worse answer is empty"),
    ],
)
def test_a_rejected_message_that_is_no_answer_is_told(rejected, told, tmp_path):
    rows = [FORMS["ours"], FORMS["ours"], FORMS["ours"] | {"rejected": rejected}]
    source = read_source(write(tmp_path / "pairs.jsonl", rows))
    examples, (rejection,) = to_examples(source, infer_mapping(source, kind="generate"))
    assert len(examples) == 2
    assert rejection.provenance.line == 3
    assert told in rejection.reason


def test_an_object_stays_the_rejected_answer_of_an_extract_task(tmp_path):
    rows = [{"mail": f"lamp {n}", "order": {"lamps": n}, "worse": {"lamps": n + 1}} for n in range(12)]
    source = read_source(write(tmp_path / "orders.jsonl", rows))
    mapping = infer_mapping(source, kind="extract", target="order", fields=["mail"], rejected="worse")
    examples, _ = to_examples(source, mapping)
    assert (examples[3].target, examples[3].rejected) == ('{"lamps":3}', '{"lamps":4}')


def test_an_equal_answer_makes_no_pair_and_a_pair_is_another_example():
    place = Provenance("f", 1)
    plain, pair = Example({"t": "a"}, "b", "g", place), Example({"t": "a"}, "b", "g", place, rejected="c")
    assert plain.id != pair.id


# ---------------------------------------------------------------------- the command


@pytest.fixture
def supported(tmp_path, tiny_gguf, cli):
    """A workspace with a generate task of chats and their rejected answers, never trained."""
    place = tmp_path / "workspace"
    assert cli(place, "init", "support", "--kind", "generate", "--base", tiny_gguf).code == 0
    rows = [
        {"messages": [{"role": "user", "content": f"{q} {n}"}, {"role": "assistant", "content": right}],
         "rejected": wrong}
        for n in range(15) for q, (right, wrong) in QUESTIONS.items()
    ]  # fmt: skip
    assert cli(place, "add", "support", write(tmp_path / "pairs.jsonl", rows)).code == 0
    return place


def set_keys(place: Path, lines: str) -> None:
    toml = place / "tasks" / "support" / "task.toml"
    toml.write_text(toml.read_text("utf-8").replace("[train]\n", f"[train]\n{lines}\n"), "utf-8")


def without_pairs_in_validation(place: Path) -> None:
    """A version whose validation split has plain examples only."""
    workspace = Workspace(place)
    dataset = records.load_dataset(workspace, "support")
    examples = [
        replace(e, rejected="", id="") if split == "validation" else e
        for e, split in zip(dataset.examples, dataset.splits, strict=True)
    ]
    records.save_dataset(workspace, replace(dataset, number=2, examples=tuple(examples)))


def test_looks_that_see_no_pair_are_told(supported, cli):
    without_pairs_in_validation(supported)
    done = cli(supported, "train", "support", "--dry-run")
    assert done.code == 0, done.err
    assert "none has a rejected answer" in done.err


def test_looks_that_see_nothing_at_all_are_refused(supported, cli):
    without_pairs_in_validation(supported)
    set_keys(supported, "sft_weight = 0.0")
    done = cli(supported, "train", "support")
    assert done.code == 3
    assert "train.sft_weight" in done.err
    assert "->" in done.err


def test_pairs_are_added_kept_and_learned_from(tmp_path, tiny_gguf, cli):
    rows = [
        {
            "input": {"messages": [{"role": "user", "content": f"{q} {n}"}]},
            "preferred_output": [{"role": "assistant", "content": right}],
            "non_preferred_output": [{"role": "assistant", "content": wrong}],
        }
        for n in range(15)
        for q, (right, wrong) in QUESTIONS.items()
    ]
    place, file = tmp_path / "workspace", write(tmp_path / "pairs.jsonl", rows)
    assert cli(place, "init", "support", "--kind", "generate", "--base", tiny_gguf).code == 0
    added = cli(place, "add", "support", file)
    assert added.code == 0, added.err
    kept = records.load_dataset(Workspace(place), "support").examples
    assert {e.rejected for e in kept} == {"refund please", "again"}
    toml = place / "tasks" / "support" / "task.toml"
    text = toml.read_text("utf-8").replace("[train]\n", "[train]\nepochs = 8\nlearning_rate = 0.01\nbatch_size = 8\n")
    toml.write_text(text, "utf-8")
    plan = cli(place, "train", "support", "--dry-run", "--json").json
    (choice,) = [c for c in plan["choices"] if c["name"] == "objective"]
    assert "DPO" in choice["value"]
    assert plan["recipe"]["objective"] == "dpo"
    trained = cli(place, "train", "support", "--json").json
    assert trained["history"][-1]["validation_reward_accuracy"] == 1.0
    assert trained["parity"]["passed"], trained["parity"]


# ---------------------------------------------------------------------- corrections


def serve_and_correct(workspace: Workspace, count: int) -> None:
    """Answers that were given to requests, and what a person would have had instead."""
    for n in range(count):
        question = json.dumps([{"role": "user", "content": f"when does the card come {n}"}])
        traffic.add_trace(
            workspace,
            Trace(
                id=f"t{n}", task="support", model_version="support@1", inputs={"messages": question},
                output=f"refund please {n}", confidence=0.5, needs_review=True, latency_ms=1.0, prompt_tokens=9,
                answer_tokens=2000 if n == 0 else 9, created_at=now(),
            ),
        )  # fmt: skip
        right = f"refund please {n}" if n == 1 else "card_arrival"  # the second was right as it was
        traffic.add_feedback(workspace, Feedback(trace=f"t{n}", correction=right, accepted=n == 1))


@pytest.fixture
def served(tmp_path, tiny_gguf, cli):
    """A workspace whose champion answers chats and has learned from right answers alone."""
    place = tmp_path / "workspace"
    assert cli(place, "init", "support", "--kind", "generate", "--base", tiny_gguf).code == 0
    rows = [
        {"messages": [{"role": "user", "content": f"{q} {n}"}, {"role": "assistant", "content": right}]}
        for n in range(15)
        for q, (right, _) in QUESTIONS.items()
    ]
    assert cli(place, "add", "support", write(tmp_path / "chats.jsonl", rows)).code == 0
    set_keys(place, "max_steps = 2")
    assert cli(place, "train", "support").code == 0
    assert cli(place, "promote", "support", "--version", 1, "--force", "--reason", "to be corrected").code in (0, 4)
    return place


def test_corrections_become_pairs_that_retrain_learns_from(served, cli):
    workspace = Workspace(served)
    serve_and_correct(workspace, 30)
    registry.move_alias(workspace, "support", registry.CHAMPION, 1, action="promote")
    done = cli(served, "retrain", "support", "--json")
    assert done.code == 0, done.err
    added = {
        e.provenance.file: (e.target, e.rejected)
        for e in records.load_dataset(workspace, "support", 2).learned
        if e.provenance.file.startswith("corrections/")
    }
    assert len(added) == 29
    assert added.pop("corrections/t0") == ("card_arrival", "")  # it ran away
    assert all(pair == ("card_arrival", f"refund please {file[13:]}") for file, pair in added.items())
    assert "28 of all 29 are preference pairs" in done.err
    assert done.json["train"]["recipe"]["objective"] == "dpo"
    assert "lead over a rejected answer" in done.err
    waiting = waiting_corrections(workspace, workspace.load_task("support"), records.load_dataset(workspace, "support"))
    assert waiting.usable == 0
    workspace.close()


def test_a_few_corrections_are_no_reason_for_another_objective(served, cli):
    workspace = Workspace(served)
    serve_and_correct(workspace, 8)
    waiting = waiting_corrections(workspace, workspace.load_task("support"), records.load_dataset(workspace, "support"))
    records.save_dataset(workspace, waiting.built.dataset)
    workspace.close()
    plan = cli(served, "train", "support", "--dry-run", "--json")
    assert plan.json["recipe"]["objective"] == "sft"
    assert "training examples have a rejected answer: fewer than 16" in plan.err
    set_keys(served, 'objective = "dpo"')
    assert cli(served, "train", "support", "--dry-run", "--json").json["recipe"]["objective"] == "dpo"


def test_a_label_needs_no_pair(tmp_path):
    task = Task(name="t", kind="classify", labels=("a", "b"), input={"fields": ("text",)})
    trace = Trace(
        id="t", task="t", model_version="t@1", inputs={"text": "hello"}, output="a", confidence=0.5, needs_review=True,
        latency_ms=1.0, prompt_tokens=9, answer_tokens=2, created_at=now(),
    )  # fmt: skip
    made = corrections._corrected(task, trace, Feedback(trace="t", correction="b", accepted=False))
    assert (made.target, made.rejected) == ("b", "")
    text = corrections._corrected(
        task.model_copy(update={"kind": "generate"}), trace, Feedback(trace="t", correction="b", accepted=False)
    )
    assert (text.target, text.rejected) == ("b", "a")
