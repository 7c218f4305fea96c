"""Writing GGUF files that llama.cpp, Ollama and openvino-genai read.

A trained model takes its header (architecture, tokenizer, chat template) over from the base's own GGUF file; a base
from a folder in safetensors gets one from `hub_header`. The tensors are in Q8_0: 8-bit blocks of 32 with one scale,
8.5 bits a weight, which changes no answer that we measured. They go to the file one by one, so that a model needs no
more memory than its largest tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inhouse.engine.shapes import shape_of
from inhouse.errors import EngineFault

Array = NDArray[np.float32]

FILE_TYPE_Q8_0 = 7
_BLOCK = 32
# Tables of the position encoding, which Llama 3.1 and later carry as tensors: nothing that training changes.
_NO_WEIGHTS = ("rope_freqs", "rope_factors")


def write_gguf(base: Path, weights: Iterator[tuple[str, Array]], out: Path) -> None:
    """Write `weights` (transformers' names, float32) to `out` under the header of the GGUF file `base`.

    Raises:
        EngineFault: a tensor of the base has no counterpart, or one has no place in it: nothing is left out silently.
    """
    import gguf

    reader = gguf.GGUFReader(base)
    architecture = reader.fields["general.architecture"].contents()
    layers, q, k = (
        int(reader.fields[f"{architecture}.{key}"].contents())
        for key in ("block_count", "attention.head_count", "attention.head_count_kv")
    )
    tables = ((t.name, np.array(t.data)) for t in reader.tensors if t.name.startswith(_NO_WEIGHTS))
    shapes = {t.name: [int(n) for n in reversed(t.shape)] for t in reader.tensors}
    with closing(gguf.GGUFWriter(out, architecture)) as writer:
        _copy_header(gguf, reader, writer)
        write_tensors(writer, shapes, chain(tables, in_gguf_order(weights, architecture, layers, q, k)))


def in_gguf_order(
    weights: Iterator[tuple[str, Array]], architecture: str, layers: int, heads: int, key_heads: int
) -> Iterator[tuple[str, Array]]:
    """Weights under llama.cpp's names, the rows of q and k in its order, its norms with what it does not add itself.

    transformers rotates the two halves of a head, llama.cpp neighbouring pairs; where `families.toml` says so,
    the rows of q and k are reordered so that both compute the same (llama.cpp's convert_hf_to_gguf.py, `permute`).

    Raises:
        EngineFault: a weight has no place in this architecture.
    """
    rename = names_in(architecture, layers)
    shape = shape_of(architecture)
    for name, weight in weights:
        rows_of = heads if ".q_proj." in name else key_heads if ".k_proj." in name else 0
        if shape.get("reorders") and rows_of:
            weight = _permuted(weight, rows_of)
        if name.endswith("norm.weight"):
            weight = weight + np.float32(shape.get("norm_offset", 0.0))
        yield rename(name), weight


def _permuted(weight: Array, heads: int) -> Array:
    rows = weight.shape[0]
    halves = weight.reshape(heads, 2, rows // heads // 2, *weight.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weight.shape))


def names_in(architecture: str, layers: int) -> Callable[[str], str]:
    """What renames transformers' weights as an architecture's GGUF tensors.

    Raises:
        EngineFault: the GGUF library does not know the architecture; from the result: a weight has no place in it.
    """
    import gguf

    known = {name: key for key, name in gguf.MODEL_ARCH_NAMES.items()}
    if architecture not in known:
        raise EngineFault(f"the GGUF library knows no architecture {architecture!r}")
    names = gguf.get_tensor_name_map(known[architecture], layers)

    def rename(name: str) -> str:
        found = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise EngineFault(f"the weight {name} has no place in a GGUF file of the architecture {architecture}")
        return str(found)

    return rename


def _copy_header(gguf: Any, reader: Any, writer: Any) -> None:  # noqa: ANN401 - an untyped library
    writer.add_file_type(FILE_TYPE_Q8_0)
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key in ("general.architecture", "general.file_type"):
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(key, field.contents(), kind, sub_type=inner)


def write_tensors(
    writer: Any,  # noqa: ANN401
    shapes: Mapping[str, Sequence[int]],
    tensors: Iterator[tuple[str, Array]],
) -> None:
    """Write the header that `writer` holds, then each tensor at its own place, in whatever order they come.

    Args:
        shapes: of every tensor that is to come.

    Raises:
        EngineFault: a tensor did not come, came twice or in another shape, or is not wanted.
    """
    import gguf

    sizes: dict[str, int] = {}
    for name, shape in shapes.items():
        kind = gguf.GGMLQuantizationType.Q8_0 if _in_blocks(shape) else gguf.GGMLQuantizationType.F32
        block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
        sizes[name] = int(np.prod(shape, dtype=np.int64)) // block * block_bytes
        writer.add_tensor_info(name, shape, np.dtype(np.float32), sizes[name], raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    (file,) = writer.fout
    end = gguf.GGUFWriter.ggml_pad(file.tell(), writer.data_alignment)
    places: dict[str, int] = {}
    for name, size in sizes.items():
        places[name] = end
        end += gguf.GGUFWriter.ggml_pad(size, writer.data_alignment)
    file.truncate(end)
    for name, tensor in tensors:
        if name not in places:
            raise EngineFault(f"the weight {name} has no place in the GGUF file")
        if list(tensor.shape) != list(shapes[name]):
            raise EngineFault(f"the weight {name} has the shape {list(tensor.shape)} instead of {list(shapes[name])}")
        file.seek(places.pop(name))
        flat = np.ascontiguousarray(tensor, dtype=np.float32)
        packed = gguf.quants.quantize(flat, gguf.GGMLQuantizationType.Q8_0) if _in_blocks(tensor.shape) else flat
        file.write(packed.data)
    if places:
        raise EngineFault(f"the trained model has no weight for {sorted(places)[0]}")


def _in_blocks(shape: Sequence[int]) -> bool:
    return len(shape) > 1 and shape[-1] % _BLOCK == 0
