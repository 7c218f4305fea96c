"""Near-twins among many rows beside datasketch and semhash, in one run: seconds, and how many planted twins each finds.

    DATA=../shared/data python benchmarks/data_peers.py [ROWS]

The rows are those of `data_speed`. A planted twin, a row made from another by a letter or a word, is found where it
stands in a pair. datasketch runs as its documentation has it: 128 permutations, stretches of 5 characters, MinHashLSH.
Its Jaccard threshold of 0.8 is what a letter or a word more leaves of a row's stretches. semhash runs at its threshold
of 0.9; the static model that it loads from a hub by default is replaced by one of the same kind, of the packaged
MiniLM's token embeddings, as nothing is fetched here: its seconds are those of its way, its recall that of this model.
PEERS names the Python that has both, where that is another one.
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
import json, psutil, sys, time
from inhouse.scoring.twins import near_twins
texts = json.load(open(sys.argv[1]))
start = time.perf_counter(), time.process_time()
pairs = near_twins(texts)
seconds = time.perf_counter() - start[0], time.process_time() - start[1]
others = [process.cpu_times() for process in psutil.Process().children(recursive=True)]
seconds = seconds[0], seconds[1] + sum(times.user + times.system for times in others)
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
_SEMHASH = """
import json, sys, time
import numpy as np
from model2vec import StaticModel
from safetensors.numpy import load_file
from semhash import SemHash
from tokenizers import Tokenizer
texts = json.load(open(sys.argv[1]))
start = time.perf_counter(), time.process_time()
weights = load_file(sys.argv[2] + "/model.safetensors")
[vectors] = [v for name, v in weights.items() if name.endswith("embeddings.word_embeddings.weight")]
tokenizer = Tokenizer.from_file(sys.argv[2] + "/tokenizer.json")
tokenizer.no_padding()
tokenizer.no_truncation()
model = StaticModel(vectors.astype(np.float32), tokenizer, normalize=True)
place = {text: i for i, text in enumerate(texts)}
done = SemHash.from_records(texts, model=model).self_deduplicate(threshold=0.9)
found = {place[text] for one in done.filtered for text in (one.record, one.duplicate_of)}
seconds, cpu, count = time.perf_counter() - start[0], time.process_time() - start[1], len(done.filtered)
print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "pairs": count, "found": sorted(found)}))
"""


def measure(rows: int = ROWS) -> dict[str, Any]:
    """Seconds, pairs and recall of each, and how many times the peers' seconds ours fit in."""
    from inhouse.core import folded
    from inhouse.engine import get_base
    from inhouse.store.settings import Settings

    kind_of: dict[str, str] = {}
    for text, _, planted in varied(rows):
        kind_of.setdefault(folded(text), planted)
    near = {i for i, planted in enumerate(kind_of.values()) if planted == "near"}
    results: dict[str, Any] = {"rows": rows, "different_texts": len(kind_of), "planted_twins": len(near)}
    with TemporaryDirectory() as folder:
        file = Path(folder) / "texts.json"
        file.write_text(json.dumps(list(kind_of)), "utf-8")
        peers = os.environ.get("PEERS", sys.executable)
        encoder = str(get_base("all-minilm-l6-v2", Settings()).folder)
        programs = (
            ("inhouse", sys.executable, _OURS),
            ("datasketch", peers, _DATASKETCH),
            ("semhash", peers, _SEMHASH),
        )
        for name, python, code in programs:
            start = time.perf_counter()
            done = subprocess.run([python, "-c", code, str(file), encoder], capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stderr)
            one = json.loads(done.stdout)
            one["recall_of_planted_twins"] = round(len(near & set(one.pop("found"))) / len(near), 4)
            one["seconds_with_start"] = time.perf_counter() - start
            results[name] = {key: round(value, 4) for key, value in one.items()}
    for peer in ("datasketch", "semhash"):
        results[f"times_{peer}"] = round(results[peer]["seconds"] / results["inhouse"]["seconds"], 2)
    return results


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS), indent=1))
