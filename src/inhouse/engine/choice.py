"""Which engine runs a model: by the task's wish, or the first that takes the model's architecture."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from inhouse.engine.gguf_fields import matrix_types, read_fields
from inhouse.engine.protocol import StreamingEngine
from inhouse.errors import ModelUnavailable

# Not in `engines.toml`: it runs elsewhere, and is never chosen but by name (see `vllm_engine`).
VLLM = "vllm"
# Those which can crash a Python process, or hang in it, and whose steps may stop the rest of it.
APART = frozenset({"openvino-genai", "xllamacpp"})
Opener = Callable[[Path, int, int, bool], StreamingEngine]

ENGINES: dict[str, Opener] = {}


def engine(name: str) -> Callable[[Opener], Opener]:
    """Register the function that opens a GGUF file in the engine `name`: file, end of turn, threads, exact."""

    def register(opener: Opener) -> Opener:
        ENGINES[name] = opener
        return opener

    return register


@engine("openvino-genai")
def _openvino(gguf: Path, end_of_turn: int, threads: int, exact: bool) -> StreamingEngine:
    from inhouse.engine.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(gguf, end_of_turn, threads=threads, exact=exact)


@engine("xllamacpp")
def _xllamacpp(gguf: Path, end_of_turn: int, threads: int, exact: bool) -> StreamingEngine:
    from inhouse.engine.xllamacpp_engine import XLlamaCppEngine

    return XLlamaCppEngine(gguf, end_of_turn, threads=threads, exact=exact)


@dataclass(frozen=True)
class Capability:
    """What `engines.toml` says of an engine: architectures and number formats that it reads, traits it lacks."""

    architectures: frozenset[str]
    quantizations: frozenset[str]
    lacks: frozenset[str]

    def takes(self, architecture: str, quantizations: Collection[str], traits: Collection[str]) -> bool:
        """Whether the engine reads such a file, and computes it rightly."""
        read = architecture in self.architectures and self.quantizations.issuperset(quantizations)
        return read and self.lacks.isdisjoint(traits)


@cache
def capabilities() -> dict[str, Capability]:
    """What each engine takes, by its name, in the order of preference."""
    tables = tomllib.loads((files("inhouse.engine") / "engines.toml").read_text("utf-8"))
    return {
        name: Capability(
            frozenset(facts["architectures"]), frozenset(facts["quantizations"]), frozenset(facts.get("lacks", ()))
        )
        for name, facts in tables.items()
    }


def gguf_architecture(file: Path) -> str:
    """The architecture that a GGUF file names.

    Raises:
        ModelUnavailable: it is no GGUF file, or names none.
    """
    architecture = read_fields(file).get("general.architecture")
    if not isinstance(architecture, str):
        raise ModelUnavailable(f"{file.name} does not name its architecture", "take another GGUF file", file=file)
    return architecture


def gguf_quantizations(file: Path) -> frozenset[str]:
    """The number formats of a GGUF file's matrices, such as `Q8_0`.

    Raises:
        ModelUnavailable: it is no GGUF file.
    """
    return matrix_types(file)


def choose_engine(
    wanted: str, architecture: str, quantizations: Collection[str] = (), traits: Collection[str] = ()
) -> str:
    """The engine that serves a model of this architecture.

    Args:
        wanted: an engine's name, or `auto` for the first that can.
        architecture: as `gguf_architecture` gives it.
        quantizations: number formats that it must read too, as `gguf_quantizations` gives them.
        traits: what it must be able to do too, as `traits_of` gives them.

    Raises:
        ModelUnavailable: the wanted one, or every one, cannot.
    """
    if wanted == VLLM:  # it reads the base's own weights, not the file
        return VLLM
    able = [name for name, known in capabilities().items() if known.takes(architecture, quantizations, traits)]
    if wanted == "auto" and able:
        return able[0]
    if wanted in able:
        return wanted
    who = "no engine here can" if wanted == "auto" else f"the engine {wanted} cannot"
    weights = f" with weights in {', '.join(sorted(quantizations))}" if quantizations else ""
    weights += f" that has {', '.join(sorted(traits))}" if traits else ""
    remedy = f'set engine = "{able[0]}" in task.toml' if able else _what_can_be_served()
    raise ModelUnavailable(f"{who} serve a model of the architecture {architecture!r}{weights}", remedy)


def _what_can_be_served() -> str:
    from inhouse.engine.families import families

    known = sorted({*families()["architectures"].values()})
    return f"take a base model of one of these architectures: {', '.join(known)}"


def open_engine(
    name: str, gguf: Path, end_of_turn: int, *, threads: int, exact: bool, apart: bool = False
) -> StreamingEngine:
    """Load a GGUF file in an engine.

    Args:
        apart: in a process of its own, where it is one of those that need it beside other work.

    Raises:
        ModelUnavailable: the engine cannot read it.
    """
    if apart and name in APART:
        from inhouse.engine.engine_process import EngineProcess

        return EngineProcess(name, gguf, end_of_turn, threads=threads, exact=exact)
    return ENGINES[name](gguf, end_of_turn, threads, exact)
