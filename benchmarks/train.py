"""Training side by side: our loop, TRL's SFTTrainer (padded and packed), and what the machine can do.

    make bench-train [SHORT=FILE] [LONG=FILE]

Each is trained several times, one round of all after the other as long as `--minutes` have room for: a figure is the
median of the rounds, and `low_` and `high_` are their range. A round's number is the seed of order and adapters.

Each takes the same rendered tokens, once through, with the same loss mask, model, LoRA shape and batch, in a process of
its own, one after the other. All begin with the same adapters and take the same number of steps; padded TRL gets our
batches in our order, so that in one precision its loss is ours. Packed TRL puts texts together as it does, in rows that
are as long as it takes to have as many of them as we have batches. Ours computes in the precision that it chooses for
the machine; TRL in bfloat16, to which `ratio_to_trl_packed` is, and where that is not our choice, packed in float32
too. Tokens are real ones: padding does not count. `shared_tokens` is the share of them that a batch's common beginning
saved. `limit` is the machine's matrix-product rate in our precision over the FLOP that the mathematics needs per real
token: 4 per frozen weight of the trunk and 6 per adapter weight, causal attention forward and back, and the head
forward and back on answer tokens alone. Losses are the mean cross-entropy per answer token of held-out texts after the
last step, computed alike for all. `seconds_to_first_step` is of the command `inhouse train` on the ledger, the
converted base cached: from its process's start until the first step begins (`seconds_through_first_step`: until it is
done), measured first, three times.

Without files the project's own examples are taken: ledger lines for short texts, invoices for long ones. Give others as
`FILE`, or `FILE:INPUT,INPUT=TARGET` where the columns cannot be guessed.

Writes benchmarks/results/train.json.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import torch
from common import machine, needed_flop, report
from torch.nn import functional

import inhouse
from inhouse.engine import get_base
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.lora import attach
from inhouse.engine.prompts import TRAINED_SYSTEM
from inhouse.engine.torch_model import answer_logits, best_precision, load_model, measure_flops, padded, use_threads
from inhouse.sources import infer_kind, infer_mapping, read_source, to_examples
from inhouse.store import load_settings
from inhouse.train import TOKENS_AT_ONCE, Encoded, encode, loop, roomy_heap, tidy_heap
from inhouse.train.packing import pack
from inhouse.train.plan import in_parts

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"
RANK, ALPHA, RATE = 16, 32, 5e-4
HELD_OUT = 48
# A step of long texts has some 4,400 tokens: after one alone a loss tells nothing.
LEAST_STEPS = 2
MOST_ROUNDS = 5
STARTS = 3
# The command, told to say on standard output when its first step begins and when it is done, and then to end.
UP_TO_FIRST_STEP = """
import os, sys
from inhouse.train.trainer import Trainer
step = Trainer.step
def first(trainer):
    os.write(1, b"begins\\n")
    step(trainer)
    os.write(1, b"done\\n")
    os._exit(0)
Trainer.step = first
from inhouse.cli import main
main()
"""
# What the machine computes fast.
PRECISION = best_precision()
CONTENDERS = ("ours", "trl", "trl_packed", *(["trl_packed_float32"] if PRECISION == "float32" else []))


def main() -> None:
    """Measure all three on both kinds of text, print, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", default=f"{EXAMPLES}/ledger/invoice_lines.csv:supplier,description,amount=account")
    parser.add_argument("--long", default=f"{EXAMPLES}/invoices/invoices.jsonl:document=fields")
    parser.add_argument("--tokens", type=int, default=4000, help="real tokens that each trains on, two steps at least")
    parser.add_argument("--minutes", type=float, default=24.0, help="no round begins that would not end within them")
    parser.add_argument("--only", choices=CONTENDERS, action="append", help="leave the others out")
    parser.add_argument("--worker", nargs=2, metavar=("CONTENDER", "FILE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        print(json.dumps(WORKERS[given.worker[0]](json.loads(Path(given.worker[1]).read_text("utf-8")))))
        return
    begun = time.perf_counter()
    results: dict[str, Any] = to_first_step()
    contenders = tuple(given.only or CONTENDERS)
    kinds = {
        kind: Texts(source, batch, given.tokens)
        for kind, source, batch in (("short", given.short, 16), ("long", given.long, 8))
    }
    rounds: list[dict[str, dict[str, float]]] = []
    took = 0.0
    while len(rounds) < MOST_ROUNDS and (not rounds or time.perf_counter() - begun + took < 60 * given.minutes):
        a_round = time.perf_counter()
        rounds.append({kind: one_round(texts, contenders, len(rounds)) for kind, texts in kinds.items()})
        took = time.perf_counter() - a_round
    for kind, texts in kinds.items():
        results[kind] = texts.facts | of_rounds([found[kind] for found in rounds], texts.facts["limit"])
    results["peak_memory_gib"] = max(results[kind].get("gib_ours", 0.0) for kind in kinds)
    results["machine"] = {
        **machine(),
        "precision": PRECISION,
        "bfloat16_gflops": measure_flops("bfloat16") / 1e9,
        "float32_gflops": measure_flops("float32") / 1e9,
    }
    report("train", results)


class Texts:
    """The texts of one kind that all train on, and what does not depend on who trains."""

    def __init__(self, source: str, batch: int, tokens: int) -> None:
        base = get_base("smollm2-135m-instruct", load_settings(HERE / "none.toml"), print)
        examples = encoded(source, base)
        learned, held_out = examples[HELD_OUT:], examples[:HELD_OUT]
        mean = sum(e.tokens for e in learned) / len(learned)
        learned = learned[: max(LEAST_STEPS, round(tokens / mean / batch)) * batch]
        self.work = {
            "base": str(base.folder),
            "batch": batch,
            "learned": [[e.prompt, e.answer] for e in learned],
            "held_out": [[e.prompt, e.answer] for e in held_out],
        }
        limit = limit_of(base.folder, learned)
        self.facts: dict[str, float] = {"limit": limit, "tokens_per_text": mean, "texts": len(learned)}


def one_round(texts: Texts, contenders: tuple[str, ...], seed: int) -> dict[str, float]:
    """Every contender once on texts of one kind, one after the other."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "work.json"
        file.write_text(json.dumps({**texts.work, "seed": seed}), "utf-8")
        for name in contenders:
            one = in_own_process(name, file)
            print(name, one, file=sys.stderr, flush=True)
            found |= {name: one.pop("rate")} | {f"{key}_{name}": value for key, value in one.items()}
    return found


def of_rounds(rounds: list[dict[str, float]], limit: float) -> dict[str, float]:
    """Medians of the rounds, the range of rates and losses, and how the contenders compare."""
    found: dict[str, float] = {"rounds": len(rounds)}
    for name in rounds[0]:
        values = [one[name] for one in rounds]
        found[name] = max(values) if name.startswith("gib_") else median(values)
        if name in WORKERS or name.startswith("loss_"):
            found |= {f"low_{name}": min(values), f"high_{name}": max(values)}
    if "ours" in found:
        found["share_of_limit"] = found["ours"] / limit
    for peer in ("trl_packed", "trl_packed_float32"):
        if "ours" in found and peer in found:
            found[f"ratio_to_{peer}"] = found["ours"] / found[peer]
    return found


def to_first_step() -> dict[str, float]:
    """Seconds from the start of `inhouse train` to its first step, on the ledger."""
    found: dict[str, list[float]] = {"to": [], "through": []}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        workspace = inhouse.open_workspace(place)
        get_base("smollm2-135m-instruct", workspace.settings, print)
        inhouse.init(workspace, "ledger")
        lines = [EXAMPLES / "ledger" / "invoice_lines.csv"]
        inhouse.add(workspace, "ledger", lines, inputs=["supplier", "description", "amount"], target="account")
        workspace.close()
        for _ in range(STARTS):
            begun = time.perf_counter()
            command = [sys.executable, "-c", UP_TO_FIRST_STEP, "train", "ledger", "--workspace", str(place)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
                assert started.stdout is not None
                for what, line in (("to", "begins\n"), ("through", "done\n")):
                    if started.stdout.readline() != line:
                        sys.exit(f"inhouse train failed:\n{started.communicate()[1][-3000:]}")
                    found[what].append(time.perf_counter() - begun)
    told = {}
    for what, seconds in found.items():
        name = f"seconds_{what}_first_step"
        told |= {name: median(seconds), f"low_{name}": min(seconds), f"high_{name}": max(seconds)}
    return told


def encoded(source: str, base: Any) -> list[Encoded]:  # noqa: ANN401 - a base
    """The examples of a file as token ids, in an order of chance that is always the same."""
    name, _, columns = source.partition(":")
    inputs, _, target = columns.partition("=")
    read = read_source(Path(name))
    kind, _ = infer_kind(read, target=target)
    mapping = infer_mapping(read, kind=kind, fields=[f for f in inputs.split(",") if f], target=target)
    rows, _ = to_examples(read, mapping)
    template = ChatTemplate(base.folder, base.spec.end_of_turn)
    examples = encode(rows, template, system=TRAINED_SYSTEM, max_tokens=1024)
    random.Random(0).shuffle(examples)
    return examples


def limit_of(folder: Path, examples: list[Encoded]) -> float:
    """Real tokens per second if the machine did nothing but the products that the mathematics needs."""
    model = load_model(folder, PRECISION)
    adapters = attach(model, RANK, ALPHA, seed=0)
    tokens = sum(e.tokens for e in examples)
    return measure_flops(PRECISION) * tokens / needed_flop(model, adapters, examples)


def in_own_process(name: str, file: Path) -> dict[str, float]:
    """What a contender prints as its last line."""
    done = subprocess.run(
        [sys.executable, __file__, "--worker", name, str(file)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def ours(work: dict[str, Any]) -> dict[str, float]:
    """The step of our own loop."""
    use_threads(0)
    learned = [Encoded(*texts) for texts in work["learned"]]
    batches = [[learned[i] for i in batch] for batch in batches_of(work)]
    with roomy_heap(psutil.virtual_memory().available):
        model = load_model(Path(work["base"]), PRECISION)
        adapters = attach(model, RANK, ALPHA, seed=work["seed"])
        weights = [p for layer in adapters.values() for p in (layer.down, layer.up)]
        optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=0.0, fused=True)
        trunk = loop.trunk_of(model, 1024)
        tidy_heap()
        begun = tidied = time.perf_counter()
        for batch in batches:
            loop._learn(trunk, batch)
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if time.perf_counter() - tidied > loop.TIDY_SECONDS:
                tidy_heap()
                tidied = time.perf_counter()
        seconds = time.perf_counter() - begun
    parts = [pack(part) for batch in batches for part in in_parts(batch, TOKENS_AT_ONCE)]
    every = sum(e.tokens - 1 for e in learned)
    return outcome(work, model, seconds) | {
        "steps": len(batches),
        "shared_tokens": 1 - sum(len(part.ids) for part in parts) / every,
    }


def trl(work: dict[str, Any], *, packing: bool = False, precision: str = "bfloat16") -> dict[str, float]:
    """TRL's SFTTrainer with PEFT, without gradient checkpointing."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    batches = batches_of(work)
    texts = [work["learned"][i] for batch in batches for i in batch]
    rows = Dataset.from_dict(
        {
            "input_ids": [p + a for p, a in texts],
            "completion_mask": [[0] * len(p) + [1] * len(a) for p, a in texts],
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            AutoModelForCausalLM.from_pretrained(work["base"], dtype=getattr(torch, precision)),
            SFTConfig(
                output_dir=folder,
                per_device_train_batch_size=1 if packing else work["batch"],
                max_length=row_length(rows, len(batches)) if packing else None,
                train_sampling_strategy="random" if packing else "sequential",
                packing=packing,
                num_train_epochs=1,
                learning_rate=RATE,
                lr_scheduler_type="constant",
                weight_decay=0.0,
                max_grad_norm=1.0,
                bf16=precision == "bfloat16",
                use_cpu=True,
                gradient_checkpointing=False,
                completion_only_loss=True,
                save_strategy="no",
                report_to="none",
                logging_steps=1000,
                disable_tqdm=True,
                seed=work["seed"],
            ),
            train_dataset=rows,
            processing_class=AutoTokenizer.from_pretrained(work["base"]),
            peft_config=LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules="all-linear"),
        )
        begin_as_ours(trainer.model, work["seed"])
        begun = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - begun
    return outcome(work, trainer.model.base_model.model, seconds) | {"steps": trainer.state.global_step}


def batches_of(work: dict[str, Any]) -> list[list[int]]:
    """Places of the texts of each of our steps."""
    lengths = [len(prompt) + len(answer) for prompt, answer in work["learned"]]
    return loop._batches(lengths, work["batch"], work["seed"], 0)


def row_length(rows: Any, count: int) -> int:  # noqa: ANN401 - a data set
    """The shortest rows, to a hundredth, of which TRL's packing makes no more than `count`: one step each."""
    from trl import pack_dataset

    length = sum(map(len, rows["input_ids"])) / count
    while len(pack_dataset(rows, math.ceil(length))) > count:
        length *= 1.01
    return math.ceil(length)


def begin_as_ours(model: Any, seed: int) -> None:  # noqa: ANN401 - a PEFT model
    """Give PEFT's adapters the numbers that ours begin with: see `engine.lora.attach`."""
    torch.manual_seed(seed)
    for module in model.modules():
        if hasattr(module, "lora_A"):
            down = torch.empty(RANK, module.in_features)
            torch.nn.init.kaiming_uniform_(down, a=math.sqrt(5))
            with torch.no_grad():
                module.lora_A["default"].weight.copy_(down)


def outcome(work: dict[str, Any], model: Any, seconds: float) -> dict[str, float]:  # noqa: ANN401
    """Tokens per second, peak memory, and the loss on the held-out texts."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    total, count = 0.0, 0
    with torch.inference_mode():
        for prompt, answer in work["held_out"]:
            text = [*prompt, *answer]
            logits = answer_logits(model, *padded([(text, list(range(len(prompt), len(text))))], torch.device("cpu")))
            total += functional.cross_entropy(logits, torch.tensor(answer), reduction="sum").item()
            count += len(answer)
    tokens = sum(len(p) + len(a) for p, a in work["learned"])
    return {"rate": tokens / seconds, "gib": peak, "loss": total / count}


WORKERS = {
    "ours": ours,
    "trl": trl,
    "trl_packed": lambda work: trl(work, packing=True),
    "trl_packed_float32": lambda work: trl(work, packing=True, precision="float32"),
}


if __name__ == "__main__":
    main()
