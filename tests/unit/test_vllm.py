"""The engine that asks vLLM, against a small server in vLLM's shape. No GPU was at hand: vLLM itself was not asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import many_intents, write_csv
from vllm_server import BASE, vllm_server

import inhouse
from inhouse.deploy import ServedModel
from inhouse.deploy.adapters import open_weights
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.openvino_engine import OpenVinoEngine
from inhouse.engine.protocol import Grammar, Sampling, Wishes
from inhouse.engine.vllm_engine import Adapter, VllmEngine
from inhouse.errors import ConfigError, EngineFault, ModelUnavailable, OutboundForbidden, UsageError
from inhouse.store import Settings, Workspace, registry

TEXTS = ["where is my card", "new pin please", "transfer error"]
LABELS = Grammar('root ::= "card_arrival" | "change_pin" | "failed_transfer"')


@pytest.fixture(scope="module")
def template(tiny_base) -> ChatTemplate:
    return ChatTemplate(tiny_base.folder)


@pytest.fixture
def vllm(tiny_base, template):
    with vllm_server(tiny_base, template.end_of_turn) as state:
        yield state


@pytest.fixture
def prompts(template):
    return [template.prompt_ids([{"role": "user", "content": text}]) for text in TEXTS]


def settings(url: str, **changes: object) -> Settings:
    return Settings(**{"remotes": {"vllm": {"base_url": url, "model": BASE}}, "offline": True, **changes})


@pytest.fixture
def opened(vllm, template):
    engine = VllmEngine(settings(vllm.url), template.end_of_turn)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def local(tiny_base, template):
    engine = OpenVinoEngine(tiny_base.gguf, template.end_of_turn, threads=1, exact=True)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def trained_by_vllm(tiny_base, template, tmp_path_factory, models_dir, tiny_gguf):
    """A task whose versions vLLM serves: trained, compared with the trainer, and promoted through it."""
    root = tmp_path_factory.mktemp("vllm")
    with vllm_server(tiny_base, template.end_of_turn) as state, pytest.MonkeyPatch.context() as patch:
        patch.setenv("INHOUSE_THREADS", "1")
        (root / "inhouse.toml").write_text(
            f'models_dir = "{models_dir}"\noffline = true\nthreads = 1\n'
            f'[remotes.vllm]\nbase_url = "{state.url}"\nmodel = "{BASE}"\n'
        )
        workspace = inhouse.open_workspace(root)
        task = inhouse.init(workspace, "intents", base_model=str(tiny_gguf))
        wish = {"epochs": 30, "learning_rate": 0.01, "batch_size": 8}
        workspace.save_task(task.model_copy(update={"train": task.train.model_copy(update=wish), "engine": "vllm"}))
        messages = write_csv(root / "intents.csv", many_intents())
        inhouse.add(workspace, "intents", [messages], inputs=["text"], target="category")
        inhouse.train(workspace, "intents")
        inhouse.promote(workspace, "intents", force=True, reason="for the tests")
        yield workspace, state
        workspace.close()


# ---------------------------------------------------------------------- token ids in, token ids out


def test_answers_are_those_of_the_same_weights_here(opened, local, prompts):
    found, right = (e.generate(prompts, max_new_tokens=12) for e in (opened, local))
    assert [g.ids for g in found] == [g.ids for g in right]
    assert [g.finished for g in found] == [g.finished for g in right]
    assert [g.logprob for g in found] == pytest.approx([g.logprob for g in right], abs=1e-4)
    assert opened.next_tokens(prompts)[0] == local.next_tokens(prompts)[0]


def test_prompts_grammars_and_progress_keep_their_order(opened, prompts, template):
    seen: list[int] = []
    grammars = [Grammar(f'root ::= "{label}"') for label in ("card_arrival", "change_pin", "failed_transfer")]
    found = opened.generate(prompts, max_new_tokens=20, grammar=grammars, progress=seen.append)
    assert [template.decode(g.ids) for g in found] == ["card_arrival", "change_pin", "failed_transfer"]
    assert seen == [1, 2, 3]
    assert opened.generate([], max_new_tokens=2) == []


def test_an_answer_grows_and_is_sampled_as_wished(opened, vllm, prompts, local):
    parts = list(opened.stream(prompts[0], max_new_tokens=6))
    assert [len(part.ids) for part in parts] == list(range(1, len(parts) + 1))
    assert len(list(opened.stream(prompts[0], max_new_tokens=6, every_token=False))) == 1
    sampling = Sampling(0.9, 0.8, 7)
    *_, drawn = opened.stream(prompts[0], max_new_tokens=6, sampling=sampling)
    *_, right = local.stream(prompts[0], max_new_tokens=6, sampling=sampling)
    assert drawn.ids == right.ids
    _, body = vllm.asked[-1]
    assert (body["temperature"], body["top_p"], body["seed"], body["prompt"]) == (0.9, 0.8, 7, prompts[0])


def test_nothing_but_our_own_token_ends_an_answer(opened, vllm, prompts, template):
    opened.generate(prompts[:1], max_new_tokens=2)
    _, body = vllm.asked[-1]
    assert (body["ignore_eos"], body["stop_token_ids"]) == (True, [template.end_of_turn])
    assert body["temperature"] == 0


def test_one_who_leaves_ends_the_request_there(vllm, template, prompts, local):
    prompt, whole = next((p, g) for p in prompts for g in local.generate([p], max_new_tokens=800) if len(g.ids) > 100)
    engine = VllmEngine(settings(vllm.url), template.end_of_turn)
    parts = engine.stream(prompt, max_new_tokens=800)
    next(parts)
    parts.close()
    engine.close()  # waits for what is under way
    assert vllm.sent < len(whole.ids)


# ---------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda e: {**e, "model": "another"}, "answered with the model 'another', not with 'org/tiny'"),
        (lambda e: {**e, "choices": [{**e["choices"][0], "token_ids": None}]}, "tells no token ids"),
        (lambda e: {**e, "choices": [{**e["choices"][0], "logprobs": None}]}, "0 log-probabilities of"),
        (lambda e: {**e, "choices": 7}, "another shape"),
    ],
)
def test_an_answer_that_cannot_be_trusted_is_none(opened, vllm, prompts, change, said):
    vllm.change = change
    with pytest.raises(EngineFault, match=said):
        opened.generate(prompts, max_new_tokens=4)


def test_what_passes_is_tried_again(opened, vllm, prompts, local):
    vllm.failing = 2
    assert opened.generate(prompts[:1], max_new_tokens=4)[0].ids == local.generate(prompts[:1], max_new_tokens=4)[0].ids


def test_an_adapter_that_was_unloaded_is_loaded_again(trained_by_vllm, prompts):
    workspace, state = trained_by_vllm
    version = registry.find_version(workspace, "intents", "champion")
    model = ServedModel(workspace, version)
    (name,) = [one for one in state.engines if one != BASE]
    before = model.engine.generate(prompts, max_new_tokens=8)
    state.unload(name)  # somebody else has restarted vLLM
    assert [g.ids for g in model.engine.generate(prompts, max_new_tokens=8)] == [g.ids for g in before]
    model.close()
    assert name not in state.engines


def test_closed_it_takes_nothing_more(vllm, template, prompts):
    engine = VllmEngine(settings(vllm.url), template.end_of_turn)
    engine.close()
    with pytest.raises(EngineFault, match="closed"):
        engine.submit(prompts[0], Wishes(4), lambda _: None, every_token=True)


def test_what_is_not_there_is_told_before_anything_is_asked(vllm, template, tmp_path):
    end = template.end_of_turn
    with pytest.raises(ConfigError, match="no remote model 'vllm'"):
        VllmEngine(Settings(), end)
    with pytest.raises(OutboundForbidden):
        VllmEngine(settings("https://gpu.example/v1"), end)
    with pytest.raises(ModelUnavailable, match="cannot be asked"):
        VllmEngine(settings("http://127.0.0.1:9/v1"), end)
    other = settings(vllm.url, remotes={"vllm": {"base_url": vllm.url, "model": "org/other"}})
    with pytest.raises(ModelUnavailable, match="has no model 'org/other', but org/tiny"):
        VllmEngine(other, end)
    adapter = Adapter("inhouse-x", tmp_path)
    with pytest.raises(ModelUnavailable, match="does not load the adapter"):
        VllmEngine(settings(vllm.url), end, adapter)
    vllm.updating = False
    with pytest.raises(ModelUnavailable) as error:
        VllmEngine(settings(vllm.url), end, adapter)
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" in error.value.remedy


# ---------------------------------------------------------------------- one base with many adapters


def test_a_task_is_trained_compared_and_served_through_vllm(trained_by_vllm):
    workspace, state = trained_by_vllm
    version = registry.find_version(workspace, "intents", "champion")
    assert (version.engine, version.exact, version.parity.passed) == ("vllm", False, True)
    model = ServedModel(workspace, version)
    rows = many_intents()[::7]
    answers = [a.prediction.target for a in model.answer([{"text": row["text"]} for row in rows])]
    model.close()
    assert sum(a == row["category"] for a, row in zip(answers, rows, strict=True)) >= len(rows) - 1
    asked = {body["model"] for path, body in state.asked if path == "completions"}
    assert asked == {f"inhouse-{version.adapter_sha256[:24]}"}
    assert any("structured_outputs" in body for path, body in state.asked if path == "completions")


def test_two_versions_of_one_base_answer_each_with_its_own_adapter(trained_by_vllm, tiny_base, prompts, template):
    workspace, state = trained_by_vllm
    version = registry.find_version(workspace, "intents", "champion")
    untrained = VllmEngine(workspace.settings, template.end_of_turn)
    tuned = open_weights(workspace, version, Path("none"), template.end_of_turn)
    base_ids, tuned_ids = ([g.ids for g in e.generate(prompts, max_new_tokens=8)] for e in (untrained, tuned))
    assert all(a != b for a, b in zip(base_ids, tuned_ids, strict=True))
    folder = Path(state.paths[f"inhouse-{version.adapter_sha256[:24]}"])
    assert json.loads((folder / "adapter_config.json").read_text())["peft_type"] == "LORA"
    untrained.close()
    tuned.close()


def test_the_server_answers_through_vllm(trained_by_vllm):
    from fastapi.testclient import TestClient

    from inhouse.api import make_app

    workspace, _ = trained_by_vllm
    with TestClient(make_app(Workspace(workspace.paths.root))) as client:
        asked = {"model": "intents", "messages": [{"role": "user", "content": many_intents()[0]["text"]}]}
        answer = client.post("/v1/chat/completions", json=asked).json()
        streamed = client.post("/v1/chat/completions", json={**asked, "stream": True}).text
    assert answer["choices"][0]["message"]["content"] == "card_arrival"
    assert streamed.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("method", ["full", "dora"])
def test_what_vllm_could_not_load_is_not_trained(trained_by_vllm, method):
    workspace, _ = trained_by_vllm
    task = workspace.load_task("intents")
    other = task.model_copy(update={"train": task.train.model_copy(update={"method": method, "rank": None})})
    workspace.save_task(other)
    with pytest.raises(UsageError, match="loads adapters"):
        inhouse.train(workspace, "intents")
    workspace.save_task(task)
