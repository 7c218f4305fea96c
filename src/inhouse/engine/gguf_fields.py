"""What a GGUF file says of itself, read without its tensors and vocabulary.

`gguf.GGUFReader` makes an object of every token: 2.4 s for 49,000 tokens, where this takes some 25 ms.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from inhouse.errors import ModelUnavailable

# The format's value types: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_OLDEST_VERSION = 2
# Arrays of numbers up to this length are kept (a figure per layer), longer ones belong to the vocabulary.
_LONGEST_ARRAY = 1024
_ALIGNMENT = 32
# So much of a long context is set aside for prompt and answer: the cache of more does not fit an ordinary PC.
LONGEST_CONTEXT = 8192


class Tensor(NamedTuple):
    """What a GGUF file says of one tensor; `kind` is the number of its format, `offset` counts from the first one."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


def read_fields(path: Path) -> dict[str, Any]:
    """The fields of a GGUF file by their names: strings, numbers, and short lists of numbers.

    Raises:
        ModelUnavailable: there is no such file, or it is no GGUF file.
    """
    with _opened(path) as reader:
        return reader.fields()


def read_tensors(path: Path) -> list[Tensor]:
    """What a GGUF file says of its tensors, in file order.

    Raises:
        ModelUnavailable: there is no such file, or it is no GGUF file.
    """
    with _opened(path) as reader:
        reader.fields()
        return list(reader.tensors())


def matrix_types(path: Path) -> frozenset[str]:
    """The number formats of a GGUF file's matrices, such as `Q8_0`; norms and biases are float32 in all files.

    Raises:
        ModelUnavailable: there is no such file, or it is no GGUF file.
    """
    from gguf import GGMLQuantizationType

    with _opened(path) as reader:
        reader.fields()
        return frozenset(GGMLQuantizationType(t.kind).name for t in reader.tensors() if len(t.shape) > 1)


def check_whole(path: Path) -> None:
    """Check that a GGUF file goes on to the end of its last tensor.

    Raises:
        ModelUnavailable: it is cut off, or it is no GGUF file.
    """
    with _opened(path) as reader:
        reader.fields()
        missing = reader.end() - path.stat().st_size
        if missing > 0:
            raise ValueError(f"its last {missing:,} bytes are missing")


def context_length(fields: dict[str, Any]) -> int:
    """The most tokens of prompt and answer that a model with these fields reads in any engine here."""
    named = fields.get(f"{fields.get('general.architecture', '')}.context_length", LONGEST_CONTEXT)
    return min(int(named), LONGEST_CONTEXT)


def cache_numbers(fields: dict[str, Any]) -> int:
    """How many numbers a model with these fields keeps of each token that it has read: its keys and values."""
    architecture = fields.get("general.architecture", "")

    def fact(name: str, default: int) -> int:
        value = fields.get(f"{architecture}.{name}", default)
        return max(value) if isinstance(value, list) else int(value)

    heads = max(1, fact("attention.head_count", 1))
    width = fact("embedding_length", 0) // heads
    keys, values = fact("attention.key_length", width), fact("attention.value_length", width)
    return max(1, fact("block_count", 0) * fact("attention.head_count_kv", heads) * (keys + values))


@contextmanager
def _opened(path: Path) -> Iterator[_Reader]:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield _Reader(data)
    except (OSError, ValueError, TypeError, ArithmeticError, struct.error, KeyError) as error:
        raise ModelUnavailable(
            f"{path.name} is not a whole GGUF file: {error}", "fetch or write the file again", file=path
        ) from error


class _Reader:
    """Reads values one after the other: first the fields, then what is said of the tensors."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0
        self._tensors = 0
        self._alignment = _ALIGNMENT

    def fields(self) -> dict[str, Any]:
        if self._data[:4] != b"GGUF":
            raise ValueError("it does not begin with GGUF")
        self._at = 4
        version, self._tensors, count = self._number("I"), self._number("Q"), self._number("Q")
        if not _OLDEST_VERSION <= version < 1 << 16:
            raise ValueError(f"version {version} is not known here")
        found: dict[str, Any] = {}
        for _ in range(count):
            name = self._string()
            value = self._value(self._number("I"))
            if value is not None:
                found[name] = value
        self._alignment = found.get("general.alignment", _ALIGNMENT)
        return found

    def tensors(self) -> Iterator[Tensor]:
        """What is said of each tensor; comes after `fields`."""
        for _ in range(self._tensors):
            name = self._string()
            shape = tuple(self._number("Q") for _ in range(self._number("I")))
            yield Tensor(name, shape, self._number("I"), self._number("Q"))

    def end(self) -> int:
        """Where the last tensor ends; comes after `fields`."""
        from gguf import GGML_QUANT_SIZES

        tensors = list(self.tensors())
        begin = -(-self._at // self._alignment) * self._alignment
        sizes = {kind.value: size for kind, size in GGML_QUANT_SIZES.items()}
        ends = [begin]
        for tensor in tensors:
            block, block_bytes = sizes[tensor.kind]
            ends.append(begin + tensor.offset + prod(tensor.shape) // block * block_bytes)
        return max(ends)

    def _number(self, code: str) -> Any:  # noqa: ANN401 - a number or a truth value
        (value,) = struct.unpack_from(f"<{code}", self._data, self._at)
        self._at += struct.calcsize(f"<{code}")
        return value

    def _string(self) -> str:
        length = self._number("Q")
        self._at += length
        return self._data[self._at - length : self._at].decode("utf-8", "replace")

    def _value(self, kind: int) -> Any:  # noqa: ANN401 - whatever the file holds; None for what is passed over
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._array(self._number("I"), self._number("Q"))
        return self._number(_NUMBERS[kind])

    def _array(self, kind: int, count: int) -> list[Any] | None:
        if kind in _NUMBERS and count > _LONGEST_ARRAY:
            self._at += count * struct.calcsize(f"<{_NUMBERS[kind]}")
            return None
        if kind in _NUMBERS:
            return [self._number(_NUMBERS[kind]) for _ in range(count)]
        for _ in range(count):
            if kind == _STRING:
                length = self._number("Q")
                self._at += length
            else:
                self._value(kind)
        return None
