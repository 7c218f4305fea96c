"""How fast the server is, beside what it is built on and what else could serve the same file.

    make bench-serve                                      # whole: about half an hour
    python benchmarks/serve.py --seconds 5 --rounds 1     # a short pass
    python benchmarks/serve.py --only heads --seconds 5   # a part; printed, nothing is written

One trained GGUF file and the same requests (test rows of banking77 in their order) for: our server, its own process,
at 1, 8, 32 and 128 connections that wrk keeps busy; openvino-genai in process with 32 under way; llama.cpp's own HTTP
server, after a search for its best options; transformers. Rounds go through them in turning order; figures are medians.
Then classifier heads, what constraints, keys and Traces cost, and the time to the first token.

`serve_models.py` makes the models, once; that is no part of what is measured. Needs wrk (Debian's package).
Writes benchmarks/results/serve.json.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import psutil
from common import machine, report
from serve_models import HEADS, HOME, heads, prepared, receipts, texts

import inhouse
from inhouse.core import Trace
from inhouse.deploy.served import form_of
from inhouse.engine import get_base
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.prompts import trained_messages
from inhouse.store import Workspace, keys, registry
from inhouse.store.database import now
from inhouse.store.trace_writer import TraceWriter

HERE = Path(__file__).parent
BODIES = HERE / "serve" / "bodies.lua"
CLIENTS = (1, 8, 32, 128)
USUAL = 32
WARM_SECONDS = 4.0
FIRST_TOKENS = 40
# What llama.cpp is tried with, one after the other, each kept where it is the faster.
LLAMA: dict[str, tuple[Any, ...]] = {
    "slots": (4, 8, 16, 32),
    "one_cache": (True, False),
    "flash": (True, False),
    "batch": (2048, 512),
    "threads": (0, len(os.sched_getaffinity(0))),
}
Figures = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """What all parts share: the workspace, a folder for files of requests, and for how long each thing is measured."""

    workspace: Workspace
    folder: Path
    seconds: float
    rounds: int

    def bodies(self, name: str, contents: Sequence[Figures]) -> Path:
        """A file of JSON lines."""
        file = self.folder / f"{name.replace('/', '_')}.jsonl"
        file.write_text("".join(json.dumps(one) + "\n" for one in contents), "utf-8")
        return file

    def chat(self, model: str, inputs: Sequence[str], **more: Any) -> Path:  # noqa: ANN401 - JSON
        """Chat completions of a model."""
        asked = [{"model": model, "messages": [{"role": "user", "content": text}], **more} for text in inputs]
        return self.bodies(f"{model}{'-'.join(more)}", asked)

    def asked(self, task: str, inputs: Sequence[str]) -> Path:
        """The same for `serve_rivals.py`: prompts as the server makes them, and what ends and bounds an answer."""
        version = registry.find_version(self.workspace, task, "champion")
        recipe, form = version.lineage["recipe"], form_of(version)
        base = get_base(recipe["base_model"], self.workspace.settings, sha256=recipe["base_sha256"])
        template = ChatTemplate(base.folder, base.spec.end_of_turn)
        field = version.fields[0]
        prompts = [template.prompt_ids(trained_messages(recipe["system"], {field: t.strip()})) for t in inputs]
        asked = {
            "gguf": str(self.workspace.blobs.path(version.file_sha256, ".gguf")),
            "end_of_turn": template.end_of_turn,
            "grammar": form.grammar.text if form.grammar else "",
            "most": form.max_tokens,
            "usual": max((len(template.answer_ids(label)) for label in version.labels), default=form.max_tokens),
            "prompts": [ids for ids in prompts if len(ids) <= recipe["max_tokens"]],
        }
        file = self.folder / f"{task}.json"
        file.write_text(json.dumps(asked), "utf-8")
        return file


# ------------------------------------------------------------------ servers and load


@contextmanager
def our_server(workspace: Path) -> Iterator[Server]:
    """`inhouse serve` on a free port, until the block ends."""
    with tempfile.TemporaryFile("w+") as said:
        command = [sys.executable, "-m", "inhouse", "serve", "-w", str(workspace), "--port", "0"]
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        try:
            yield Server(process, _address(said, process))
        finally:
            process.terminate()
            process.wait()


def _address(said: Any, process: subprocess.Popen[bytes]) -> str:  # noqa: ANN401 - a text file
    for _ in range(600):
        said.seek(0)
        text = said.read()
        if "serving on " in text:
            return str(text.partition("serving on ")[2].split()[0]).removesuffix("/v1")
        if process.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit(f"the server did not start: {text}")


@contextmanager
def llama_server(asked: Path, options: Figures) -> Iterator[Server]:
    """llama.cpp's HTTP server, until the block ends."""
    command = [sys.executable, str(HERE / "serve_rivals.py"), "llama", str(asked), "0", json.dumps(options)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield Server(process, json.loads(process.stdout.readline())["url"])
        finally:
            process.kill()


@dataclass(frozen=True)
class Server:
    """A server under load."""

    process: subprocess.Popen[bytes]
    url: str

    def warm(self, path: str, bodies: Path, key: str = "") -> None:
        """A first request, for which the model is loaded, and then some seconds of others."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc)
        with bodies.open(encoding="utf-8") as lines:
            headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
            connection.request("POST", path, next(lines).strip(), headers)
        answer = connection.getresponse()
        if answer.status != 200:
            sys.exit(f"the first request to {path} was refused: {answer.read()!r}")
        connection.close()
        self.load(path, bodies, USUAL, WARM_SECONDS, key, may_be_slow=True)

    def load(
        self, path: str, bodies: Path, clients: int, seconds: float, key: str = "", *, may_be_slow: bool = False
    ) -> Figures:
        """Requests per second of so many connections, latency, and processor time of both sides.

        Args:
            may_be_slow: it is no fault that nothing is answered in that time.
        """
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:g}s", "--timeout", "120s", "-s", str(BODIES)]
        server, generator = self._cpu(), _children()
        command += [self.url + path, "--", str(bodies), *([key] if key else [])]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found: Figures = json.loads(said.splitlines()[-1])
        if found["failed"] or not (found["requests"] or may_be_slow):
            sys.exit(f"{bodies.stem} at {clients} clients: {found['requests']} answered, {found['failed']} failed")
        answered = found["requests"] or 1
        return {
            "requests_per_second": found["requests"] / found["seconds"],
            "p50_ms": found["p50_ms"],
            "p95_ms": found["p95_ms"],
            "cpu_ms_per_request": (self._cpu() - server) * 1000 / answered,
            "generator_cpu_ms_per_request": (_children() - generator) * 1000 / answered,
        }

    def _cpu(self) -> float:
        """Processor seconds of the server, and of the engines' processes."""
        server = psutil.Process(self.process.pid)
        times = [process.cpu_times() for process in (server, *server.children(recursive=True))]
        return float(sum(one.user + one.system for one in times))


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


CHAT = "/v1/chat/completions"


def rival(name: str, asked: Path, seconds: float) -> Figures:
    """What one of `serve_rivals.py` has found."""
    command = [sys.executable, str(HERE / "serve_rivals.py"), name, str(asked), f"{seconds:g}"]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: Figures = json.loads(said.splitlines()[-1])
    return found


# ------------------------------------------------------------------ parts


def throughput(bench: Bench) -> Figures:
    """All that can serve the file, in turning order, round after round."""
    rows = texts()
    bodies, asked = bench.chat("intents", rows), bench.asked("intents", rows)
    prompts = json.loads(asked.read_text("utf-8"))
    llama = [{"prompt": ids, "n_predict": prompts["most"], "grammar": prompts["grammar"]} for ids in prompts["prompts"]]
    llama_bodies = bench.bodies("llama", [one | {"temperature": 0, "cache_prompt": True} for one in llama])
    options = _tuned(bench, asked, llama_bodies)

    def ours() -> Figures:
        with our_server(HOME) as server:
            server.warm(CHAT, bodies)
            by_clients = {str(n): server.load(CHAT, bodies, n, bench.seconds) for n in CLIENTS}
            return {"clients": by_clients, "first_token_ms": first_tokens(server, rows)}

    def llama_cpp() -> Figures:
        with llama_server(asked, options) as server:
            server.warm("/completion", llama_bodies)
            return server.load("/completion", llama_bodies, USUAL, bench.seconds)

    parts: list[tuple[str, Callable[[], Figures]]] = [
        ("ours", ours),
        ("openvino_genai", lambda: rival("openvino", asked, bench.seconds)),
        ("llama_cpp", llama_cpp),
        ("transformers", lambda: rival("transformers", asked, bench.seconds)),
    ]
    found: dict[str, list[Figures]] = defaultdict(list)
    for number in range(bench.rounds):
        for name, part in parts[number % 4 :] + parts[: number % 4]:
            found[name].append(part())
            print(name, json.dumps(found[name][-1]), file=sys.stderr)
    return {name: _middle(runs) for name, runs in found.items()} | {"llama_options": options}


def _tuned(bench: Bench, asked: Path, bodies: Path) -> Figures:
    """The options with which llama.cpp was fastest, one after the other."""
    best: Figures = {name: values[0] for name, values in LLAMA.items()}

    def rate(options: Figures) -> float:
        with llama_server(asked, options) as server:
            server.warm("/completion", bodies)
            found = server.load("/completion", bodies, USUAL, min(10, bench.seconds), may_be_slow=True)
            return float(found["requests_per_second"])

    fastest = rate(best)
    for name, values in LLAMA.items():
        for value in values[1:]:
            if (found := rate(best | {name: value})) > fastest:
                best, fastest = best | {name: value}, found
            print("llama.cpp", best | {name: value}, round(found, 2), file=sys.stderr)
    return best


def first_tokens(server: Server, inputs: Sequence[str]) -> float:
    """Milliseconds from a streamed request to its first event, with one client; the median."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc)
    found = []
    for text in inputs[:FIRST_TOKENS]:
        asked = {"model": "intents", "messages": [{"role": "user", "content": text}], "stream": True}
        begun = time.perf_counter()
        connection.request("POST", CHAT, json.dumps(asked), {"content-type": "application/json"})
        answer = connection.getresponse()
        while not answer.readline().startswith(b"data:"):
            pass
        found.append((time.perf_counter() - begun) * 1000)
        answer.read()
    connection.close()
    return median(found)


def classifier_heads(bench: Bench) -> Figures:
    """Each head of the same labels, at 32 clients."""
    versions = heads(bench.workspace)
    bodies = {name: bench.chat(versions[name].name, texts()) for name in HEADS}
    found: dict[str, list[Figures]] = defaultdict(list)
    with our_server(HOME) as server:
        for body in bodies.values():
            server.warm(CHAT, body)
        for number in range(bench.rounds):
            for name in HEADS[number % 3 :] + HEADS[: number % 3]:
                found[name].append(server.load(CHAT, bodies[name], USUAL, bench.seconds))
    return {name: _middle(runs) for name, runs in found.items()}


def constraints(bench: Bench) -> Figures:
    """What holding answers to labels, and to a schema, costs."""
    asked = {"labels": bench.asked("intents", texts()), "schema": bench.asked("receipts", receipts())}
    return {name: rival("constraint", file, bench.seconds) for name, file in asked.items()}


def access(bench: Bench) -> Figures:
    """With a key in force and the metrics read every second, and without, in the order A B B A."""
    with tempfile.TemporaryDirectory(dir=HOME.parent) as name:
        locked = Path(name) / "workspace"
        shutil.copytree(HOME, locked, copy_function=_linked)
        _, secret = keys.create(inhouse.open_workspace(locked), "bench", scopes=("infer", "admin"))
        bodies = bench.chat("intents", texts())
        found: dict[str, list[float]] = {"open": [], "keys": []}
        with our_server(HOME) as plain, our_server(locked) as closed:
            for server, key in ((plain, ""), (closed, secret)):
                server.warm(CHAT, bodies, key)
            for which in ("open", "keys", "keys", "open"):
                server, key = (closed, secret) if which == "keys" else (plain, "")
                with _scraped(server, key) if key else _nothing():
                    found[which].append(server.load(CHAT, bodies, USUAL, bench.seconds, key)["requests_per_second"])
    without, with_keys = (sum(found[which]) / 2 for which in ("open", "keys"))
    return {"open": without, "with_keys_and_metrics": with_keys, "cost": 1 - with_keys / without}


def _linked(source: str, target: str) -> None:
    """A blob is never written again, so it can be the same file; the database cannot."""
    if "/blobs/" in source:
        os.link(source, target)
    else:
        shutil.copy2(source, target)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _scraped(server: Server, key: str) -> Iterator[None]:
    """`/metrics` is read every second, as Prometheus would at its busiest."""
    script = 'while :; do curl -s -o /dev/null -H "Authorization: Bearer $0" $1/metrics; sleep 1; done'
    process = subprocess.Popen(["sh", "-c", script, key, server.url])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def traces(bench: Bench) -> Figures:
    """What keeping a Trace takes, in groups of 32 as 32 clients make them: processor time, and time until committed."""
    groups = 50
    with tempfile.TemporaryDirectory(dir=HOME.parent) as name:
        workspace = inhouse.open_workspace(Path(name))
        inhouse.init(workspace, "intents")
        writer, begun, cpu = TraceWriter(workspace), time.perf_counter(), time.process_time()
        for group in range(groups):
            for kept in [writer.add(_trace(f"{group}-{i}")) for i in range(USUAL)]:
                kept.result()
        wait, used = time.perf_counter() - begun, time.process_time() - cpu
        writer.close()
        workspace.close()
    return {"cpu_ms_per_trace": used * 1000 / groups / USUAL, "ms_until_a_group_is_committed": wait * 1000 / groups}


def _trace(name: str) -> Trace:
    return Trace(
        id=name,
        task="intents",
        model_version="intents@1",
        inputs={"text": "How do I locate my card?"},
        output="card_linking",
        confidence=0.9,
        needs_review=False,
        latency_ms=100.0,
        prompt_tokens=21,
        answer_tokens=5,
        created_at=now(),
    )


def _middle(runs: Sequence[Any]) -> Any:  # noqa: ANN401 - whatever shape it has
    """The medians of figures that have the same shape."""
    if isinstance(runs[0], dict):
        return {name: _middle([run[name] for run in runs]) for name in runs[0]}
    return median(runs)


PARTS: dict[str, Callable[[Bench], Figures]] = {
    "throughput": throughput,
    "heads": classifier_heads,
    "constraints": constraints,
    "access": access,
    "traces": traces,
}


def results(bench: Bench, found: Figures) -> Figures:
    """All parts under the contract; ratios are at 32 clients."""
    main, trace = found["throughput"], found["traces"]
    ours, raw = main["ours"], main["openvino_genai"]
    at = {n: figures["requests_per_second"] for n, figures in ours["clients"].items()}
    usual = ours["clients"][str(USUAL)]
    others = {name: main[name]["requests_per_second"] for name in ("openvino_genai", "llama_cpp", "transformers")}
    waits = trace["ms_until_a_group_is_committed"] / usual["p50_ms"]
    return {
        "inhouse": inhouse.__version__,
        "seconds": bench.seconds,
        "rounds": bench.rounds,
        "requests_per_second": {"ours": at, **others, "openvino_genai_all_at_once": raw["all_at_once"]},
        "ratio_to_raw": at[str(USUAL)] / others["openvino_genai"],
        "ratio_to_llama_cpp": at[str(USUAL)] / others["llama_cpp"],
        "time_to_first_token_ms": {"ours": ours["first_token_ms"], "raw": raw["first_token_ms"]},
        "classifier_requests_per_second": found["heads"][HEADS[0]]["requests_per_second"],
        "cpu_ms_per_request": usual["cpu_ms_per_request"],
        "cpu_ms_per_request_of_others": {name: main[name]["cpu_ms_per_request"] for name in others},
        "latency_ms": {n: {p: f[f"{p}_ms"] for p in ("p50", "p95")} for n, f in ours["clients"].items()},
        "generator_cpu_ms_per_request": usual["generator_cpu_ms_per_request"],
        "heads": found["heads"],
        "constraints": found["constraints"],
        "access": found["access"],
        "traces": {**trace, "share_of_an_answer": waits},
        "llama_options": main["llama_options"],
        "machine": machine(),
    }


def main() -> None:
    """Measure, print, write."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seconds", type=float, default=60.0, help="of each measurement")
    asked.add_argument("--rounds", type=int, default=3, help="through all of them")
    asked.add_argument("--only", nargs="+", choices=PARTS, help="parts to measure and print; nothing is written")
    given = asked.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not here: apt-get install wrk")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(prepared(), Path(folder), given.seconds, given.rounds)
        found = {name: PARTS[name](bench) for name in given.only or PARTS}
        if given.only:
            print(json.dumps(found, indent=1))
        else:
            report("serve", results(bench, found))


if __name__ == "__main__":
    main()
