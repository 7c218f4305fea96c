"""Sentence encoders in the hub's format: a folder with config.json, *.safetensors and tokenizer.json.

They need no chat template, and are kept as they are: the weights in float32 in one file, the tokenizer, and what
sentence-transformers says of pooling, length and prefix in the files beside them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

from inhouse.engine.hub import read_json, weight_files
from inhouse.engine.quiet import settle_transformers
from inhouse.errors import ModelUnavailable
from inhouse.store import sha256_of

# Those that were tried, as `model_type` of config.json says it.
FAMILIES = ("bert", "camembert", "distilbert", "modernbert", "roberta", "xlm-roberta")
# What sentence-transformers keeps beside a model, as far as it is read here.
_BESIDE = ("1_Pooling/config.json", "sentence_bert_config.json", "config_sentence_transformers.json")
_CONFIG, _TOKENIZER = "config.json", "tokenizer.json"


def is_encoder(folder: Path) -> bool:
    """Whether a folder's config.json is that of an encoder."""
    file = folder / _CONFIG
    return file.is_file() and read_json(file, "fetch the model again").get("model_type") in FAMILIES


def check_texts(folder: Path) -> None:
    """What can be found wrong without the weights.

    Raises:
        ModelUnavailable: the tokenizer is missing, or the texts are pooled in a way that is not done here.
    """
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


def convert(folder: Path, out: Path) -> int:
    """Write an encoder into the folder `out` in the form in which they are kept; return how many weights it has.

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
    return sum(weight.numel() for weight in model.parameters())


def _loaded(folder: Path) -> Any:  # noqa: ANN401 - transformers'
    settle_transformers()
    import torch
    from transformers import AutoModel

    try:
        with redirect_stderr(StringIO()):  # a progress bar that obeys no switch
            model, told = AutoModel.from_pretrained(
                folder,
                dtype=torch.float32,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )
    except Exception as error:  # three libraries at work, and none says what it raises
        what = " ".join(str(error).split())[:200]
        raise ModelUnavailable(
            f"transformers cannot read the encoder: {type(error).__name__}: {what}",
            "fetch the model again",
            file=folder,
        ) from error
    # A pooler is never read; models that were trained to guess words have none.
    if missing := sorted(name for name in told["missing_keys"] if "pooler" not in name):
        raise ModelUnavailable(f"the weight {missing[0]} is missing", "fetch the model again", file=folder)
    return model
