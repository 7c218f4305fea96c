"""How fast `add` and the default checks of `clean` are on many rows: banking77 varied, one CSV file.

    python benchmarks/data_speed.py [ROWS ...]

A row is three or four messages of banking77's train file one after another, of about 50 tokens, half of them with an
order number and a name. One row in a hundred is another one again, two in a hundred differ from another by a letter or
a word, one in a hundred has the text of another and a label by chance. Each command runs in a process of its own; its
memory is the most that it and the processes that it began held together.
"""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import DATA

BANKING77 = DATA / "banking77"
ROWS, SMALL, LARGE = 1_000_000, 250_000, 4_000_000
NAMES = ("Anna", "Bert", "Chloe", "Deniz", "Emil", "Fatma", "Goran", "Hanna", "Ivo", "Jana")
AGAIN, NEARLY, OTHERWISE = 0.01, 0.02, 0.01
WORDS = (30, 45)  # of a row, before what is added; 50 tokens and more


def varied(rows: int, seed: int = 7) -> Iterator[tuple[str, str, str]]:
    """Rows of text, label, and what is planted in it: "", `exact`, `near` or `contradiction`."""
    with (BANKING77 / "train.csv").open(newline="", encoding="utf-8") as file:
        messages = [(row["text"].strip(), row["category"]) for row in csv.DictReader(file)]
    chance = random.Random(seed)
    made: list[tuple[str, str]] = []
    for _ in range(rows):
        luck = chance.random()
        planted = ""
        if made and luck < AGAIN + NEARLY + OTHERWISE:
            text, label = made[int(chance.random() * len(made))]
            if luck < AGAIN:
                planted = "exact"
            elif luck < AGAIN + NEARLY:
                text, planted = _nearly(text, chance), "near"
            else:
                label, planted = messages[int(chance.random() * len(messages))][1], "contradiction"
        else:
            text, label = _new(messages, chance)
        if len(made) < 1_000_000:
            made.append((text, label))
        yield text, label, planted


def _new(messages: list[tuple[str, str]], chance: random.Random) -> tuple[str, str]:
    text, label = messages[int(chance.random() * len(messages))]
    parts, words = [text], len(text.split())
    wanted = WORDS[0] + int(chance.random() * (WORDS[1] - WORDS[0] + 1))
    while words < wanted:
        parts.append(messages[int(chance.random() * len(messages))][0])
        words += len(parts[-1].split())
    if chance.random() < 0.5:
        parts.append(f"Order {int(chance.random() * 10**7)}, {NAMES[int(chance.random() * len(NAMES))]}.")
    return " ".join(" ".join(parts).split()), label


def _nearly(text: str, chance: random.Random) -> str:
    """A text with a letter left out, or a word more."""
    words = text.split(" ")
    at = int(chance.random() * len(words))
    if len(words[at]) > 4 and words[at].isalpha():
        words[at] = words[at][:2] + words[at][3:]
    else:
        words.insert(at, "please")
    return " ".join(words)


def write_rows(path: Path, rows: int, seed: int = 7) -> None:
    """The varied rows as a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "category"])
        writer.writerows((text, label) for text, label, _ in varied(rows, seed))


_COMMAND = """
import json, resource, sys, threading, time
import inhouse, psutil
start, most, me = time.perf_counter(), 0, psutil.Process()

def watch():
    global most
    while True:
        held = 0
        for process in (me, *me.children(recursive=True)):
            try:
                held += process.memory_full_info().uss
            except psutil.Error:
                pass
        most = max(most, held)
        time.sleep(0.5)

threading.Thread(target=watch, daemon=True).start()
workspace = inhouse.open_workspace(sys.argv[1])
if sys.argv[2] == "add":
    inhouse.add(workspace, "speed", [sys.argv[3]], inputs=["text"], target="category")
    said = {}
else:
    said = {"summary": inhouse.clean(workspace, "speed").as_dict()["summary"]}
seconds = time.perf_counter() - start
used = max(most, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(json.dumps({"seconds": round(seconds, 2), "gib": round(used / 2**30, 2), **said}))
"""


def of(rows: int, folder: Path) -> dict[str, Any]:
    """Seconds and GiB of `add` and `clean`, and what was found."""
    import inhouse

    source, workspace = folder / f"rows_{rows}.csv", folder / f"workspace_{rows}"
    write_rows(source, rows)
    inhouse.init(inhouse.open_workspace(workspace), "speed")
    found = {command: _run([str(workspace), command, str(source)]) for command in ("add", "clean")}
    seconds = sum(one["seconds"] for one in found.values())
    return {
        "rows": rows,
        "seconds": round(seconds, 2),
        "microseconds_per_row": round(1e6 * seconds / rows, 1),
        "gib": max(one["gib"] for one in found.values()),
        **found,
    }


def _run(arguments: list[str]) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", _COMMAND, *arguments], capture_output=True, text=True, env=os.environ)
    if done.returncode:
        raise SystemExit(done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def measure(rows: int = ROWS, small: int = SMALL, large: int = LARGE) -> dict[str, Any]:
    """`add` and `clean` on the rows of the bar, and how time per row grows from a small file to a large one."""
    with tempfile.TemporaryDirectory() as folder:
        found = {name: of(count, Path(folder)) for name, count in (("bar", rows), ("small", small), ("large", large))}
    growth = found["large"]["microseconds_per_row"] / found["small"]["microseconds_per_row"]
    return {**found, "time_per_row_large_to_small": round(growth, 2), "bars": {"seconds": 120, "gib": 4, "growth": 1.3}}


if __name__ == "__main__":
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        for argument in sys.argv[1:] or [str(ROWS)]:
            print(json.dumps(of(int(argument), Path(temporary)), indent=1))
    print(f"{time.perf_counter() - start:.0f} s in all")
