"""Near-twins among many rows beside datasketch, in one run: seconds, and how many planted twins each finds.

    DATA=../shared/data python benchmarks/data_peers.py [ROWS]

The rows are those of `data_speed`. A planted twin, a row made from another by a letter or a word, is found where it
stands in a pair. datasketch runs as its documentation has it: 128 permutations, stretches of 5 characters, MinHashLSH.
Its Jaccard threshold of 0.8 is what a letter or a word more leaves of a row's stretches. PEERS names the Python that
has it, where that is another one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from data_speed import varied

ROWS = 200_000

_OURS = """
import json, sys, time
from inhouse.scoring.twins import near_twins
texts = json.load(open(sys.argv[1]))
start = time.perf_counter(), time.process_time()
pairs = near_twins(texts)
seconds = time.perf_counter() - start[0], time.process_time() - start[1]
found = sorted({*pairs.left.tolist(), *pairs.right.tolist()})
print(json.dumps({"seconds": seconds[0], "cpu_seconds": seconds[1], "pairs": len(pairs.left), "found": found}))
"""
_DATASKETCH = """
import json, sys, time
from datasketch import MinHash, MinHashLSH
texts = json.load(open(sys.argv[1]))
start = time.perf_counter(), time.process_time()
lsh, found, count = MinHashLSH(threshold=0.8, num_perm=128), set(), 0
stretches = ([text[i : i + 5].encode() for i in range(max(1, len(text) - 4))] for text in texts)
for i, minhash in enumerate(MinHash.generator(stretches, num_perm=128)):
    for j in lsh.query(minhash):
        found |= {i, j}
        count += 1
    lsh.insert(i, minhash)
seconds = time.perf_counter() - start[0], time.process_time() - start[1]
print(json.dumps({"seconds": seconds[0], "cpu_seconds": seconds[1], "pairs": count, "found": sorted(found)}))
"""


def measure(rows: int = ROWS) -> dict[str, Any]:
    """Seconds, pairs and recall of each, and how many times datasketch's seconds ours fit in."""
    from inhouse.core import folded

    kind_of: dict[str, str] = {}
    for text, _, planted in varied(rows):
        kind_of.setdefault(folded(text), planted)
    near = {i for i, planted in enumerate(kind_of.values()) if planted == "near"}
    results: dict[str, Any] = {"rows": rows, "different_texts": len(kind_of), "planted_twins": len(near)}
    with TemporaryDirectory() as folder:
        file = Path(folder) / "texts.json"
        file.write_text(json.dumps(list(kind_of)), "utf-8")
        peers = os.environ.get("PEERS", sys.executable)
        for name, python, code in (("inhouse", sys.executable, _OURS), ("datasketch", peers, _DATASKETCH)):
            start = time.perf_counter()
            done = subprocess.run([python, "-c", code, str(file)], capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stderr)
            one = json.loads(done.stdout)
            one["recall_of_planted_twins"] = round(len(near & set(one.pop("found"))) / len(near), 4)
            one["seconds_with_start"] = time.perf_counter() - start
            results[name] = {key: round(value, 4) for key, value in one.items()}
    results["times_datasketch"] = round(results["datasketch"]["seconds"] / results["inhouse"]["seconds"], 2)
    return results


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS), indent=1))
