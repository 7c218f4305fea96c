"""Base models in the hub's format: a folder with config.json, *.safetensors and tokenizer.json, or its id.

A folder is looked at before anything is computed: what could not be trained, merged and served is refused with the file
at fault. It then becomes the same files as any other base (see `bases`), tensor by tensor.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from inhouse.engine import hub_header, shapes
from inhouse.engine.quiet import settle_transformers
from inhouse.errors import ModelUnavailable
from inhouse.store import sha256_of

_TEXT_FILES = ["*.json", "*.jinja"]
_WEIGHT_FILES = ["*.safetensors"]
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")
_DTYPES = ("BF16", "F16", "F32")
_ONE_FILE, _INDEX = "model.safetensors", "model.safetensors.index.json"
# Tables that old files carry beside the weights; every library computes them itself.
_COMPUTED = ("rotary_emb.inv_freq",)


@dataclass(frozen=True)
class HubModel:
    """A folder in the hub's format whose facts were looked at."""

    folder: Path
    config: dict[str, Any]
    architecture: str
    tokenizer: dict[str, Any]
    settings: dict[str, Any]
    chat_template: str
    weights: tuple[Path, ...]

    @property
    def tied(self) -> bool:
        """Whether the head is the embedding; a head that is stored all the same is left out."""
        return bool(self.config.get("tie_word_embeddings", False))


def read_folder(folder: Path, *, weights: bool = True) -> HubModel:
    """Look at a folder in the hub's format.

    Args:
        weights: false for a folder that has none: all else is looked at.

    Raises:
        ModelUnavailable: a file is missing, or holds what could not be trained and served, with the remedy.
    """
    config_file = folder / "config.json"
    config = read_json(config_file, "this is no folder of a model in safetensors: give one with config.json")
    architecture = hub_header.architecture_of(config, config_file)
    config = shapes.with_defaults(config, architecture)
    template, settings = _template(folder)
    tokenizer = read_json(folder / "tokenizer.json", _slow_tokenizer(folder))
    hub_header.splitting_of(tokenizer, folder / "tokenizer.json")
    model = HubModel(
        folder, config, architecture, tokenizer, settings, template, weight_files(folder) if weights else ()
    )
    for file in model.weights:
        _check_types(file)
    return model


def identity_of(model: HubModel, checksum: Callable[[Path], str] = sha256_of) -> str:
    """A checksum of all that decides what the model computes: weights, config, tokenizer and template.

    Args:
        checksum: of a file of weights.
    """
    lines = [f"{file.name} {checksum(file)}" for file in model.weights]
    lines += [f"{name} {_sha256_of_json(value)}" for name, value in _texts(model).items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def doubts_of(model: HubModel) -> tuple[str, ...]:
    """Where llama.cpp's own tokenizer may cut a text otherwise than tokenizer.json."""
    return hub_header.splitting_of(model.tokenizer, model.folder / "tokenizer.json").doubts


def parameters_of(model: HubModel) -> int:
    """How many weights the model has."""
    total = 0
    for name, (_, shape) in _stored(model).items():
        if not (model.tied and name == "lm_head.weight"):
            size = 1
            for n in shape:
                size *= n
            total += size
    return total


def _texts(model: HubModel) -> dict[str, Any]:
    return {
        "config.json": model.config,
        "tokenizer.json": model.tokenizer,
        "tokenizer_config.json": model.settings,
        "chat_template.jinja": model.chat_template,
    }


def _sha256_of_json(value: Any) -> str:  # noqa: ANN401 - whatever a JSON file holds
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def read_json(file: Path, remedy: str) -> dict[str, Any]:
    """The JSON object in a file of a model.

    Raises:
        ModelUnavailable: it is not there (then `remedy` helps), or it is none.
    """
    if not file.is_file():
        raise ModelUnavailable(f"the base model has no {file.name}", remedy, file=file)
    found = _parsed(file)
    if not isinstance(found, dict):
        raise ModelUnavailable("this is no JSON object", "fetch the model again", file=file)
    return found


def read_list(file: Path) -> list[Any]:
    """The JSON array in a file of a model, which is there.

    Raises:
        ModelUnavailable: it is none.
    """
    found = _parsed(file)
    if not isinstance(found, list):
        raise ModelUnavailable("this is no JSON array", "fetch the model again", file=file)
    return found


def _parsed(file: Path) -> Any:  # noqa: ANN401 - whatever JSON holds
    try:
        return json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise ModelUnavailable(f"not valid JSON: {error}", "fetch the model again", file=file) from error


def _slow_tokenizer(folder: Path) -> str:
    if (folder / "tokenizer.model").is_file() or (folder / "vocab.json").is_file():
        return (
            "it holds a tokenizer in an older form: write tokenizer.json once with transformers, "
            f"`AutoTokenizer.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r})`"
        )
    return "fetch the model again, with its tokenizer.json"


def _template(folder: Path) -> tuple[str, dict[str, Any]]:
    """The chat template, wherever this model keeps it, and the tokenizer's settings."""
    file = folder / "tokenizer_config.json"
    settings = read_json(file, "fetch the model again, with its tokenizer_config.json")
    own = folder / "chat_template.jinja"
    if own.is_file():
        return own.read_text("utf-8"), settings
    found = settings.get("chat_template")
    if found is None and (folder / "chat_template.json").is_file():
        found = read_json(folder / "chat_template.json", "").get("chat_template")
    if isinstance(found, list):
        found = {t.get("name"): t.get("template") for t in found}.get("default")
    if not isinstance(found, str) or not found:
        raise ModelUnavailable(
            "the base model has no chat template", "take the instruct or chat variant of the model", file=folder
        )
    return found, settings


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The files with a model's weights.

    Raises:
        ModelUnavailable: one is missing, or all are in a format that can run code.
    """
    if (folder / _INDEX).is_file():
        index = read_json(folder / _INDEX, "")
        found = [folder / name for name in sorted(set(index.get("weight_map", {}).values()))]
        if missing := [f for f in found if f.parent != folder or not f.is_file()]:
            raise ModelUnavailable(
                f"{len(missing)} of {len(found)} weight files are missing", "fetch the model again", file=missing[0]
            )
    else:
        one = folder / _ONE_FILE
        found = [one] if one.is_file() else sorted(folder.glob("*.safetensors"))
    if found:
        return tuple(found)
    pickled = sorted(f for f in folder.iterdir() if f.suffix in _PICKLED)
    raise (
        _pickle_only(pickled[0].name, folder)
        if pickled
        else ModelUnavailable(
            "the base model has no *.safetensors", "fetch the model again, with its weights", file=folder
        )
    )


def _pickle_only(name: str, place: Path | str) -> ModelUnavailable:
    return ModelUnavailable(
        f"the weights are only there as {name}, a format that can run code when it is read",
        "take a variant in safetensors; most models have one",
        file=place,
    )


def _check_types(file: Path) -> None:
    for name, (dtype, _) in _contents(file).items():
        if dtype not in _DTYPES and not name.endswith(_COMPUTED):
            raise ModelUnavailable(
                f"the weight {name} is of the type {dtype} (supported: {', '.join(_DTYPES)})",
                "take the model's original weights in bfloat16 or float16",
                file=file,
            )


def _contents(file: Path) -> dict[str, tuple[str, list[int]]]:
    """Type and shape of each tensor in a safetensors file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np") as weights:
            slices = {name: weights.get_slice(name) for name in weights.keys()}  # noqa: SIM118 - not a dictionary
            return {name: (str(part.get_dtype()), list(part.get_shape())) for name, part in slices.items()}
    except SafetensorError as error:
        raise ModelUnavailable(f"not a whole safetensors file: {error}", "fetch the model again", file=file) from error


def _stored(model: HubModel) -> dict[str, tuple[Path, list[int]]]:
    """Every stored weight: its file and shape."""
    return {
        name: (file, shape)
        for file in model.weights
        for name, (_, shape) in _contents(file).items()
        if not name.endswith(_COMPUTED)
    }


# ---------------------------------------------------------------------- to the form in which bases are kept


def convert(model: HubModel, out: Path, name: str) -> str:
    """Write a hub model into the folder `out` in the form in which bases are kept; return its end-of-turn token.

    Args:
        name: what the GGUF file calls itself.

    Raises:
        ModelUnavailable: weights are missing, too many, or of another shape than config.json says; or its chat template
            ends no turn.
    """
    from inhouse.engine.safetensors_file import write_bfloat16

    found = _stored(model)
    expected = _expected(model)
    for weight, shape in expected.items():
        if weight not in found or found[weight][1] != shape:
            what = f"has the shape {found[weight][1]}, not {shape}," if weight in found else "is missing,"
            raise ModelUnavailable(
                f"the weight {weight} {what} which config.json asks for", "fetch the model again", file=model.folder
            )
    if odd := sorted(set(found) - set(expected) - ({"lm_head.weight"} if model.tied else set())):
        raise ModelUnavailable(
            f"the weight {odd[0]} has no place in a model of the architecture {model.architecture}",
            "take a base whose config.json describes all of its weights",
            file=found[odd[0]][0],
        )
    _write_texts(model, out)
    write_bfloat16(out / _ONE_FILE, expected, _read_weights({weight: found[weight][0] for weight in expected}))
    end, token = _end_of_turn(out)
    _write_gguf(model, out, name, end)
    return token


def outline(folder: Path, out: Path, name: str) -> tuple[str, int]:
    """Write a hub model whose weights are not there in the form in which bases are kept, without them.

    Returns:
        Its end-of-turn token, and how many weights its config.json asks for.

    Raises:
        ModelUnavailable: what `read_folder` and `convert` find wrong without the weights.
    """
    from inhouse.engine.gguf_file import write_tensors

    model = read_folder(folder, weights=False)
    expected = _expected(model)
    _write_texts(model, out)
    end, token = _end_of_turn(out)
    with _gguf_with_header(model, out, name, end) as writer:
        write_tensors(writer, {}, iter(()))
    return token, sum(math.prod(shape) for shape in expected.values())


def _expected(model: HubModel) -> dict[str, list[int]]:
    """Names and shapes of the weights that transformers would load; takes no memory."""
    settle_transformers()
    import torch
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        known = AutoConfig.for_model(**{**model.config, "tie_word_embeddings": model.tied})
        with torch.device("meta"):
            empty = AutoModelForCausalLM.from_config(known)
    except (StrictDataclassError, ValueError, TypeError, KeyError) as error:
        raise ModelUnavailable(
            f"transformers cannot build the model: {str(error).strip().splitlines()[-1].strip()}",
            "fetch the model again: its config.json contradicts itself",
            file=model.folder / "config.json",
        ) from error
    return {name: list(weight.shape) for name, weight in empty.named_parameters()}


def _write_texts(model: HubModel, out: Path) -> None:
    """Tokenizer and template as they are; config.json and settings without a word of code to be fetched."""
    config = {k: v for k, v in model.config.items() if k not in ("auto_map", "torch_dtype")}
    config |= {"dtype": "bfloat16", "tie_word_embeddings": model.tied}
    settings = {k: v for k, v in model.settings.items() if k not in ("auto_map", "chat_template")}
    (out / "config.json").write_text(json.dumps(config, indent=1), "utf-8")
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=1, ensure_ascii=False), "utf-8")
    (out / "tokenizer.json").write_bytes((model.folder / "tokenizer.json").read_bytes())
    (out / "chat_template.jinja").write_text(model.chat_template, "utf-8")


def _read_weights(places: Mapping[str, Path]) -> Iterator[tuple[str, Any]]:
    """The weights one by one, each from its file."""
    from safetensors import safe_open

    for name, file in places.items():
        with safe_open(file, framework="pt") as weights:
            yield name, weights.get_tensor(name)


def _write_gguf(model: HubModel, out: Path, name: str, end_of_turn: int) -> None:
    from inhouse.engine.gguf_file import in_gguf_order, names_in, write_tensors
    from inhouse.engine.lora import merged_weights

    layers = model.config["num_hidden_layers"]
    heads, key_heads = model.config["num_attention_heads"], shapes.key_heads(model.config)
    rename = names_in(model.architecture, layers)
    stored = {rename(weight): shape for weight, (_, shape) in _contents(out / _ONE_FILE).items()}
    tables = shapes.rope_tables(model.config)
    plain = merged_weights(out / _ONE_FILE, {}, rank=1, alpha=1)
    tensors = in_gguf_order(plain, model.architecture, layers, heads, key_heads)
    with _gguf_with_header(model, out, name, end_of_turn) as writer:
        of_tables = {name: list(table.shape) for name, table in tables.items()}
        write_tensors(writer, {**of_tables, **stored}, chain(tables.items(), tensors))


@contextmanager
def _gguf_with_header(model: HubModel, out: Path, name: str, end_of_turn: int) -> Iterator[Any]:
    """A writer of `base.gguf` that has all but the weights."""
    import gguf

    with closing(gguf.GGUFWriter(out / "base.gguf", model.architecture)) as writer:
        hub_header.add_architecture(writer, model.config, model.architecture, name)
        hub_header.add_tokenizer(
            writer,
            model.tokenizer,
            model.settings,
            size=model.config["vocab_size"],
            end_of_turn=end_of_turn,
            chat_template=model.chat_template,
            file=out / "tokenizer.json",
        )
        yield writer


def _end_of_turn(folder: Path) -> tuple[int, str]:
    """The special token that follows an assistant's message: a template may write a space between the two."""
    from jinja2 import TemplateError
    from tokenizers import Tokenizer

    from inhouse.engine.chat_template import ChatTemplate

    file = folder / "chat_template.jinja"
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    special = {token for token, added in tokenizer.get_added_tokens_decoder().items() if added.special}
    try:
        closing_text = str(ChatTemplate(folder)._split(("user", "assistant"), False)[-1])
    except TemplateError as error:
        raise ModelUnavailable(f"the base model's chat template: {error}", "mend it in a copy", file=file) from error
    for token in tokenizer.encode(closing_text, add_special_tokens=False).ids:
        if token in special:
            return token, str(tokenizer.id_to_token(token))
    raise ModelUnavailable(
        f"the base model's chat template ends an answer with {closing_text!r}, in which there is no special token",
        "take an instruct or chat model whose template ends each turn with one",
        file=file,
    )


# ---------------------------------------------------------------------- fetching


def fetch(name: str, folder: Path, check_texts: Callable[[Path], None], *, weights: bool = True) -> str:
    """Fetch `org/name[@revision]` into `folder`: JSON and templates first, weights once `check_texts` has passed them.

    Args:
        weights: whether they are wanted.

    Returns:
        The commit that was fetched.

    Raises:
        ModelUnavailable: there is no such model, it may not be read, or it is none that can be used.
    """
    identifier, _, revision = name.partition("@")
    with _online(), _faults_told(identifier, revision):
        from huggingface_hub import HfApi, snapshot_download

        facts = HfApi().model_info(identifier, revision=revision or None)
        names = [file.rfilename for file in facts.siblings or []]
        if not any(n.endswith(".safetensors") for n in names):
            pickled = [n for n in names if n.endswith(_PICKLED)]
            raise _pickle_only(pickled[0] if pickled else "nothing that can be read", identifier)
        snapshot_download(identifier, revision=facts.sha, local_dir=folder, allow_patterns=_TEXT_FILES)
        check_texts(folder)
        if weights:
            snapshot_download(identifier, revision=facts.sha, local_dir=folder, allow_patterns=_WEIGHT_FILES)
    return str(facts.sha)


@contextmanager
def _faults_told(identifier: str, revision: str) -> Iterator[None]:
    """The hub's and the network's errors in the user's words, and files as the hub names them."""
    from huggingface_hub.errors import GatedRepoError, HTTPError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        yield
    except ModelUnavailable as error:
        place = f"{identifier}/{Path(error.file or '').name}" if error.file != identifier else identifier
        raise ModelUnavailable(error.what, error.remedy, file=place) from error
    except GatedRepoError as error:
        raise ModelUnavailable(
            f"the model {identifier!r} asks for an agreement first",
            f"agree on https://huggingface.co/{identifier}, set HF_TOKEN, and pull again",
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelUnavailable(
            f"there is no model {identifier!r} on the hub, or it is private", "mend the name, or set HF_TOKEN"
        ) from error
    except RevisionNotFoundError as error:
        raise ModelUnavailable(
            f"the model {identifier!r} has no revision {revision!r}", "mend what stands after the @"
        ) from error
    except (HTTPError, OSError) as error:
        raise ModelUnavailable(
            f"the model {identifier!r} could not be fetched: {str(error).strip().splitlines()[0][:200]}",
            "check the connection, and HF_ENDPOINT where you use a mirror",
        ) from error


def check_texts(folder: Path) -> None:
    """What `read_folder` can find wrong without the weights: before gigabytes are fetched."""
    config = read_json(folder / "config.json", "take another model")
    hub_header.architecture_of(config, folder / "config.json")
    _template(folder)
    hub_header.splitting_of(read_json(folder / "tokenizer.json", "take a model with it"), folder / "tokenizer.json")


@contextmanager
def _online() -> Iterator[None]:
    """Let this one deliberate call out: `settle` keeps the hub's library offline for the whole process."""
    settle_transformers()
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = False
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
