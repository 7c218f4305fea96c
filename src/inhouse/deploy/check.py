"""Does the model answer here as it did in inhouse? Run it where the model was taken to:

    python check.py                                   in the program that this folder is for, on this machine
    python check.py --url http://127.0.0.1:8000/v1    behind a server in OpenAI's shape; --model NAME is its name there

It asks the inputs of check.json and counts the same answers. Exit code 0: at least nine in ten; 1: fewer; 2: it could
not ask. Written by `inhouse export`; needs no inhouse, and for a server nothing but Python. A key is taken from the
environment variable OPENAI_API_KEY.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ENOUGH = 0.9
CASES = "check.json"
_SECONDS = 120
_HERE = ("localhost", "127.0.0.1", "::1")

# Something that answers one case of check.json.
Ask = Callable[[dict[str, Any]], str]


class CannotAsk(Exception):
    """The model cannot be asked, and why."""


def compare(told: dict[str, Any], ask: Ask) -> list[tuple[dict[str, Any], str]]:
    """The cases that were answered otherwise, each with that answer."""
    found = [(case, ask(case)) for case in told["cases"]]
    return [(case, answer) for case, answer in found if _text(answer) != _text(case["answer"])]


def _text(answer: str) -> str:
    """Bytes that are no whole letter are marked by some programs, and left out by others."""
    return answer.replace("\ufffd", "").strip()


# ---------------------------------------------------------------------- behind a server


def by_url(told: dict[str, Any], url: str, model: str) -> Ask:
    """Asks a server in OpenAI's shape.

    Raises (when asked):
        CannotAsk: it refuses, or does not answer.
    """
    # A proxy would carry what is meant for this machine out of it.
    handlers = [urllib.request.ProxyHandler({})] if urlsplit(url).hostname in _HERE else []
    opener = urllib.request.build_opener(*handlers)
    headers = {
        "content-type": "application/json",
        "authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', 'none')}",
    }

    def ask(case: dict[str, Any]) -> str:
        body = {"model": model, "messages": case["messages"], "temperature": 0, "max_tokens": told["most"]}
        request = urllib.request.Request(f"{url.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers)
        try:
            with opener.open(request, timeout=_SECONDS) as reply:
                answer = json.load(reply)
            return str(answer["choices"][0]["message"]["content"] or "")
        except urllib.error.HTTPError as error:
            raise CannotAsk(f"{url} refused: {error.code} {error.read()[:300].decode(errors='replace')}") from None
        except (OSError, ValueError) as error:
            raise CannotAsk(f"{url} does not answer: {error}") from None
        except (KeyError, IndexError, TypeError):
            raise CannotAsk(f"{url} answers, but not in OpenAI's shape") from None

    return ask


# ---------------------------------------------------------------------- in the program on this machine


def _gguf(folder: Path, told: dict[str, Any]) -> Ask:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(folder / "model.gguf")
    params.n_ctx, params.n_parallel = told["context"], 1
    params.verbosity, params.ui = -1, False
    server = xllamacpp.Server(params)  # on a free port of this machine
    asked = by_url(told, f"{server.listening_address}/v1", "model.gguf")

    def ask(case: dict[str, Any], _held: object = server) -> str:
        return asked(case)

    return ask


def _openvino(folder: Path, told: dict[str, Any]) -> Ask:
    if "labels" in told:
        return _classifier(folder)
    import openvino_genai

    pipeline = openvino_genai.LLMPipeline(str(folder), "CPU", **told["properties"])
    config = pipeline.get_generation_config()
    config.max_new_tokens, config.do_sample = told["most"], False
    config.eos_token_id, config.stop_token_ids = told["end"], {told["end"]}

    def ask(case: dict[str, Any]) -> str:
        return str(pipeline.generate(openvino_genai.ChatHistory(case["messages"]), config).texts[0])

    return ask


def _classifier(folder: Path) -> Ask:
    sys.path.insert(0, str(folder))
    classifier = import_module("classify").Classifier(folder)  # it lies beside this file
    return lambda case: classifier([case["text"]])[0][0]


def _transformers(folder: Path, told: dict[str, Any]) -> Ask:
    """The merged weights, or the adapter on its base."""
    import torch
    import transformers

    adapter = folder / "adapter_config.json"
    weights = json.loads(adapter.read_text("utf-8"))["base_model_name_or_path"] if adapter.is_file() else str(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(weights, dtype=torch.float32)
    if adapter.is_file():
        import peft

        model = peft.PeftModel.from_pretrained(model, str(folder))
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))

    def ask(case: dict[str, Any]) -> str:
        ids = tokenizer.apply_chat_template(
            case["messages"], add_generation_prompt=True, return_tensors="pt", return_dict=False
        )
        end = told["end"]
        wishes = {"max_new_tokens": told["most"], "do_sample": False, "eos_token_id": end, "pad_token_id": end}
        out = model.generate(ids, attention_mask=torch.ones_like(ids), **wishes)[0, ids.shape[1] :].tolist()
        return str(tokenizer.decode([token for token in out if token != end], skip_special_tokens=False))

    return ask


_LOCAL: dict[str, Callable[[Path, dict[str, Any]], Ask]] = {
    "gguf": _gguf,
    "openvino": _openvino,
    "adapter": _transformers,
    "merged": _transformers,
}
# Programs that are servers themselves, where they usually are.
_SERVERS = {"ollama": "http://127.0.0.1:11434/v1", "vllm": "http://127.0.0.1:8000/v1"}


def local(folder: Path, told: dict[str, Any]) -> Ask:
    """Asks the files of a folder in the program that they are for.

    Raises:
        CannotAsk: the program is not here, or cannot read them.
    """
    try:
        return _LOCAL[told["to"]](folder, told)
    except ImportError as error:
        raise CannotAsk(f"{error.name} is not installed here; or ask a server, with --url") from None
    except Exception as error:  # noqa: BLE001 - whatever the program says
        raise CannotAsk(f"the program cannot read the folder: {error}") from None


def _ask_of(folder: Path, told: dict[str, Any], url: str, model: str) -> Ask:
    if told["to"] in _SERVERS or url:
        if "labels" in told:
            raise CannotAsk("a fine-tuned encoder is asked in this folder: leave out --url")
        return by_url(told, url or _SERVERS[told["to"]], model or told["model"])
    return local(folder, told)


def main(arguments: list[str] | None = None, folder: Path = Path(__file__).parent) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(description="Does the model answer here as it did in inhouse?")
    parser.add_argument("--url", default="", help="of a server in OpenAI's shape, with its /v1")
    parser.add_argument("--model", default="", help="the model's name there")
    parser.add_argument("--at-least", type=float, default=ENOUGH, metavar="SHARE", help="0 to 1; default %(default)s")
    wanted = parser.parse_args(arguments)
    try:
        told = json.loads((folder / CASES).read_text("utf-8"))
        if not told["cases"]:
            raise CannotAsk(f"{CASES} holds no input")
        other = compare(told, _ask_of(folder, told, wanted.url, wanted.model))
    except (CannotAsk, OSError) as error:
        print(f"could not ask: {error}", file=sys.stderr)
        return 2
    count = len(told["cases"])
    for case, answer in other:
        print(f"here {answer.strip()!r}\n  in inhouse {case['answer']!r}")
    print(f"{count - len(other)} of {count} answers are the same as in inhouse")
    return 0 if count - len(other) >= wanted.at_least * count else 1


if __name__ == "__main__":
    sys.exit(main())
