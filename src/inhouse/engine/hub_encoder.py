"""Sentence encoders in the hub's format: a folder with config.json, *.safetensors and tokenizer.json.

They need no chat template, and are kept as they are: the weights in float32 in one file, the tokenizer, and what
sentence-transformers says of pooling, length and prefix in the files beside them.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inhouse.engine.hub import read_json, read_list, weight_files
from inhouse.engine.quiet import settle_transformers, transformers_reads
from inhouse.errors import ModelUnavailable
from inhouse.store import sha256_of

# Those that were tried, as `model_type` of config.json says it.
FAMILIES = ("bert", "camembert", "distilbert", "modernbert", "roberta", "xlm-roberta")
# What sentence-transformers keeps beside a model, as far as it is read here.
_BESIDE = ("1_Pooling/config.json", "sentence_bert_config.json", "config_sentence_transformers.json")
_CONFIG, _TOKENIZER, _PROMPTS = "config.json", "tokenizer.json", _BESIDE[2]
# Steps of sentence-transformers from a text to its vector that are done here.
_STEPS = ("Transformer", "Pooling", "Normalize")
# E5 models were taught to find a prefix before each text (Wang et al. 2022, arXiv:2212.03533), and their folders seldom
# say so; those that follow instructions want another one.
_E5, _E5_PREFIX = re.compile(r"(^|[-_/])e5([-_]|$)(?!.*instruct)", re.IGNORECASE), "query: "


def is_encoder(folder: Path) -> bool:
    """Whether a folder's config.json is that of an encoder."""
    file = folder / _CONFIG
    return file.is_file() and read_json(file, "fetch the model again").get("model_type") in FAMILIES


def shape_in(config: dict[str, Any]) -> tuple[int, int, int]:
    """An encoder's width, and how many layers and heads it has, by its config.json; DistilBERT has its own names."""
    width, layers, heads = (
        int(config.get(usual) or config[other])
        for usual, other in (
            ("hidden_size", "dim"),
            ("num_hidden_layers", "n_layers"),
            ("num_attention_heads", "n_heads"),
        )
    )
    return width, layers, heads


def check_texts(folder: Path) -> None:
    """What can be found wrong without the weights.

    Raises:
        ModelUnavailable: the tokenizer is missing, or vectors are made of texts in a way that is not done here.
    """
    _check_steps(folder / "modules.json")
    read_json(folder / _TOKENIZER, "take a variant of the encoder with tokenizer.json")
    file = folder / _BESIDE[0]
    pooling = read_json(file, "") if file.is_file() else {}
    odd = [key for key, on in pooling.items() if key.startswith("pooling_mode_") and on is True]
    if unknown := sorted(set(odd) - {"pooling_mode_cls_token", "pooling_mode_mean_tokens"}):
        raise ModelUnavailable(
            f"the encoder's vectors are made by {unknown[0]}, and only the mean or the first token is known here",
            "take another encoder",
            file=file,
        )


def _check_steps(file: Path) -> None:
    """Refuse what sentence-transformers does to vectors beyond pooling, such as a dense layer: nothing is left out."""
    steps = read_list(file) if file.is_file() else []
    kinds = [str(step.get("type", "")).rpartition(".")[2] for step in steps if isinstance(step, dict)]
    if unknown := [kind for kind in kinds if kind not in _STEPS]:
        raise ModelUnavailable(
            f"the encoder's vectors go through a step {unknown[0]!r}, which is not done here",
            "take an encoder whose modules.json has none but Transformer, Pooling and Normalize",
            file=file,
        )


def identity_of(folder: Path, checksum: Callable[[Path], str] = sha256_of) -> str:
    """A checksum of all that decides what the encoder computes.

    Args:
        checksum: of a file of weights.

    Raises:
        ModelUnavailable: a file is missing or cannot be read.
    """
    check_texts(folder)
    lines = [f"{file.name} {checksum(file)}" for file in weight_files(folder)]
    for name in (_CONFIG, _TOKENIZER, *_BESIDE):
        file = folder / name
        told = json.dumps(read_json(file, ""), sort_keys=True) if file.is_file() else ""
        lines.append(f"{name} {hashlib.sha256(told.encode()).hexdigest()}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def convert(folder: Path, out: Path, title: str, say: Callable[[str], None]) -> int:
    """Write an encoder into the folder `out` in the form in which they are kept; return how many weights it has.

    Args:
        title: its hub id or its folder's name, which tells an E5.
        say: takes a line for the user.

    Raises:
        ModelUnavailable: transformers cannot read it, or weights are missing.
    """
    check_texts(folder)
    weight_files(folder)
    model = _loaded(folder)
    model.config.__dict__.pop("auto_map", None)  # no word of code that could be fetched
    model.save_pretrained(out)
    shutil.copyfile(folder / _TOKENIZER, out / _TOKENIZER)
    for name in _BESIDE:
        if (folder / name).is_file():
            (out / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(folder / name, out / name)
    _tell_prefix(out / _PROMPTS, title, say)
    return sum(weight.numel() for weight in model.parameters())


def _tell_prefix(file: Path, title: str, say: Callable[[str], None]) -> None:
    """Write down the prefix of an E5 that has none written down."""
    told = read_json(file, "") if file.is_file() else {}
    prompts = told.get("prompts") or {}
    if not _E5.search(title) or prompts.get("query"):
        return
    file.write_text(json.dumps({**told, "prompts": {**prompts, "query": _E5_PREFIX}}), "utf-8")
    say(f"{title} is an E5 by its name: every text gets the prefix {_E5_PREFIX!r}, which these were trained with")


def _loaded(folder: Path) -> Any:  # noqa: ANN401 - transformers'
    settle_transformers()
    import torch
    from transformers import AutoModel

    with transformers_reads("the encoder", "fetch the model again", folder):
        model, told = AutoModel.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    # A pooler is never read; models that were trained to guess words have none.
    if missing := sorted(name for name in told["missing_keys"] if "pooler" not in name):
        raise ModelUnavailable(f"the weight {missing[0]} is missing", "fetch the model again", file=folder)
    return model
