"""How fast the main job's two heavy parts are on this machine, beside what the machine can do.

    make bench

Training: real tokens per second of the loop over twenty steps of the example, and its share of the limit: the machine's
matrix-product rate over the FLOP that the mathematics needs per token (see `common.needed_flop`).
Answering: requests per second of the untrained base in openvino-genai, constrained to the labels.

Writes benchmarks/results/journey.json.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
from common import machine, needed_flop, report

from inhouse import __version__
from inhouse.core import Dataset, Task, labels_of
from inhouse.dataset import build_dataset
from inhouse.engine import get_base
from inhouse.engine.answers import Question, answer_all, answer_form
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.lora import attach
from inhouse.engine.openvino_engine import OpenVinoEngine
from inhouse.engine.prompts import TRAINED_SYSTEM, trained_messages
from inhouse.engine.torch_model import best_precision, load_model, measure_flops, use_threads
from inhouse.sources import infer_mapping, read_source, to_examples
from inhouse.store import load_settings
from inhouse.train import encode, loop, make_recipe, max_tokens_of

HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "examples" / "ledger" / "invoice_lines.csv"
STEPS = 20
WARM_UP = 3


def main() -> None:
    """Measure, print, write."""
    settings = load_settings(HERE / "none.toml")
    base = get_base("smollm2-135m-instruct", settings, print)
    template = ChatTemplate(base.folder, base.spec.end_of_turn)
    dataset = _dataset()
    use_threads(settings.threads)
    results = {
        "inhouse": __version__,
        "machine": machine(),
        "training": train_speed(base, template, dataset),
        "answering": answer_speed(base, template, dataset),
    }
    report("journey", results)


def _dataset() -> Dataset:
    source = read_source(EXAMPLE)
    examples, _ = to_examples(source, infer_mapping(source))
    return build_dataset(
        "ledger", 1, examples, None, kind="classify", previous=None, drop_rare=False, reason="bench"
    ).dataset


def train_speed(base, template: ChatTemplate, dataset: Dataset) -> dict[str, float]:  # noqa: ANN001
    """Tokens per second of the loop's own step, and its share of the limit."""
    precision = best_precision()
    task = Task(name="ledger", labels=labels_of(dataset.examples))
    examples = encode(dataset.of("train"), template, system=TRAINED_SYSTEM, max_tokens=max_tokens_of(task))
    recipe = make_recipe(task, dataset, examples, base_model=base.spec.name, base_sha256="", precision=precision)
    flops = measure_flops(precision)
    model = load_model(base.folder, precision)
    adapters = attach(model, recipe.rank, recipe.alpha, recipe.seed)
    weights = [p for layer in adapters.values() for p in (layer.down, layer.up)]
    optimizer = torch.optim.AdamW(weights, lr=1e-4, fused=True)
    batches = loop._batches([e.tokens for e in examples], recipe.batch_size, 0, 0)[: STEPS + WARM_UP]
    trunk = loop.trunk_of(model, recipe.max_tokens)
    for number, batch in enumerate(batches):
        if number == WARM_UP:
            begun = time.perf_counter()
        loop._learn(trunk, [examples[i] for i in batch])
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    seconds = time.perf_counter() - begun
    seen = [examples[i] for batch in batches[WARM_UP:] for i in batch]
    tokens = sum(e.tokens for e in seen)
    return {
        "tokens_per_second": tokens / seconds,
        "tokens_per_text": tokens / len(seen),
        "machine_gflops": flops / 1e9,
        "share_of_limit": needed_flop(model, adapters, seen) / flops / seconds,
    }


def answer_speed(base, template: ChatTemplate, dataset: Dataset) -> dict[str, float]:  # noqa: ANN001
    """Requests per second of the engine, 64 at a time."""
    engine = OpenVinoEngine(base.gguf, template.end_of_turn)
    prompts = [template.prompt_ids(trained_messages("", e.inputs)) for e in dataset.examples]
    begun = time.perf_counter()
    answer_all(
        engine,
        [Question(p, "") for p in prompts],
        answer_form("classify", labels=labels_of(dataset.examples)),
        template.decode,
    )
    seconds = time.perf_counter() - begun
    engine.close()
    return {"requests_per_second": len(prompts) / seconds, "prompt_tokens": sum(map(len, prompts)) / len(prompts)}


if __name__ == "__main__":
    main()
