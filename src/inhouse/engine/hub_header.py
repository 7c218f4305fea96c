"""The header of a GGUF file, made from a hub model's `config.json` and `tokenizer.json`.

What llama.cpp reads there is told by its conversion scripts and `llama-vocab.cpp`; docs/design/gguf.md has the list.
Whatever it could not compute alike is refused here, before any training.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from inhouse.engine.families import families
from inhouse.engine.gguf_file import FILE_TYPE_Q8_0
from inhouse.engine.shapes import add_shape, check_shape, head_size, key_heads, longest_text, rope_of, with_defaults
from inhouse.errors import ModelUnavailable

Json = Mapping[str, Any]

# Token types of a GGUF vocabulary.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
SPACE = "▁"
_BYTE_TOKEN = re.compile(r"<0x[0-9A-F]{2}>")
# For a token that no merge leads to: llama.cpp would still make it of its parts, but after every other.
_NEVER = -1e6
_OTHER_FAMILY = "take a base of the Llama, Mistral, Qwen2, Qwen3, SmolLM, Gemma or Phi family"
# Where only the tokenizer is in the way: a GGUF file has llama.cpp's own.
_OTHER_BASE = f"{_OTHER_FAMILY}, or a GGUF file of the model"


# ---------------------------------------------------------------------- architecture


def architecture_of(config: Json, file: Path) -> str:
    """The GGUF architecture that computes what `config` describes.

    Args:
        config: of `config.json`.
        file: where it was read, for messages.

    Raises:
        ModelUnavailable: there is none, or it would compute something else.
    """
    named = (config.get("architectures") or ["none"])[0]
    known = families()["architectures"]
    if named not in known:
        raise ModelUnavailable(
            f"the architecture {named!r} is not supported (supported: {', '.join(known)})", _OTHER_FAMILY, file=file
        )
    if config.get("quantization_config"):
        method = config["quantization_config"].get("quant_method", "some method")
        raise ModelUnavailable(
            f"the weights are quantized ({method})",
            "take the model's original weights in bfloat16 or float16",
            file=file,
        )
    for key in ("hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size", "vocab_size"):
        if not isinstance(config.get(key), int):
            raise ModelUnavailable(f"`{key}` is missing", "fetch the model again, with a whole config.json", file=file)
    architecture = str(known[named])
    check_shape(with_defaults(config, architecture), architecture, file)
    return architecture


def check_gguf(fields: Json, file: Path) -> None:
    """Hold a GGUF file that is to be a base to what a folder is held to; `fields` as `read_fields` gives them.

    Raises:
        ModelUnavailable: training could not begin with it, or would compute something else than what is served.
    """
    named = fields.get("general.architecture")
    known = families()["gguf_bases"]
    if named not in known:
        raise ModelUnavailable(
            f"the architecture {named!r} of a GGUF file is not supported (supported: {', '.join(known)})",
            "take the model's folder in safetensors" if named in families()["shapes"] else _OTHER_FAMILY,
            file=file,
        )
    if fields.get(f"{named}.expert_count"):
        raise ModelUnavailable("a mixture of experts is not supported", _OTHER_FAMILY, file=file)
    if (kind := fields.get(f"{named}.rope.scaling.type", "none")) != "none":  # transformers does not read it
        raise ModelUnavailable(
            f"the position encoding {kind!r} of a GGUF file is not supported",
            "take the model's folder in safetensors, or a variant without it",
            file=file,
        )
    template = fields.get("tokenizer.chat_template")
    if not isinstance(template, str) or not template:
        raise ModelUnavailable(
            "the base model's GGUF file holds no chat template", "take an instruct or chat model", file=file
        )


def add_architecture(writer: Any, config: Json, architecture: str, name: str) -> None:  # noqa: ANN401 - untyped
    """Put the model's sizes and its position encoding into the header."""
    import gguf

    rope = rope_of(config)
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    writer.add_file_type(FILE_TYPE_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(longest_text(config, architecture))
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(key_heads(config))
    writer.add_key_length(head_size(config))
    writer.add_value_length(head_size(config))
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    add_shape(writer, config, architecture)
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(float(rope["factor"]))
    writer.add_vocab_size(config["vocab_size"])


# ---------------------------------------------------------------------- tokenizer


@dataclass(frozen=True)
class Splitting:
    """How a tokenizer cuts text, in llama.cpp's words.

    model: `gpt2` (byte-level BPE) or `llama` (SentencePiece with bytes for what it does not know).
    pre: the pre-tokenizer of a `gpt2` model.
    prefix: whether a `llama` model puts a space before a text.
    doubts: where llama.cpp may still cut otherwise, in words.
    """

    model: str
    pre: str
    prefix: bool
    doubts: tuple[str, ...] = ()


def splitting_of(tokenizer: Json, file: Path) -> Splitting:
    """How the tokenizer of a `tokenizer.json` cuts text.

    Raises:
        ModelUnavailable: llama.cpp has no counterpart.
    """
    model = tokenizer.get("model") or {}
    if model.get("type") != "BPE":
        raise ModelUnavailable(
            f"the tokenizer is of the type {model.get('type')!r}, and only BPE is supported", _OTHER_BASE, file=file
        )
    if model.get("byte_fallback"):
        return _sentencepiece(tokenizer, file)
    normalizer = tokenizer.get("normalizer")
    steps = _steps(tokenizer.get("pre_tokenizer"))
    merging = bool(model.get("ignore_merges"))
    # Of two with the same steps, the one that treats whole words alike.
    for known in sorted(families()["pre_tokenizers"], key=lambda known: known["ignore_merges"] != merging):
        if steps == known["steps"] and (normalizer is None or normalizer == {"type": "NFC"}):
            doubts = []
            if merging != known["ignore_merges"]:
                doubts.append(f"`ignore_merges` is not {str(known['ignore_merges']).lower()}")
            if normalizer is not None:
                doubts.append("accents written as characters of their own are joined (NFC)")
            if "differs" in known:
                doubts.append(known["differs"])
            return Splitting("gpt2", known["name"], prefix=False, doubts=tuple(doubts))
    odd = "; ".join(steps) if normalizer in (None, {"type": "NFC"}) else f"normalizer {normalizer}"
    raise ModelUnavailable(f"the tokenizer cuts text in a way that is not known: {odd[:300]}", _OTHER_BASE, file=file)


def _steps(pre_tokenizer: Json | None) -> list[str]:
    """A pre-tokenizer in the words of `families.toml`; what has no word there, as it is."""
    if pre_tokenizer is None:
        return []
    kind = pre_tokenizer["type"]
    if kind == "Sequence":
        return [step for part in pre_tokenizer["pretokenizers"] for step in _steps(part)]
    if kind == "Split" and (pre_tokenizer["behavior"], pre_tokenizer["invert"]) in (
        ("Isolated", False),
        ("Removed", True),
    ):
        return [str(pre_tokenizer["pattern"].get("Regex"))]
    if kind == "Digits" and pre_tokenizer["individual_digits"]:
        return ["digits"]
    if kind == "ByteLevel" and not pre_tokenizer["add_prefix_space"]:
        return ["gpt2"] if pre_tokenizer.get("use_regex", True) else []
    return [str(pre_tokenizer)]


def _sentencepiece(tokenizer: Json, file: Path) -> Splitting:
    normalizer, pre = tokenizer.get("normalizer"), tokenizer.get("pre_tokenizer")
    parts = (normalizer or {}).get("normalizers", [normalizer] if normalizer else [])
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    prepend = {"type": "Prepend", "prepend": SPACE}
    doubts = _unmergeable(tokenizer)
    # Gemma's splits at spaces, of which its normalizer leaves none.
    if parts == [spaces] and pre is not None and (pre["type"], pre.get("pattern")) == ("Split", {"String": " "}):
        pre = None
    if pre is None and parts in ([prepend, spaces], [spaces]):
        return Splitting("llama", "", prefix=prepend in parts, doubts=doubts)
    if pre is not None and (pre["type"], pre.get("replacement"), pre.get("split"), parts) == (
        "Metaspace",
        SPACE,
        False,
        [],
    ):
        doubts += ("a text that begins with a space gets no second one",)
        return Splitting("llama", "", prefix=pre.get("prepend_scheme", "always") != "never", doubts=doubts)
    raise ModelUnavailable(
        f"the tokenizer changes text in a way that is not known: normalizer {normalizer}, pre-tokenizer {pre}"[:400],
        _OTHER_BASE,
        file=file,
    )


def _unmergeable(tokenizer: Json) -> tuple[str, ...]:
    """llama.cpp joins any two tokens whose text is a token, tokenizer.json only those in its list of merges."""
    vocabulary = tokenizer["model"]["vocab"]
    added = {t["content"] for t in tokenizer.get("added_tokens", [])}
    listed = set(map(tuple, merges_of(tokenizer)))
    missing = 0
    for token in vocabulary:
        if token not in added and not _BYTE_TOKEN.fullmatch(token):
            pairs = ((token[:i], token[i:]) for i in range(1, len(token)))
            missing += any(a in vocabulary and b in vocabulary and (a, b) not in listed for a, b in pairs)
    return (f"{missing} tokens have merges that tokenizer.json does not list",) if missing else ()


def merges_of(tokenizer: Json) -> list[tuple[str, str]]:
    """The merges, best first; older files write a pair as one text with a space."""
    found = []
    for merge in tokenizer["model"]["merges"]:
        left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
        found.append((left, right))
    return found


def add_tokenizer(
    writer: Any,  # noqa: ANN401 - an untyped library
    tokenizer: Json,
    settings: Json,
    *,
    size: int,
    end_of_turn: int,
    chat_template: str,
    file: Path,
) -> None:
    """Put vocabulary, merges or scores, special tokens and chat template into the header.

    Args:
        tokenizer, settings: of `tokenizer.json` and `tokenizer_config.json`.
        size: rows of the embedding; tokens that are missing up to there are marked unused.
        end_of_turn: the token that ends an answer: what reads the file stops there.
        file: the `tokenizer.json`.

    Raises:
        ModelUnavailable: llama.cpp could not cut text alike, or the tokenizer has tokens that the model has not.
    """
    splitting = splitting_of(tokenizer, file)
    loaded = Tokenizer.from_file(str(file))
    ids = loaded.get_vocab(with_added_tokens=True)
    if max(ids.values()) >= size:
        raise ModelUnavailable(
            f"the tokenizer has the token id {max(ids.values())}, and the model only {size} ids",
            "fetch the model again: its files do not belong together",
            file=file,
        )
    texts, types = _vocabulary(tokenizer, ids, size, bytes_are_tokens=splitting.model == "llama")
    writer.add_tokenizer_model(splitting.model)
    writer.add_tokenizer_pre(splitting.pre or "default")
    writer.add_token_list(texts)
    writer.add_token_types(types)
    if splitting.model == "llama":
        writer.add_token_scores(_scores(tokenizer, texts, types))
        writer.add_add_space_prefix(splitting.prefix)
    else:
        writer.add_token_merges([" ".join(pair) for pair in merges_of(tokenizer)])
    special = {name: ids.get(_content(settings.get(f"{name}_token"))) for name in ("bos", "unk", "pad")}
    if special["unk"] is None:
        special["unk"] = ids.get(tokenizer["model"].get("unk_token") or "")
    first = loaded.encode("a", add_special_tokens=True).ids[0]
    adds = settings.get("add_bos_token")
    adds_bos = special["bos"] is not None and (first == special["bos"] if adds is None else bool(adds))
    for name, token in special.items():
        if token is not None:
            getattr(writer, f"add_{name}_token_id")(token)
    writer.add_eos_token_id(end_of_turn)
    writer.add_add_bos_token(adds_bos)
    writer.add_add_eos_token(False)
    writer.add_chat_template(chat_template)


def _content(token: object) -> str:
    """A special token's text, which the settings give as text or as an object."""
    return str(token.get("content", "")) if isinstance(token, dict) else str(token or "")


def _vocabulary(
    tokenizer: Json, ids: Mapping[str, int], size: int, *, bytes_are_tokens: bool
) -> tuple[list[str], list[int]]:
    texts = [f"[PAD{i}]" for i in range(size)]
    types = [UNUSED] * size
    for text, token in ids.items():
        texts[token] = text
        types[token] = BYTE if bytes_are_tokens and _BYTE_TOKEN.fullmatch(text) else NORMAL
    for added in tokenizer.get("added_tokens", []):
        types[added["id"]] = CONTROL if added["special"] else USER_DEFINED
        if bytes_are_tokens and not added["special"]:
            texts[added["id"]] = added["content"].replace(SPACE, " ")
    unknown = tokenizer["model"].get("unk_token")
    if bytes_are_tokens and unknown in ids:
        types[ids[unknown]] = UNKNOWN
    return texts, types


def _scores(tokenizer: Json, texts: Sequence[str], types: Sequence[int]) -> list[float]:
    """SentencePiece joins the pair with the best score first: the order of the merges, as scores."""
    ranks: dict[str, int] = {}
    for rank, (left, right) in enumerate(merges_of(tokenizer)):
        ranks.setdefault(left + right, rank)
    return [
        float(-ranks.get(text, 0)) if text in ranks or kind != NORMAL or len(text) == 1 else _NEVER
        for text, kind in zip(texts, types, strict=True)
    ]
