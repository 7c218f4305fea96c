"""A small server in vLLM's shape, as its OpenAI-compatible address is: a base, adapters that are loaded from folders, and
completions of token ids, computed by an engine of ours. It is no vLLM: what that computes on a GPU, it does not tell."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from inhouse.engine import Base
from inhouse.engine.gguf_file import write_gguf
from inhouse.engine.lora import merged_weights, read_adapter
from inhouse.engine.openvino_engine import OpenVinoEngine
from inhouse.engine.protocol import Grammar, Sampling

BASE = "org/tiny"


@dataclass
class Vllm:
    """What the server holds, and what it was asked; `change` alters every event that it sends."""

    base: Base
    end: int
    url: str = ""
    engines: dict[str, OpenVinoEngine] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    updating: bool = True
    sent: int = 0  # pieces of answers
    failing: int = 0  # the next requests that end with 503
    change: Callable[[dict[str, Any]], dict[str, Any]] = dict
    lock: Any = field(default_factory=threading.Lock)

    def load(self, name: str, path: str) -> tuple[int, str]:
        """`/v1/load_lora_adapter`."""
        with self.lock:
            if name in self.engines:
                return 400, f"The lora adapter '{name}' has already been loaded."
            folder = Path(path)
            if not (folder / "adapter_config.json").is_file():
                return 404, f"No adapter found for {name}"
            config = json.loads((folder / "adapter_config.json").read_text())
            state = read_adapter(folder / "adapter_model.safetensors")
            weights = merged_weights(
                self.base.folder / "model.safetensors", state, rank=config["r"], alpha=config["lora_alpha"]
            )
            self.engines[name] = self._open(weights)
            self.paths[name] = path
            return 200, f"Success: LoRA adapter '{name}' added successfully."

    def _open(self, weights: Any) -> OpenVinoEngine:
        file = Path(mkdtemp()) / "model.gguf"
        write_gguf(self.base.gguf, weights, file)
        return OpenVinoEngine(file, self.end, threads=1, exact=True)

    def unload(self, name: str) -> tuple[int, str]:
        """`/v1/unload_lora_adapter`."""
        with self.lock:
            engine = self.engines.pop(name, None)
        if engine is None:
            return 404, "no such adapter"
        engine.close()
        return 200, "Success"

    def events(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """`/v1/completions`, as a stream."""
        assert body["stream"]
        assert body["return_token_ids"]
        assert body["stop_token_ids"] == [self.end]
        constraint, sampling = body.get("structured_outputs"), None
        if body["temperature"]:
            sampling = Sampling(body["temperature"], body["top_p"], body["seed"])
        sent = 0
        for part in self.engines[body["model"]].stream(
            body["prompt"],
            max_new_tokens=body["max_tokens"],
            grammar=Grammar(constraint["grammar"]) if constraint else None,
            sampling=sampling,
        ):
            ids, logprobs = part.ids[sent:], part.logprobs[sent:]
            sent = len(part.ids)
            ended = "stop" if part.finished else "length" if sent >= body["max_tokens"] else None
            choice = {
                "index": 0,
                "text": "",
                "token_ids": ids,
                "finish_reason": ended,
                "logprobs": {"token_logprobs": list(logprobs), "tokens": [], "top_logprobs": [], "text_offset": []},
            }
            told = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": body["model"]}
            yield self.change({**told, "choices": [choice]})


@contextmanager
def vllm_server(base: Base, end: int) -> Iterator[Vllm]:
    """The server on a free port."""
    state = Vllm(base, end)
    state.engines[BASE] = OpenVinoEngine(base.gguf, end, threads=1, exact=True)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._whole(200, {"object": "list", "data": [{"id": one, "object": "model"} for one in state.engines]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            path = self.path.removeprefix("/v1/")
            state.asked.append((path, body))
            if state.failing:
                state.failing -= 1
                self._whole(503, {"error": {"message": "busy"}})
            elif path == "completions":
                self._complete(body)
            elif not state.updating:
                self._whole(404, {"detail": "Not Found"})
            elif path == "load_lora_adapter":
                self._whole(*state.load(body["lora_name"], body["lora_path"]))
            else:
                self._whole(*state.unload(body["lora_name"]))

        def _complete(self, body: dict[str, Any]) -> None:
            if body["model"] not in state.engines:
                self._whole(404, {"error": {"message": f"The model `{body['model']}` does not exist."}})
                return
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            try:
                for event in state.events(body):
                    self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
                    self.wfile.flush()
                    state.sent += 1
                self.wfile.write(b"data: [DONE]\n\n")
            except OSError:  # the client left
                state.asked.append(("left", body))

        def _whole(self, status: int, answer: Any) -> None:
            if isinstance(answer, str) and status != 200:
                answer = {"error": {"message": answer, "type": "InvalidUserInput", "code": status}}
            data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "text/plain" if isinstance(answer, str) else "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield state
    server.shutdown()
    server.server_close()
    for engine in state.engines.values():
        engine.close()
