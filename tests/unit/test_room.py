"""What a training takes of memory, counted to its end: the parity gate, whose models are there one at a time."""

from __future__ import annotations

import json
import weakref
from types import SimpleNamespace

import pytest
import torch
from conftest import many_intents, write_csv

import inhouse
from inhouse.core import Dataset, Task
from inhouse.deploy.served import ServedModel
from inhouse.engine import torch_model
from inhouse.pipeline import packaging
from inhouse.pipeline.preparation import Prepared
from inhouse.train import Encoded, comparing_needed, loop, make_recipe


def test_no_two_models_are_in_memory_at_once(tmp_path, tiny_gguf, models_dir, monkeypatch, one_thread):
    rows = [{"text": f"{row['text']} {n}", "fields": json.dumps({"n": n})} for n, row in enumerate(many_intents(2))]
    (tmp_path / "inhouse.toml").write_text(f'models_dir = "{models_dir}"\noffline = true\nthreads = 1\n')
    workspace = inhouse.open_workspace(tmp_path)
    task = inhouse.init(workspace, "objects", kind="extract", base_model=str(tiny_gguf))
    task = task.model_copy(update={"train": task.train.model_copy(update={"max_steps": 1})})
    workspace.save_task(task)
    inhouse.add(workspace, "objects", [write_csv(tmp_path / "objects.csv", rows)], inputs=["text"], target="fields")
    opened, models = list[str](), list[tuple[str, weakref.ref]]()

    def watched(name, function):
        """`function`, which makes a model or something around it, watched while it is called."""

        def call(self, *arguments, **options):
            opened.append(name)
            there = [f"{name} beside {other}" for other, model in models if model() is not None]
            assert there == []
            function(self, *arguments, **options)
            models.append((name, weakref.ref(self._model if name == "reference" else self.engine)))

        return call

    def trunk_of(model, *arguments, _real=loop.trunk_of, **options):
        models.append(("training", weakref.ref(model)))
        return _real(model, *arguments, **options)

    monkeypatch.setattr(loop, "trunk_of", trunk_of)
    monkeypatch.setattr(ServedModel, "__init__", watched("served", ServedModel.__init__))
    reference = torch_model.TorchEngine
    monkeypatch.setattr(reference, "__init__", watched("reference", reference.__init__))
    result = inhouse.train(workspace, "objects")
    assert result.validation_metric == "fields_exact"  # answers were written and judged, by the model in training
    assert opened[:2] == ["served", "reference"]
    assert result.parity.tokens > 0


def test_the_gate_counts_where_it_takes_more_than_the_training(tiny_base, monkeypatch):
    learned = [Encoded([1, 2, 3], [4, 5])] * 8
    task, dataset = Task(name="t", kind="generate"), Dataset("t", 1, (), ())
    recipe = make_recipe(task, dataset, learned, base_model="tiny", base_sha256="0", precision="bfloat16")
    small = Prepared(task, dataset, tiny_base, "xllamacpp", recipe, learned, learned[:2])
    assert small.memory == small.memory_in_training > comparing_needed(tiny_base.shape)

    class Large:
        parameters, layers, hidden, heads, vocabulary = 1_711_376_384, 24, 2048, 32, 49_152

    assert small.memory_with(Large()) == comparing_needed(Large()) > 7 * 2**30
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # where it goes to the main memory
    assert small.memory_with(Large()) < comparing_needed(Large())


def test_the_reference_leaves_a_gpu_without_room_for_it(trained, tmp_path, monkeypatch):
    asked = []

    class Reference:
        def __init__(self, *_, on_cpu, **__):
            asked.append(on_cpu)

    workspace = inhouse.open_workspace(trained)
    version = inhouse.store.registry.find_version(workspace, "intents", 1)
    base = inhouse.engine.get_base(version.lineage["recipe"]["base_model"], workspace.settings)
    monkeypatch.setattr(torch_model, "TorchEngine", Reference)
    for free in (1, 2**40):
        monkeypatch.setattr(torch_model, "free_memory", lambda free=free: free)
        packaging.open_trainer(workspace, base, version, SimpleNamespace(answer_ids=list))
    workspace.close()
    assert asked == [True, False]


def test_what_torch_keeps_of_a_gpu_for_its_next_tensors_is_free(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (1000, 9000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 7000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: 400)
    assert torch_model.free_memory() == 1000 + 6600


@pytest.mark.parametrize(
    ("example", "tokens"),
    [
        (Encoded([1] * 90, [2] * 10), 80),
        (Encoded([1] * 90, [2] * 10, rejected=(3,) * 10), 100),  # five pairs of texts go through together
        (Encoded([1] * 90, [2] * 10, taught=tuple(range(20, 60))), 400),  # turns of the assistant before
        (Encoded([1] * 500, [2] * 1500), 1500),  # one alone is more than go through together
    ],
)
def test_every_token_that_carries_loss_takes_its_logits(tiny_base, example, tokens):
    task, dataset = Task(name="t", kind="generate"), Dataset("t", 1, (), ())
    recipe = make_recipe(task, dataset, [example] * 8, base_model="tiny", base_sha256="0", precision="float32")
    assert Prepared(task, dataset, tiny_base, "xllamacpp", recipe, [example] * 8, [example])._answers_at_once == tokens
