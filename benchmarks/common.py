"""What the benchmarks share: the machine in words, the limit of a training, and where results go."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inhouse.train import Encoded

ROOT = Path(__file__).resolve().parents[1]
# The data sets that are not part of the project.
DATA = Path(os.environ.get("DATA") or ROOT.parent / "shared" / "data")


def machine() -> dict[str, Any]:
    """Cores that may be used, and the processor's name."""
    return {"cores": len(os.sched_getaffinity(0)), "processor": platform.processor() or platform.machine()}


def needed_flop(model: Any, adapters: Mapping[str, Any], examples: Sequence[Encoded]) -> float:  # noqa: ANN401 - transformers'
    """FLOP that the mathematics of one pass of LoRA over the examples needs, whatever computes it.

    4 per frozen weight and token (forward, and the gradient of the activations), 6 per adapter weight; scores and their
    use, 2 x 2 per pair of positions and hidden number forward and twice that back, for half the pairs; the head forward
    and back on answer tokens alone.
    """
    frozen = sum(layer.linear.weight.numel() for layer in adapters.values())
    trained = sum(layer.down.numel() + layer.up.numel() for layer in adapters.values())
    pairs = sum(e.tokens**2 / 2 for e in examples)
    attention = 12 * pairs * model.config.hidden_size * model.config.num_hidden_layers
    head = 4 * model.lm_head.weight.numel() * sum(len(e.answer) for e in examples)
    return sum(e.tokens for e in examples) * (4 * frozen + 6 * trained) + attention + head


def report(name: str, results: dict[str, Any]) -> None:
    """Write results/NAME.json beside the benchmarks, and print it.

    Raises:
        ValidationError: there is a contract (tests/contracts/bench_NAME.schema.json), and the results break it.
    """
    contract = ROOT / "tests" / "contracts" / f"bench_{name}.schema.json"
    if contract.is_file():
        from jsonschema import validate

        validate(results, json.loads(contract.read_text("utf-8")))
    file = Path(__file__).parent / "results" / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    text = json.dumps(results, indent=1)
    file.write_text(text + "\n", "utf-8")
    print(text)
