"""What llama.cpp computes for an architecture, held against a model's `config.json`; the facts are in `families.toml`.

From llama.cpp's conversion scripts and its `src/models/*.cpp` (MIT): whatever it would compute otherwise is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inhouse.engine.families import families
from inhouse.errors import ModelUnavailable

Json = Mapping[str, Any]

_OTHER_VARIANT = "take a variant of the model without it"
_ORIGINAL = "original_max_position_embeddings"


def shape_of(architecture: str) -> dict[str, Any]:
    """The facts of `families.toml` about a GGUF architecture."""
    found: dict[str, Any] = families()["shapes"][architecture]
    return found


def with_defaults(config: Json, architecture: str) -> dict[str, Any]:
    """`config` with what transformers takes where it is silent: hub files leave such settings out."""
    return {**shape_of(architecture).get("defaults", {}), **config}


def check_shape(config: Json, architecture: str, file: Path) -> None:
    """Hold `config`, its defaults filled in, to what llama.cpp computes.

    Args:
        file: where it was read, for messages.

    Raises:
        ModelUnavailable: llama.cpp would compute something else; the message names the setting.
    """
    shape = shape_of(architecture)
    for key in ("hidden_act", "hidden_activation"):
        act = config.get(key) or shape["activations"][0]
        if act not in shape["activations"]:
            raise _refused(f"the activation {act!r}", shape["activations"], file)
    rotation = rope_of(config)["rope_type"]
    if rotation not in shape["rotations"]:
        raise _refused(f"the position encoding {rotation!r}", shape["rotations"], file)
    for key, wanted in shape.get("only", {}).items():
        if bool(config.get(key, False)) is not wanted:
            raise _refused(f"`{key}` = {config.get(key)!r}", [], file)
    for key in shape.get("caps", []):
        if not config.get(key):
            raise _refused(f"`{key}` = {config.get(key)!r}", ["a number"], file)
    if "window" in shape:
        _check_window(config, architecture, file)
    if rotation == "longrope":
        _check_long_rotation(config, file)


def _refused(what: str, supported: list[str], file: Path) -> ModelUnavailable:
    known = f" (supported: {', '.join(supported)})" if supported else ""
    return ModelUnavailable(f"{what} is not supported{known}", _OTHER_VARIANT, file=file)


def _check_window(config: Json, architecture: str, file: Path) -> None:
    shape, layers = shape_of(architecture), config["num_hidden_layers"]
    if not config.get("sliding_window"):
        raise _refused("`sliding_window` = null", ["a number"], file)
    period = window_period(config, architecture)
    given = config.get("layer_types")
    regular = ["full_attention" if (i + 1) % period == 0 else "sliding_attention" for i in range(layers)]
    if given is not None and list(given) != regular:
        raise _refused("the order of `layer_types`", ["a whole layer after the same number of windowed ones"], file)
    by_width = layers == shape["scores_by_width"]
    wanted = config["hidden_size"] // config["num_attention_heads"] if by_width else head_size(config)
    if config["query_pre_attn_scalar"] != wanted:
        raise _refused(f"`query_pre_attn_scalar` = {config['query_pre_attn_scalar']}", [str(wanted)], file)
    if (local := _rope_of_window(config).get("rope_type", "default")) != "default":
        raise _refused(f"the position encoding {local!r} of windowed layers", ["default"], file)


def _check_long_rotation(config: Json, file: Path) -> None:
    rope, count = rope_of(config), rotated(config) // 2
    for key in ("short_factor", "long_factor"):
        if len(rope.get(key) or []) != count:
            raise ModelUnavailable(
                f"`{key}` of the position encoding has {len(rope.get(key) or [])} numbers instead of {count}",
                "fetch the model again, with a whole config.json",
                file=file,
            )


def window_period(config: Json, architecture: str) -> int:
    """Of so many layers one looks at the whole text, the last of them; the others no further than the window."""
    shape = shape_of(architecture)
    if types := config.get("layer_types"):
        first = list(types).index("full_attention") if "full_attention" in types else len(types)
        return first + 1
    return int(config.get(shape.get("window_key", ""), shape["window"]))


def rope_of(config: Json) -> dict[str, Any]:
    """The position encoding's parameters; transformers 5 keeps all of them in `rope_parameters`.

    Where windowed layers have one of their own, this is that of the others.
    """
    found = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    found = dict(found.get("full_attention") or {}) if "full_attention" in found else found
    found.setdefault("rope_theta", config.get("rope_theta", 10000.0))
    found.setdefault("partial_rotary_factor", config.get("partial_rotary_factor", 1.0))
    kind = found.get("rope_type") or found.get("type") or "default"
    found["rope_type"] = "longrope" if kind == "su" else kind  # Phi-3's first name for it
    if _ORIGINAL in config:
        found.setdefault(_ORIGINAL, config[_ORIGINAL])
    return found


def _rope_of_window(config: Json) -> dict[str, Any]:
    """The position encoding of windowed layers: that of the others, but for an architecture that has one of its own."""
    own = dict((config.get("rope_parameters") or {}).get("sliding_attention") or {})
    own.setdefault("rope_theta", config.get("rope_local_base_freq", rope_of(config)["rope_theta"]))
    return own


def head_size(config: Json) -> int:
    """Values in one attention head."""
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def key_heads(config: Json) -> int:
    """Heads of keys and values."""
    return int(config.get("num_key_value_heads") or config["num_attention_heads"])


def rotated(config: Json) -> int:
    """Values of a head that the position encoding turns."""
    return int(head_size(config) * rope_of(config)["partial_rotary_factor"])


def longest_text(config: Json, architecture: str) -> int:
    """Longest text in tokens that llama.cpp computes as transformers does.

    A window over all layers ends it, since llama.cpp would look beyond. So does the length up to which a `longrope`
    uses its short factors: llama.cpp chooses by the size of its context, transformers by each text's own length.
    """
    longest = int(config.get("max_position_embeddings") or 2048)
    if rope_of(config)["rope_type"] == "longrope":
        longest = min(longest, rope_of(config)[_ORIGINAL])
    if "window" not in shape_of(architecture):
        longest = min(longest, int(config.get("sliding_window") or longest))
    return longest


def add_shape(writer: Any, config: Json, architecture: str) -> None:  # noqa: ANN401 - an untyped library
    """Put into the header what only some architectures have: windows, caps, rotations of a part of each head."""
    shape, rope = shape_of(architecture), rope_of(config)
    if "layer_norm_eps" in config:
        writer.add_layer_norm_eps(config["layer_norm_eps"])
    else:
        writer.add_layer_norm_rms_eps(config.get("rms_norm_eps", 1e-6))
    writer.add_rope_dimension_count(rotated(config) if shape.get("rotates_part") else head_size(config))
    if "window" in shape:
        writer.add_sliding_window(config["sliding_window"])
        writer.add_sliding_window_pattern(window_period(config, architecture))
        writer.add_rope_freq_base_swa(float(_rope_of_window(config)["rope_theta"]))
    if "caps" in shape:
        writer.add_attn_logit_softcapping(float(config["attn_logit_softcapping"]))
        writer.add_final_logit_softcapping(float(config["final_logit_softcapping"]))
    if rope["rope_type"] == "longrope":
        writer.add_rope_scaling_orig_ctx_len(int(rope[_ORIGINAL]))
        writer.add_rope_scaling_attn_factors(_attention_factor(config))


def _attention_factor(config: Json) -> float:
    """By how much a `longrope` scales queries and keys, as transformers' `_compute_longrope_parameters` has it."""
    rope = rope_of(config)
    if rope.get("attention_factor") is not None:
        return float(rope["attention_factor"])
    factor = rope.get("factor") or config["max_position_embeddings"] / rope[_ORIGINAL]
    return math.sqrt(1 + math.log(factor) / math.log(rope[_ORIGINAL])) if factor > 1 else 1.0


def rope_tables(config: Json) -> dict[str, NDArray[np.float32]]:
    """Tables of the position encoding, by their GGUF names: how much each frequency is slowed, where that differs."""
    rope = rope_of(config)
    if rope["rope_type"] == "llama3":
        table = llama3_table(rope, head_size(config), int(config.get("max_position_embeddings") or 8192))
        return {"rope_freqs.weight": table}
    if rope["rope_type"] == "longrope":
        return {f"rope_factors_{k}.weight": np.asarray(rope[f"{k}_factor"], np.float32) for k in ("long", "short")}
    return {}


def llama3_table(rope: Json, size: int, longest: int = 8192) -> NDArray[np.float32]:
    """Llama 3.1's table for heads of `size` values.

    Short waves stay, long ones are slowed by `factor`, between the two it goes smoothly.
    """
    trained = rope.get(_ORIGINAL) or longest
    low, high, factor = rope["low_freq_factor"], rope["high_freq_factor"], rope["factor"]
    waves = 2 * math.pi * rope["rope_theta"] ** (np.arange(0, size, 2, dtype=np.float64) / size)
    smooth = np.clip((trained / waves - low) / (high - low), 0.0, 1.0)
    return np.asarray(1 / ((1 - smooth) / factor + smooth), dtype=np.float32)


def rope_of_table(table: NDArray[np.float32], theta: float, file: Path) -> dict[str, Any]:
    """What `llama3_table` made a table of, for a GGUF file that holds no more than the table.

    Every Llama 3 has 1 and 4 as its bounds; the trained length follows from any frequency between them.

    Raises:
        ModelUnavailable: it is no such table.
    """
    size = 2 * len(table)
    factor = float(table.max())
    between = np.flatnonzero((table > 1.001) & (table < factor - 0.001))
    rope: dict[str, Any] = {"rope_type": "llama3", "rope_theta": theta, "factor": factor}
    rope |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0, _ORIGINAL: 8192}
    if len(between):
        at = int(between[0])
        smooth = (1 / float(table[at]) - 1 / factor) / (1 - 1 / factor)
        wave = 2 * math.pi * theta ** (2 * at / size)
        rope[_ORIGINAL] = round(wave * (1 + 3 * smooth))
    if factor <= 1.0 or not np.allclose(llama3_table(rope, size), table, rtol=0.01):
        raise ModelUnavailable(
            "the base model's table of the position encoding is of no kind that is known",
            "take a variant of the model without it",
            file=file,
        )
    return rope
