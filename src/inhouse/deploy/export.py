"""A version as files for other programs: for llama.cpp, Ollama, OpenVINO, PEFT, transformers and vLLM.

A fine-tuned encoder has its own module, `export_classifier`. With every folder comes a model card, and a check that
asks the model there what it was asked here (`export_check`).

What is written answers as the served file does: the same weights, the same chat template, the same end of an answer.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from inhouse.core import ModelVersion, Recipe
from inhouse.deploy.export_check import CHECK, CHECK_NOTE, require_same, write_check
from inhouse.deploy.export_classifier import TARGET, write_openvino_folder
from inhouse.deploy.version_files import GGUF, is_prompted, is_shown_shots
from inhouse.engine import Base, get_base
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.classifier import ENGINE
from inhouse.engine.gguf_fields import read_fields
from inhouse.engine.linear_archive import LINEAR_ENGINE
from inhouse.errors import Refused, UsageError
from inhouse.store import Workspace, disk_guard

ADAPTER = ".safetensors"
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
CARD = "MODEL_CARD.md"
_OPENVINO = "openvino-genai"
# What vLLM can be told of the greatest rank of its adapters.
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
# Where a file does not say whether a first token is added, llama.cpp adds one for these.
_ADDS_FIRST = ("llama-bpe", "llama3", "llama-v3", "tekken")
_ANSWER_ROOM = 256
# What makes Ollama take the likeliest token, as training and evaluation did. Its own repeat_penalty of 1.1 comes before
# the temperature and so bends greedy answers too: punctuation and the keys of JSON must repeat. Its OpenAI-compatible
# door puts temperature 1 where a request names none, and leaves top_k alone. At one candidate top_p and min_p are idle.
_GREEDY = ("temperature 0", "top_k 1", "repeat_penalty 1")


@dataclass(frozen=True)
class Written:
    """A folder that was written, its files, what to do with it, what to know before, and how many inputs of the task it
    holds in clear."""

    folder: Path
    files: tuple[str, ...]
    next: tuple[str, ...]
    doubts: tuple[str, ...]
    in_clear: int


@dataclass(frozen=True)
class Source:
    """What an export is made of."""

    version: ModelVersion
    base: Base
    template: ChatTemplate
    gguf: Path
    adapter: Path

    @property
    def recipe(self) -> dict[str, Any]:
        """How the version was trained."""
        found: dict[str, Any] = self.version.lineage["recipe"]
        return found

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The base model's."""
        return Tokenizer.from_file(str(self.base.folder / "tokenizer.json"))

    def token(self, number: int) -> str:
        """A token's text."""
        return str(self.tokenizer.id_to_token(number))

    @property
    def end_of_turn(self) -> str:
        """The token that ends an answer, as text."""
        return self.token(self.template.end_of_turn)


Writer = Callable[[Source, Path, str], tuple[str, ...]]
WRITERS: dict[str, Writer] = {}


def writer(name: str) -> Callable[[Writer], Writer]:
    """Register what writes the kind `name`: source, folder to fill, and its final place; gives back what to do next."""

    def register(function: Writer) -> Writer:
        WRITERS[name] = function
        return function

    return register


def export_version(workspace: Workspace, version: ModelVersion, to: str, out: Path, card: str) -> Written:
    """Write `version` to the folder `out`, whole or not at all.

    Args:
        to: one of `WRITERS`; of a fine-tuned encoder `openvino`.
        card: the model card, as Markdown.

    Raises:
        UsageError: `to` is not known or this version has none of it, or there is something at `out`.
        Refused: the version failed the parity gate, Ollama would put a token first that it was trained without, or the
            files that OpenVINO made answer otherwise than the served one.
        NotFound, ModelUnavailable: its files, its data or its base model are gone.
        DiskFull
    """
    if version.engine == LINEAR_ENGINE:
        raise UsageError(
            f"{version.name} is a linear model over n-grams or sentence vectors, which no other program reads",
            "serve it: `inhouse serve`, or `inhouse predict`",
        )
    if is_prompted(version):
        raise UsageError(
            f"{version.name} is an untrained base with a prompt, of which nothing is to be exported: its weights are "
            "those that were published, and the prompt, which may show other examples for each input, is made by "
            "inhouse",
            "serve it: `inhouse serve`, or `inhouse predict`",
        )
    if is_shown_shots(version):
        raise UsageError(
            f"{version.name} is a fine-tuned model that inhouse shows other solved examples for each input",
            f"export the model itself, {version.lineage['compared_with']}, or serve it: `inhouse serve`",
        )
    known = [TARGET] if version.engine == ENGINE else list(WRITERS)
    if to not in WRITERS:
        raise UsageError(f"{to!r} is nothing that can be exported to", f"known are {', '.join(WRITERS)}")
    if to not in known:
        what = "a fine-tuned encoder" if version.engine == ENGINE else "a causal model"
        raise UsageError(f"{version.name} is {what}, which is not exported to {to}", f"give --to {' or '.join(known)}")
    out = out.expanduser().absolute()
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"there is something at {out}", "name a folder that is not there yet, or an empty one")
    if fault := version.out_of_parity:
        raise Refused(
            f"{version.name} failed the parity gate: {fault}",
            "this cannot be forced: what would be exported is not what was trained; train again",
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with disk_guard(out.parent), tempfile.TemporaryDirectory(dir=out.parent, prefix=".part-") as name:
        part = Path(name) / "export"
        part.mkdir()
        if version.engine == ENGINE:
            following, doubts = write_openvino_folder(workspace, version, part, str(out)), tuple[str, ...]()
        else:
            following, doubts = _write(_source(workspace, version), to, part, str(out))
        (part / CARD).write_text(card, "utf-8")
        in_clear = write_check(workspace, version, to, part)
        if to == TARGET and version.engine != ENGINE:
            require_same(part, version.name)
        files = tuple(sorted(file.name for file in part.iterdir()))
        if out.exists():
            out.rmdir()
        part.rename(out)
    return Written(out, files, (*following, f"python {out}/{CHECK}"), doubts, in_clear)


def _write(source: Source, to: str, folder: Path, place: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Fill the folder of a causal model; give back what to do next, and what to know before."""
    following, doubts = WRITERS[to](source, folder, place), _doubts(source, to)
    (folder / "README.md").write_text(_readme(source, to, (*following, *doubts)), "utf-8")
    return following, doubts


def _source(workspace: Workspace, version: ModelVersion) -> Source:
    recipe = version.lineage["recipe"]
    base = get_base(recipe["base_model"], workspace.settings, sha256=recipe["base_sha256"])
    return Source(
        version=version,
        base=base,
        template=ChatTemplate(base.folder, base.spec.end_of_turn),
        gguf=workspace.blobs.path(version.file_sha256, GGUF),
        adapter=workspace.blobs.path(version.adapter_sha256, ADAPTER),
    )


# ---------------------------------------------------------------------- the kinds


@writer("gguf")
def _gguf(source: Source, folder: Path, place: str) -> tuple[str, ...]:
    shutil.copyfile(source.gguf, folder / "model.gguf")
    return (f"llama-server --model {place}/model.gguf --temp 0", "or open model.gguf in LM Studio, or in xllamacpp")


@writer("ollama")
def _ollama(source: Source, folder: Path, place: str) -> tuple[str, ...]:
    (folder / "Modelfile").write_text(modelfile(source), "utf-8")
    shutil.copyfile(source.gguf, folder / "model.gguf")
    task = source.version.task
    return (f"ollama create {task} -f {place}/Modelfile", f"ollama run {task}")


@writer(TARGET)
def _openvino(source: Source, folder: Path, place: str) -> tuple[str, ...]:
    from inhouse.engine.openvino_engine import properties, save_model

    version = source.version
    if version.engine != _OPENVINO:
        raise UsageError(
            f"{version.name} is served by {version.engine}, and was not compared with the trained model in {_OPENVINO}",
            f"export --to gguf, or train again with engine = {json.dumps(_OPENVINO)} if it reads this base model",
        )
    save_model(source.gguf, folder)
    shutil.copyfile(source.base.folder / "chat_template.jinja", folder / "chat_template.jinja")
    _write_generation(source, folder)
    wishes = "".join(f', {name}="{value}"' for name, value in properties(0, exact=version.exact).items())
    return (
        f'pipeline = openvino_genai.LLMPipeline("{place}", "CPU"{wishes})',
        "pipeline.generate(openvino_genai.ChatHistory(messages))",
    )


@writer("adapter")
def _adapter(source: Source, folder: Path, place: str) -> tuple[str, ...]:
    from inhouse.engine.lora import read_adapter, write_adapter

    form = _form(source)
    if form["method"] == "full":
        raise UsageError(
            f"{source.version.name} has no adapter: all weights of its base model were trained",
            f"take the whole model: `inhouse export {source.version.task} --to merged`, or gguf",
        )
    base = _name_of_base(source.base)
    write_adapter(folder, read_adapter(source.adapter), base=base, **form)
    _copy_tokenizer(source, folder)
    return (
        f'base = transformers.AutoModelForCausalLM.from_pretrained("{base}")',
        f'model = peft.PeftModel.from_pretrained(base, "{place}")',
    )


def _form(source: Source) -> dict[str, Any]:
    """Rank, alpha and method of what was learned."""
    return Recipe.model_validate(source.recipe).model_dump(include={"rank", "alpha", "method"})


def _name_of_base(base: Base) -> str:
    """What `from_pretrained` finds the base by: everywhere by its id on the hub, else on this machine by its folder."""
    return base.hub_id or str(base.folder)


@writer("merged")
def _merged(source: Source, folder: Path, place: str) -> tuple[str, ...]:
    import torch

    from inhouse.engine.lora import merged_weights, read_adapter
    from inhouse.engine.safetensors_file import shapes_of, write_bfloat16

    weights = source.base.folder / "model.safetensors"
    merged = merged_weights(weights, read_adapter(source.adapter), **_form(source))
    tensors = ((name, torch.from_numpy(weight)) for name, weight in merged)
    write_bfloat16(folder / "model.safetensors", shapes_of(weights), tensors)
    shutil.copyfile(source.base.folder / "config.json", folder / "config.json")
    _write_generation(source, folder)
    _copy_tokenizer(source, folder)
    return (f'transformers.pipeline("text-generation", "{place}")',)


@writer("vllm")
def _vllm(source: Source, folder: Path, place: str) -> tuple[str, ...]:
    """An adapter beside its base, of which vLLM serves many at once; the merged weights where it cannot be so."""
    form, task = _form(source), source.version.task
    if form["method"] in ("full", "dora") or not source.base.hub_id:
        _merged(source, folder, place)
        wishes = [f"--served-model-name {task}"]
        weights = '"$PWD"'
    else:
        _adapter(source, folder, place)
        rank = next((rank for rank in _RANKS if rank >= form["rank"]), form["rank"])
        wishes = ["--enable-lora", f"--max-lora-rank {rank}", f'--lora-modules {task}="$PWD"']
        weights = _name_of_base(source.base)
    greedy = "--generation-config vllm --override-generation-config '{\"temperature\": 0}'"
    lines = [f"exec vllm serve {weights}", *wishes, "--chat-template chat_template.jinja", greedy, '"$@"']
    script = ["#!/bin/sh", f"# {source.version.name}", 'cd "$(dirname "$0")" || exit', " \\\n    ".join(lines)]
    (folder / "launch.sh").write_text("\n".join(script) + "\n", "utf-8")
    (folder / "launch.sh").chmod(0o755)
    return (f"{place}/launch.sh",)


def _write_generation(source: Source, folder: Path) -> None:
    """How answers are written: each token the likeliest, up to the one that ends the turn."""
    end = source.template.end_of_turn
    generation = {"do_sample": False, "eos_token_id": end, "pad_token_id": end}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=1), "utf-8")


def _copy_tokenizer(source: Source, folder: Path) -> None:
    for name in _TOKENIZER_FILES:
        if (source.base.folder / name).is_file():
            shutil.copyfile(source.base.folder / name, folder / name)


# ---------------------------------------------------------------------- Ollama


def modelfile(source: Source) -> str:
    """The Modelfile: the prompt that the model was trained on, where an answer ends, and no chance in it.

    Raises:
        Refused: Ollama would put a token first that the model was trained without, or the template cannot be written.
    """
    template = _go_template(source)
    if '"""' in template:
        raise Refused('the chat template holds """, which a Modelfile cannot', "export --to gguf")
    version = source.version
    longest = version.answer_tokens or _ANSWER_ROOM
    lines = [
        f"# {version.name}, made by inhouse",
        "FROM ./model.gguf",
        f'TEMPLATE """{template}"""',
        f"PARAMETER stop {json.dumps(source.end_of_turn, ensure_ascii=False)}",
        *(f"PARAMETER {one}" for one in _GREEDY),
        f"PARAMETER num_ctx {source.recipe['max_tokens'] + longest}",
        f"PARAMETER num_predict {longest}",
    ]
    return "\n".join(lines) + "\n"


def _go_template(source: Source) -> str:
    """Our chat template in the language of Ollama's, which knows no Jinja."""
    text = (
        _conversation(source.template) if source.version.chat else _one_turn(source.template, source.recipe["system"])
    )
    return _without_first(source, text)


def _one_turn(template: ChatTemplate, system: str) -> str:
    """The prompt of one input: the system message is the one of the training, whatever is asked for."""
    asked = "{{ .Prompt }}"
    roles: tuple[str, ...]
    said: tuple[str, ...]
    if template._takes_system:
        roles, said = ("system", "user"), (_escaped(system), asked)
    else:
        roles, said = ("user",), ((_escaped(f"{system}\n\n") if system else "") + asked,)
    parts = template._split(roles, True)
    return "".join(_escaped(part) if isinstance(part, str) else said[part] for part in parts)


def _conversation(template: ChatTemplate) -> str:
    """The prompt of a conversation: each role's own beginning and end, as the template has them at every place.

    Raises:
        Refused: it has them otherwise at some place.
    """
    pieces = _pieces(template)
    roles = [("user",), ("user", "assistant", "user"), ("user", "assistant", "user", "assistant", "user")]
    if template._takes_system:
        roles += [("system", *turns) for turns in roles]
    for turns in roles:
        rendered = "".join(p if isinstance(p, str) else f"\0{p}" for p in template._split(turns, True))
        if rendered != pieces.rendered(turns):
            raise Refused(
                "the base model's chat template writes a turn in another way at another place, and Ollama's cannot",
                "export --to gguf: the file carries the template itself",
            )
    return pieces.go_template(takes_system=template._takes_system)


@dataclass(frozen=True)
class _Pieces:
    """A chat template as what stands first, before and after each role's messages, and before an answer."""

    first: str
    around: dict[str, tuple[str, str]]
    answer: str

    def rendered(self, roles: tuple[str, ...]) -> str:
        """Messages of these roles whose contents are marks."""
        said = (f"{self.around[r][0]}\0{i}{self.around[r][1]}" for i, r in enumerate(roles))
        return f"{self.first}{''.join(said)}{self.answer}"

    def go_template(self, *, takes_system: bool) -> str:
        """For Ollama. A system message of a template without one goes before the next user's text."""
        around = {role: (_escaped(before), _escaped(after)) for role, (before, after) in self.around.items()}
        user, assistant = around["user"], around["assistant"]
        content = "{{ .Content }}"
        if takes_system:
            system, opened = f"{around['system'][0]}{content}{around['system'][1]}", user[0]
        else:
            system = f"{{{{ if .Content }}}}{user[0]}{content}\n\n{{{{ $open = true }}}}{{{{ end }}}}"
            opened = f"{{{{ if $open }}}}{{{{ $open = false }}}}{{{{ else }}}}{user[0]}{{{{ end }}}}"
        start = "" if takes_system else "{{ $open := false }}"
        return (
            f"{start}{_escaped(self.first)}{{{{ range .Messages }}}}"
            f'{{{{ if eq .Role "system" }}}}{system}'
            f'{{{{ else if eq .Role "user" }}}}{opened}{content}{user[1]}'
            f'{{{{ else if eq .Role "assistant" }}}}{assistant[0]}{content}{assistant[1]}{{{{ end }}}}'
            f"{{{{ end }}}}{_escaped(self.answer)}"
        )


def _pieces(template: ChatTemplate) -> _Pieces:
    """Told apart by what is the same in conversations of different lengths."""

    def around(*roles: str, ask: bool = False) -> list[str]:
        """The template's text before each message and after the last."""
        texts, place = [""] * (len(roles) + 1), 0
        for part in template._split(roles, ask):
            if isinstance(part, str):
                texts[place] = part
            else:
                place += 1
        return texts

    _, user_end = around("user")
    before, after_user, end = around("user", "assistant")
    user_begin = around("user", "assistant", "user")[2].removeprefix(end)
    found = {
        "user": (user_begin, user_end),
        "assistant": (after_user.removeprefix(user_end), end),
    }
    first = before.removesuffix(user_begin)
    if template._takes_system:
        start, between, _ = around("system", "user")
        found["system"] = (start.removeprefix(first), between.removesuffix(user_begin))
    return _Pieces(first, found, around("user", ask=True)[1].removeprefix(user_end))


def _escaped(text: str) -> str:
    """Plain text in a Go template."""
    return text.replace("{{", '{{ "{{" }}')


def _without_first(source: Source, text: str) -> str:
    """Without the token that Ollama puts first by itself, where it does.

    Raises:
        Refused: it does so where the model was trained without.
    """
    fields = read_fields(source.gguf)
    guess = fields.get("tokenizer.ggml.model") == "llama" or fields.get("tokenizer.ggml.pre") in _ADDS_FIRST
    if not fields.get("tokenizer.ggml.add_bos_token", guess):
        return text
    first = source.token(fields.get("tokenizer.ggml.bos_token_id", 1))
    if not text.startswith(_escaped(first)):
        raise Refused(
            f"Ollama would put {first} before every prompt, and the model was trained without it",
            "export --to gguf, and run it with a program that leaves it out",
        )
    return text.removeprefix(_escaped(first))


# ---------------------------------------------------------------------- what to know


def _doubts(source: Source, to: str) -> tuple[str, ...]:
    """What the user should know, where another program or machine gives other answers than inhouse, or none."""
    of_base = _doubt_of_base(source.base) if to == "adapter" or (to == "vllm" and source.base.hub_id) else ""
    return tuple(doubt for doubt in (of_base, _doubt_of_tokens(source), _doubt_of_trimming(source.version)) if doubt)


def _doubt_of_trimming(version: ModelVersion) -> str:
    """Where inputs are trimmed before the model reads them, which no other program does."""
    if version.trimming is None:
        return ""
    return (
        f"inhouse trims inputs of more than {version.trimming.room:,} tokens before the model reads them "
        '(train.trim = "relevance"); the exported files do not: send no longer ones'
    )


def _doubt_of_base(base: Base) -> str:
    """Where the base that an adapter's file names is not there for everybody, or not the very one."""
    if not base.hub_id:
        return (
            f"adapter_config.json names the base model by its folder on this machine ({base.folder}); on another one, "
            "put its place there into `base_model_name_or_path`, or take `--to merged`, which needs no base"
        )
    if not base.spec.hub:
        return (
            f"the adapter was trained on {base.spec.title}, and {base.hub_id} is this model before it was cut to fewer "
            "bits: answers can differ a little from those of `inhouse serve`; `--to merged` has the very weights"
        )
    return ""


def _doubt_of_tokens(source: Source) -> str:
    """Where another program reads a prompt's text otherwise than inhouse."""
    system = source.recipe["system"]
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "Where is my order 12345?"}]
    ids = source.template.prompt_ids(messages)
    text = source.tokenizer.decode(ids, skip_special_tokens=False)
    if source.tokenizer.encode(text, add_special_tokens=False).ids == ids:
        return ""
    return (
        "this tokenizer cuts a whole prompt in another way than its parts, which the model was trained on; "
        "answers of other programs can differ from those of `inhouse serve`"
    )


def _readme(source: Source, to: str, following: tuple[str, ...]) -> str:
    """What the folder is, how to load it, and what to send."""
    version, spec, system = source.version, source.base.spec, source.recipe["system"]
    asked = "the conversation"
    if not version.chat:
        one = (
            "the text"
            if len(version.fields) == 1
            else "one line `field: value` for each of " + ", ".join(version.fields)
        )
        asked = f"a system message that is {json.dumps(system) if system else 'empty'}, then a user message with {one}"
    form = {"classify": "the labels", "extract": "the schema", "generate": "the outline"}[version.kind]
    steps = "\n".join(f"    {line}" for line in following)
    licence = f", licence {spec.licence}" if spec.licence else ", under its own licence"
    return f"""# {version.name}, exported by inhouse (--to {to})

Load it:

{steps}

Send {asked}, with temperature 0 and no penalty on what repeats
(`repeat_penalty` 1, which is not the default of every program). An answer ends with the token `{source.end_of_turn}`.
The chat template comes with the files{", in Ollama as the TEMPLATE of the Modelfile" if to == "ollama" else ""}.

- kind of task: {version.kind}
- base model: {spec.title} (sha256 {spec.sha256}){licence}
- trained on: dataset version {version.lineage.get("dataset", "?")}, run {version.run}
- served file: sha256 {version.file_sha256}

No grammar holds answers to {form} here, as `inhouse serve` does: check them.

{CHECK_NOTE} With `--url http://127.0.0.1:8000/v1` it asks a server in OpenAI's shape.
"""
