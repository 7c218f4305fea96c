"""`export`: each kind of folder in the program that reads it, on a tiny model that answers as the served file does."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import dataset, many_intents
from unit.test_hub_bases import BY_NAME, make_folder

from inhouse.core import ModelVersion, Parity, Recipe
from inhouse.deploy import ServedModel
from inhouse.deploy.export import _go_template, _source, export_version
from inhouse.engine import Base, get_base
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.gguf_file import write_gguf
from inhouse.engine.lora import adapter_state, attach, merged_weights, write_adapter
from inhouse.engine.prompts import trained_messages
from inhouse.engine.torch_model import load_model
from inhouse.engine.xllamacpp_engine import XLlamaCppEngine
from inhouse.errors import Refused, UsageError
from inhouse.store import Workspace, records, registry

KINDS = ["gguf", "ollama", "openvino", "adapter", "merged", "vllm"]
CARD = "# the card"
TEXTS = ["where is my card", "my transfer failed again", "exchange rate was wrong", "new pin, please"]
PASSED = Parity(
    passed=True, tokens=500, top1_agreement=1.0, mean_logprob_difference=0.0, worst_logprob_difference=0.0,
    trainer_accuracy=1.0, served_accuracy=1.0, paired_p_value=1.0, validation_examples=10,
)  # fmt: skip
FAILED = PASSED.model_copy(update={"passed": False, "reason": "only 3 of 500 answer tokens agree"})


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, models_dir) -> Workspace:
    folder = tmp_path_factory.mktemp("exports")
    (folder / "inhouse.toml").write_text(f'models_dir = "{models_dir}"\noffline = true\nthreads = 1\n')
    workspace = Workspace(folder)
    rows = [({"text": text}, "an answer", "validation") for text in TEXTS]
    records.save_dataset(workspace, replace(dataset(*rows), task="tickets"))
    return workspace


def make_version(
    workspace: Workspace, base: Any, *, system: str = "", scale: float = 0.1, **changes: Any
) -> ModelVersion:
    """A version with a random adapter, as training leaves it."""
    recipe = Recipe(
        base_model=str(base.folder), base_sha256=base.spec.sha256, dataset_fingerprint="f", seed=0, epochs=1,
        batch_size=8, learning_rate=1e-3, warmup_share=0.1, rank=4, alpha=8, weight_decay=0.0, max_grad_norm=1.0,
        max_tokens=200, patience=3, precision="float32", system=system,
    )  # fmt: skip
    adapters = attach(load_model(base.folder, "float32"), recipe.rank, recipe.alpha, seed=0)
    generator = torch.Generator().manual_seed(1)
    for layer in adapters.values():
        layer.up.data = torch.randn(layer.up.shape, generator=generator) * scale
    state = adapter_state(adapters)
    folder = workspace.paths.run("run")
    folder.mkdir(parents=True, exist_ok=True)
    with workspace.blobs.scratch(folder) as scratch:
        write_adapter(scratch, state, rank=recipe.rank, alpha=recipe.alpha, base=recipe.base_model)
        weights = merged_weights(base.folder / "model.safetensors", state, rank=recipe.rank, alpha=recipe.alpha)
        write_gguf(base.gguf, weights, scratch / "model.gguf")
        adapter = workspace.blobs.put_file(scratch / "adapter_model.safetensors", ".safetensors")
        file = workspace.blobs.put_file(scratch / "model.gguf", ".gguf")
    facts = {
        "task": "tickets", "number": 1, "kind": "generate", "contender": "fine-tuned", "run": "run",
        "file_sha256": file, "adapter_sha256": adapter, "fields": ("text",), "answer_tokens": 12, "threshold": 1.01,
        "parity": PASSED, "lineage": {"dataset": 1, "recipe": recipe.model_dump(mode="json")}, "exact": True,
    }  # fmt: skip
    return ModelVersion(**{**facts, **changes})


@pytest.fixture(scope="module")
def version(workspace, tiny_base) -> ModelVersion:
    return make_version(workspace, tiny_base)


@pytest.fixture(scope="module")
def served(workspace, version):
    """Prompts, and the likeliest first tokens of the served file."""
    model = ServedModel(workspace, version)
    prompts = [model.question({"text": text}).prompt for text in TEXTS]
    first = model.engine.next_tokens(prompts)
    model.close()
    return prompts, first


@pytest.fixture
def exported(workspace, version, tmp_path):
    def export(to: str) -> Path:
        return export_version(workspace, version, to, tmp_path / to, CARD).folder

    return export


@pytest.fixture(scope="module")
def learned(trained, tmp_path_factory):
    """A model that has learned its messages, so that its answers are no ties: workspace, version, prompts and answers."""
    workspace = Workspace(Path(shutil.copytree(trained, tmp_path_factory.mktemp("learned") / "workspace")))
    version = registry.find_version(workspace, "intents", "champion")
    model = ServedModel(workspace, version)
    inputs = [e.inputs for e in records.load_dataset(workspace, "intents").of("train")[::5]]  # others were not learned
    answers = [a.prediction.target for a in model.answer(inputs)]
    yield workspace, version, [model.question(one).prompt for one in inputs], answers
    model.close()
    workspace.close()


def greedy(model: Any, template: ChatTemplate, prompt: list[int], **settings: Any) -> str:
    """transformers' own answer, no grammar around it."""
    ids = torch.tensor([prompt])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=16, **settings)
    return template.decode(out[0, len(prompt) :].tolist())


# ---------------------------------------------------------------------- each in its consumer


def test_the_gguf_folder_is_the_served_file_and_llama_cpp_answers_with_it(exported, workspace, version, served):
    folder = exported("gguf")
    assert (folder / "model.gguf").read_bytes() == workspace.blobs.path(version.file_sha256, ".gguf").read_bytes()
    prompts, (tokens, logprobs) = served
    engine = XLlamaCppEngine(folder / "model.gguf", answers_end(workspace, version))
    found, theirs = engine.next_tokens(prompts)
    engine.close()
    assert found == tokens
    assert max(abs(a - b) for a, b in zip(theirs, logprobs, strict=True)) < 0.3


def answers_end(workspace: Workspace, version: ModelVersion) -> int:
    return _source(workspace, version).template.end_of_turn


def test_the_chat_template_is_inside_the_gguf_file(exported, tiny_base):
    from gguf import GGUFReader

    fields = GGUFReader(exported("gguf") / "model.gguf").fields
    assert fields["tokenizer.chat_template"].contents() == (tiny_base.folder / "chat_template.jinja").read_text("utf-8")


# transformers speaks to peft about a name of its own that it has deprecated.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_peft_answers_with_the_adapter_as_the_served_model_does(learned, tiny_base, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    workspace, version, prompts, answers = learned
    folder = export_version(workspace, version, "adapter", tmp_path / "adapter", CARD).folder
    named = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert named == str(tiny_base.folder)
    model = AutoModelForCausalLM.from_pretrained(named, dtype=torch.float32)
    template = ChatTemplate(folder)
    end = {"eos_token_id": template.end_of_turn, "pad_token_id": template.end_of_turn}
    assert not any(greedy(model, template, p, **end) == a for p, a in zip(prompts, answers, strict=True))
    tuned = PeftModel.from_pretrained(model, folder)
    assert [greedy(tuned, template, p, **end) for p in prompts] == answers


class Published(Base):
    """A base that the hub has too."""

    hub_id = "org/name"


@pytest.mark.parametrize(
    ("kind", "hub", "named", "doubt"),
    [
        (Base, "org/name@1a2b", "org/name", ""),
        (Published, "", "org/name", "org/name is this model before it was cut to fewer bits"),
        (Base, "", "", "by its folder on this machine"),
    ],
)
def test_an_adapter_names_its_base_by_what_is_found_everywhere_or_says_so(
    kind, hub, named, doubt, tiny_base, workspace, version, tmp_path, monkeypatch
):
    base = kind(replace(tiny_base.spec, hub=hub), tiny_base.folder)
    monkeypatch.setattr("inhouse.deploy.export.get_base", lambda *_, **__: base)
    written = export_version(workspace, version, "adapter", tmp_path / "out", CARD)
    config = json.loads((written.folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == (named or str(tiny_base.folder))
    assert f'from_pretrained("{named or tiny_base.folder}")' in written.next[0]
    assert [doubt in found for found in written.doubts] == ([True] if doubt else [])
    assert all(found in (written.folder / "README.md").read_text("utf-8") for found in written.doubts)
    assert export_version(workspace, version, "merged", tmp_path / "merged", CARD).doubts == ()


def test_transformers_answers_with_the_merged_folder_as_the_served_model_does(learned, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    workspace, version, prompts, answers = learned
    folder = export_version(workspace, version, "merged", tmp_path / "merged", CARD).folder
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.bfloat16
    assert [
        greedy(model.float(), ChatTemplate(folder), p) for p in prompts
    ] == answers  # its own settings end the answer
    messages = trained_messages("", {"text": many_intents()[0]["text"]})
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rendered = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert list(rendered) == prompts[0]


# ---------------------------------------------------------------------- Ollama


def read_modelfile(text: str) -> dict[str, list[str]]:
    """Its commands, as Ollama's parser reads them: arguments on a line, or between three quotes."""
    found: dict[str, list[str]] = {}
    text = re.sub(r"^#.*\n", "", text, flags=re.M)
    for name, long, short in re.findall(r'^([A-Z]+) (?:"""(.*?)"""|([^\n]*))$', text, flags=re.M | re.S):
        found.setdefault(name, []).append(long or short)
    return found


def run_go_template(template: str, **values: Any) -> str:
    """As Go's text/template would, for what we write (Go 1.19 gave the same for 18 of 18 templates of ours)."""
    tokens = [t for t in re.split(r"(\{\{.*?\}\})", template) if t]
    out: list[str] = []
    state: dict[str, bool] = {}

    def truth(condition: str, dot: Any) -> bool:
        if condition.startswith("eq .Role "):
            return dot["role"] == json.loads(condition.removeprefix("eq .Role "))
        if condition.startswith("$"):
            return state[condition]
        return bool(dot[condition.removeprefix(".").lower()])

    def block(at: int, dot: Any, live: bool) -> int:
        """Run until the block's end or its else; give the place after it."""
        taken = live
        while at < len(tokens):
            token = tokens[at]
            if not token.startswith("{{"):
                out.append(token if taken and live else "")
                at += 1
                continue
            action = token[2:-2].strip()
            if action == "end" or action.startswith("else"):
                return at
            at += 1
            if action.startswith("if "):
                done = False
                condition = action.removeprefix("if ")
                while True:
                    hit = live and not done and (condition == "" or truth(condition, dot))
                    at = block(at, dot, hit)
                    done = done or hit
                    word = tokens[at][2:-2].strip()
                    at += 1
                    if word == "end":
                        break
                    condition = word.removeprefix("else").strip().removeprefix("if ").strip()
            elif action == "range .Messages":
                start = at
                for message in values["Messages"]:
                    at = block(start, message, live)
                at += 1
            elif action.startswith("$"):
                name, _, value = action.partition(" ")
                if live:
                    state[name] = value.endswith("true")
            elif action.startswith('"'):
                out.append(json.loads(action) if live else "")
            elif live:
                out.append(values["Prompt"] if action == ".Prompt" else dot["content"])
        return at

    block(0, values, True)
    return "".join(out)


def test_the_modelfile_asks_for_what_the_model_was_trained_on(exported, workspace, version, served, tiny_base):
    folder = exported("ollama")
    found = read_modelfile((folder / "Modelfile").read_text("utf-8"))
    assert found["FROM"] == ["./model.gguf"]
    assert found["PARAMETER"] == [
        'stop "<|im_end|>"', "temperature 0", "top_k 1", "repeat_penalty 1", "num_ctx 212", "num_predict 12",
    ]  # fmt: skip
    prompts, (tokens, _) = served
    tokenizer = ChatTemplate(tiny_base.folder)._tokenizer
    for text, prompt in zip(TEXTS, prompts, strict=True):
        asked = run_go_template(found["TEMPLATE"][0], Prompt=text)
        assert asked == tokenizer.decode(prompt, skip_special_tokens=False)
        assert tokenizer.encode(asked, add_special_tokens=False).ids == prompt
    engine = XLlamaCppEngine(folder / found["FROM"][0], 2)
    assert engine.next_tokens(prompts)[0] == tokens
    engine.close()


def base_with(template: str, tiny_base: Any, folder: Path, tokens: dict[str, str] | None = None) -> Any:
    """The tiny base under another chat template."""
    copy = Path(shutil.copytree(tiny_base.folder, folder))
    (copy / "chat_template.jinja").write_text(template, "utf-8")
    if tokens:
        settings = json.loads((copy / "tokenizer_config.json").read_text())
        (copy / "tokenizer_config.json").write_text(json.dumps(settings | tokens))
    return replace(tiny_base, folder=copy)


ODD = "{% for m in messages %}<|im_start|>{{ m['role'] }} {{ '{{' }} }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
NO_SYSTEM = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ '<|im_start|>[INST] ' + m['content'] + ' [/INST]' }}"
    "{% elif m['role'] == 'assistant' %}{{ m['content'] + '<|im_end|>' }}"
    "{% else %}{{ raise_exception('none') }}{% endif %}{% endfor %}"
)
LAST_ONLY = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}{% if loop.last %}{{ '! ' }}{% endif %}"
    "{{ m['content'] + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.mark.parametrize("template", [ODD, NO_SYSTEM], ids=["braces", "no system"])
@pytest.mark.parametrize("system", ["", 'Say {{ .Prompt }} or "no".'])
def test_a_prompt_keeps_its_text_in_ollamas_language(template, system, tiny_base, workspace, version, tmp_path):
    base = base_with(template, tiny_base, tmp_path / "base")
    source = _with(workspace, version, base, system)
    asked = run_go_template(_go_template(source), Prompt="how {{ much }} is it?")
    messages = trained_messages(system, {"text": "how {{ much }} is it?"})
    assert asked == source.tokenizer.decode(source.template.prompt_ids(messages), skip_special_tokens=False)


def _with(workspace: Workspace, version: ModelVersion, base: Any, system: str = "", **changes: Any) -> Any:
    recipe = {**version.lineage["recipe"], "system": system}
    changed = version.model_copy(update={"lineage": {"recipe": recipe}, **changes})
    plain = _source(workspace, version)
    return replace(plain, version=changed, base=base, template=ChatTemplate(base.folder))


@pytest.mark.parametrize("template", ["", ODD, NO_SYSTEM], ids=["chatml", "braces", "no system"])
def test_a_conversation_keeps_its_text_in_ollamas_language(template, tiny_base, workspace, version, tmp_path):
    base = base_with(template, tiny_base, tmp_path / "base") if template else tiny_base
    source = _with(workspace, version, base, chat=True)
    turns = [("system", "be brief"), ("user", "hi"), ("assistant", "hello"), ("user", "where is {{ it }}?")]
    for messages in (turns, turns[1:], turns[1:2], [("system", ""), *turns[1:]]):
        said = [{"role": role, "content": content} for role, content in messages]
        asked = run_go_template(_go_template(source), Messages=said)
        assert asked == source.tokenizer.decode(source.template.prompt_ids(said), skip_special_tokens=False)


def test_a_conversation_that_ollama_could_not_write_is_refused(tiny_base, workspace, version, tmp_path):
    base = base_with(LAST_ONLY, tiny_base, tmp_path / "base")
    with pytest.raises(Refused, match="writes a turn in another way"):
        _go_template(_with(workspace, version, base, chat=True))


@pytest.mark.parametrize("starts", [True, False])
def test_the_token_that_ollama_puts_first_is_there_once_or_it_is_refused(
    starts, tiny_base, workspace, version, tmp_path
):
    import gguf

    from inhouse.engine.gguf_fields import read_fields

    file = tmp_path / "adds.gguf"
    shutil.copyfile(workspace.blobs.path(version.file_sha256, ".gguf"), file)
    field = gguf.GGUFReader(file, "r+").fields["tokenizer.ggml.add_bos_token"]
    field.parts[field.data[0]][0] = True
    del field
    assert read_fields(file)["tokenizer.ggml.add_bos_token"]
    start = "{{ bos_token }}" if starts else "{{ 'x' }}"
    base = base_with(start + ODD, tiny_base, tmp_path / "base", {"bos_token": "<|im_start|>"})
    source = replace(_with(workspace, version, base), gguf=file)
    if not starts:
        with pytest.raises(Refused, match=r"put <\|im_start\|> before every prompt"):
            _go_template(source)
        return
    asked = run_go_template(_go_template(source), Prompt="hi")
    full = source.tokenizer.decode(
        source.template.prompt_ids(trained_messages("", {"text": "hi"})), skip_special_tokens=False
    )
    assert f"<|im_start|>{asked}" == full


# ---------------------------------------------------------------------- whole or not at all


@pytest.mark.parametrize("to", KINDS)
def test_what_failed_the_parity_gate_is_not_exported(to, workspace, version, tmp_path):
    bad = version.model_copy(update={"parity": FAILED})
    with pytest.raises(Refused, match="only 3 of 500 answer tokens agree") as caught:
        export_version(workspace, bad, to, tmp_path / "out", CARD)
    assert caught.value.exit_code == 4
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_is_there_is_overwritten(workspace, version, tmp_path):
    (tmp_path / "mine.txt").write_text("keep me")
    for place in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(UsageError, match="there is something at") as caught:
            export_version(workspace, version, "gguf", place, CARD)
        assert caught.value.exit_code == 2
    assert (tmp_path / "mine.txt").read_text() == "keep me"
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_filled_and_folders_above_are_made(workspace, version, tmp_path):
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tmp_path / "a" / "b"):
        written = export_version(workspace, version, "adapter", place, CARD)
        assert sorted(p.name for p in place.iterdir()) == list(written.files)
        assert {"README.md", "adapter_model.safetensors", "adapter_config.json"} <= set(written.files)
        assert [p.name for p in place.parent.glob(".part-*")] == []


def test_an_unknown_kind_names_those_that_are(workspace, version, tmp_path):
    with pytest.raises(UsageError, match="'onnx' is nothing") as caught:
        export_version(workspace, version, "onnx", tmp_path / "out", CARD)
    assert all(kind in caught.value.remedy for kind in KINDS)


def test_an_export_that_fails_leaves_nothing(workspace, version, tmp_path):
    broken = version.model_copy(update={"lineage": {"recipe": {**version.lineage["recipe"], "max_tokens": None}}})
    with pytest.raises(TypeError):
        export_version(workspace, broken, "ollama", tmp_path / "out", CARD)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("to", KINDS)
def test_the_readme_says_how_it_is_loaded_and_what_to_send(to, exported, workspace, version, tmp_path):
    written = export_version(workspace, version, to, tmp_path / "again", CARD)
    text = (written.folder / "README.md").read_text("utf-8")
    assert all(line in text for line in written.next[:-1])
    assert written.next[-1] == f"python {written.folder}/check.py"
    assert str(written.folder) in text
    assert ".part-" not in text
    assert "system message that is empty" in text
    assert "<|im_end|>" in text


def test_a_tokenizer_that_cuts_whole_prompts_otherwise_is_told(workspace, version, tmp_path):
    """SentencePiece puts a space before each part of a prompt; other programs cut the whole prompt at once."""
    base = get_base(str(make_folder(BY_NAME["llama2"], tmp_path / "llama2")), workspace.settings)
    written = export_version(
        workspace, make_version(workspace, base, engine="xllamacpp"), "ollama", tmp_path / "out", CARD
    )
    assert any("cuts a whole prompt in another way" in line for line in written.doubts)
    plain = export_version(workspace, version, "ollama", tmp_path / "plain", CARD)
    assert plain.doubts == ()
    stop = read_modelfile((written.folder / "Modelfile").read_text())["PARAMETER"][0]
    assert stop == 'stop "</s>"'
    asked = read_modelfile((written.folder / "Modelfile").read_text())["TEMPLATE"][0]
    assert asked == "[INST] {{ .Prompt }} [/INST]"  # llama.cpp adds <s> itself


def test_the_verb_says_what_was_written(copy_of_trained, tmp_path):
    import inhouse

    workspace = inhouse.open_workspace(copy_of_trained)
    done = inhouse.export(workspace, "intents", to="ollama", out=tmp_path / "out")
    assert done.as_dict() == {
        "task": "intents",
        "model_version": "intents@1",
        "to": "ollama",
        "out": str(tmp_path / "out"),
        "files": ("MODEL_CARD.md", "Modelfile", "README.md", "check.json", "check.py", "model.gguf"),
        "next": f"ollama create intents -f {tmp_path}/out/Modelfile; ollama run intents; python {tmp_path}/out/check.py",
    }
    workspace.close()
