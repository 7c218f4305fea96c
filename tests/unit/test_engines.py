"""The local engines side by side on one tiny model, how one is chosen, and remote models behind real servers."""

from __future__ import annotations

import io
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager, redirect_stderr
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import gguf
import numpy as np
import pytest
import torch
from conftest import THREADS, write_tiny_gguf

from inhouse.engine import get_base, served_file
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.choice import (
    ENGINES,
    capabilities,
    choose_engine,
    gguf_architecture,
    gguf_quantizations,
    open_engine,
)
from inhouse.engine.gguf_fields import read_fields
from inhouse.engine.protocol import Grammar
from inhouse.engine.quiet import settle_transformers
from inhouse.engine.remote_engine import AT_ONCE, PATIENCE, RemoteAnswer, RemoteEngine, open_remote
from inhouse.engine.xllamacpp_engine import XLlamaCppEngine
from inhouse.errors import ConfigError, EngineFault, InputError, ModelUnavailable, OutboundForbidden
from inhouse.store import Settings, load_settings

LOCAL = ["openvino-genai", "xllamacpp"]
# The last two hold characters that take several tokens, the first of which are no characters.
LABELS = ["card_arrival", "card", "change_pin", "größe", 'a "q" \\ é 🙂']
# A prefix tree, as a grammar must be written for xgrammar.
LABELS_GRAMMAR = Grammar(
    'root ::= "ca" a | "g" "r" "ö" "ß" "e"\n'.replace('"ca" a', '"c" a | "a \\"q\\" \\\\ é 🙂"')
    + 'a ::= "ard" b | "hange_pin"\nb ::= "" | "_arrival"',
    tuple(LABELS),
)
KEY = "sk-very-secret-0123"
HELLO = [{"role": "user", "content": "where is my card"}]


@pytest.fixture(scope="module")
def template(tiny_base):
    return ChatTemplate(tiny_base.folder)


@pytest.fixture(scope="module")
def prompts(template):
    return [
        template.prompt_ids([{"role": "user", "content": f"card number {n} is gone{' again' * (n % 5)}"}])
        for n in range(24)
    ]


@pytest.fixture(scope="module")
def engines(tiny_base, template):
    opened = {
        name: open_engine(name, tiny_base.gguf, template.end_of_turn, threads=THREADS, exact=True) for name in ENGINES
    }
    yield opened
    for engine in opened.values():
        engine.close()


@pytest.fixture
def own_engine(tiny_base, template):
    engine = XLlamaCppEngine(tiny_base.gguf, template.end_of_turn, threads=THREADS, exact=True)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def float_gguf(tiny_gguf, tmp_path_factory):
    """The tiny model with its matrices in float32."""
    reader = gguf.GGUFReader(tiny_gguf)
    path = tmp_path_factory.mktemp("float") / "float.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_file_type(0)
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key not in ("general.architecture", "general.file_type"):
            inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(key, field.contents(), field.types[0], sub_type=inner)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, gguf.quants.dequantize(tensor.data, tensor.tensor_type))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def reference(tiny_base):
    """The log-probabilities that torch gives to every token at each place of an answer.

    From the GGUF file's own weights: the converted base rounds them to bfloat16, which moves these by up to 0.05.
    """
    settle_transformers()
    from transformers import AutoModelForCausalLM

    with redirect_stderr(io.StringIO()):
        model = AutoModelForCausalLM.from_pretrained(tiny_base.folder, gguf_file="base.gguf", dtype=torch.float32)

    def logprobs(prompt, answer):
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([[*prompt, *answer]])).logits[0].float()
        return torch.log_softmax(logits[len(prompt) - 1 : len(prompt) + len(answer) - 1], -1).numpy()

    return logprobs


# ---------------------------------------------------------------------- the local engines


# How far a log-probability may be from torch's. llama.cpp multiplies 8-bit weights with inputs that it rounds to 8 bits
# as well, which shows on a model of noise; with float32 weights it does not. openvino-genai keeps keys and values in
# float16 when it is exact.
BOUNDS = {"openvino-genai": 0.005, "xllamacpp": 0.25, "xllamacpp, float32": 0.002}


@pytest.fixture(scope="module", params=BOUNDS)
def bounded(request, engines, float_gguf):
    """An engine and its bound."""
    name = request.param
    own = XLlamaCppEngine(float_gguf, 2, threads=THREADS, exact=True) if name not in engines else None
    yield own or engines[name], BOUNDS[name]
    if own is not None:
        own.close()


def test_free_answers_are_those_of_torch_unless_tied(bounded, reference, prompts):
    """Every token of every answer, those within a character included, is torch's best to within the bound."""
    engine, bound = bounded
    answers = engine.generate(prompts, max_new_tokens=24)
    for prompt, answer in zip(prompts, answers, strict=True):
        table = reference(prompt, answer.ids)
        chosen = table[np.arange(len(answer.ids)), answer.ids]
        assert (table.max(1) - chosen).max() < bound, answer
        assert answer.logprob == pytest.approx(chosen.sum(), abs=bound * len(answer.ids) ** 0.5)
        assert len(answer.ids) == 24 or answer.ids[-1] in (0, 2)
        assert answer.finished == (answer.ids[-1] == 2)


def test_the_best_next_token_is_that_of_torch(bounded, reference, prompts):
    engine, bound = bounded
    top, logprobs = engine.next_tokens(prompts)
    tables = [reference(prompt, [0])[0] for prompt in prompts]
    assert all(table.max() - table[token] < bound for table, token in zip(tables, top, strict=True))
    assert np.abs([table.max() for table in tables] - np.array(logprobs)).mean() < bound / 3
    assert len(set(top)) > 1


@pytest.mark.parametrize("name", LOCAL)
def test_a_grammar_keeps_every_engine_to_the_labels(engines, reference, template, prompts, name):
    for answer, prompt in zip(
        engines[name].generate(prompts, max_new_tokens=60, grammar=LABELS_GRAMMAR), prompts, strict=True
    ):
        assert template.decode(answer.ids) in LABELS
        assert answer.finished
        chosen = reference(prompt, answer.ids)[np.arange(len(answer.ids)), answer.ids]
        assert answer.logprob == pytest.approx(
            chosen.sum(), abs=0.05 * len(answer.ids)
        )  # the model's, not the grammar's


@pytest.mark.parametrize("label", LABELS)
def test_each_label_can_be_answered_with_torchs_probability(engines, reference, template, prompts, label):
    grammar = Grammar(f"root ::= {json.dumps(label, ensure_ascii=False)}", (label,))
    (answer,) = engines["xllamacpp"].generate(prompts[:1], max_new_tokens=60, grammar=grammar)
    assert template.decode(answer.ids) == label
    assert answer.finished
    chosen = reference(prompts[0], answer.ids)[np.arange(len(answer.ids)), answer.ids]
    assert answer.logprob == pytest.approx(chosen.sum(), abs=0.05 * len(answer.ids))


def test_the_engines_agree_on_labels(engines, template, prompts):
    one, other = (
        [template.decode(a.ids) for a in engines[name].generate(prompts, max_new_tokens=60, grammar=LABELS_GRAMMAR)]
        for name in LOCAL
    )
    assert np.mean([a == b for a, b in zip(one, other, strict=True)]) >= 0.9


@pytest.mark.parametrize("grammar", [None, LABELS_GRAMMAR])
def test_a_stream_grows_to_the_same_answer(own_engine, prompts, grammar):
    for prompt in prompts[:6]:
        (whole,) = own_engine.generate([prompt], max_new_tokens=24, grammar=grammar)
        parts = list(own_engine.stream(prompt, max_new_tokens=24, grammar=grammar))
        assert parts[-1].ids == whole.ids
        assert parts[-1].logprob == pytest.approx(whole.logprob, abs=1e-2)
        lengths = [len(part.ids) for part in parts]
        assert lengths == sorted(set(lengths))
        assert len(parts) > 1
        assert all(part.ids == whole.ids[: len(part.ids)] for part in parts)
        (alone,) = own_engine.stream(prompt, max_new_tokens=24, grammar=grammar, every_token=False)
        assert alone.ids == whole.ids


def test_streams_at_the_same_time_do_not_mix(own_engine, prompts):
    alone = own_engine.generate(prompts, max_new_tokens=12, grammar=LABELS_GRAMMAR)
    together = [None] * len(prompts)

    def ask(n):
        together[n] = list(own_engine.stream(prompts[n], max_new_tokens=12, grammar=LABELS_GRAMMAR))[-1]

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(len(prompts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [a.ids for a in together] == [a.ids for a in alone]


def test_closing_ends_the_requests_under_way(own_engine, prompts):
    told, begun = [], threading.Barrier(4)
    forever = Grammar('root ::= "a" root')

    def ask():
        try:
            for n, _ in enumerate(own_engine.stream(prompts[0], max_new_tokens=900, grammar=forever)):
                if n == 0:
                    begun.wait(30)
        except EngineFault as error:
            told.append(str(error))

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    begun.wait(30)
    own_engine.close()
    for thread in threads:
        thread.join(20)
    assert told == ["the engine was closed during the request"] * 3
    for call in (
        lambda: next(own_engine.stream(prompts[0], max_new_tokens=5)),
        lambda: own_engine.next_tokens(prompts[:1]),
        lambda: own_engine.generate(prompts[:1], max_new_tokens=5),
    ):
        with pytest.raises(EngineFault, match="the engine is closed"):
            call()


def test_whatever_breaks_in_the_thread_of_a_stream_reaches_the_one_who_waits(own_engine, prompts, monkeypatch):
    class AtOnce:
        """A thread that has done its work when it is started, so that nothing needs to be waited for."""

        def __init__(self, target, **_):
            self.start = target

    def broken(*_):
        raise ValueError("an odd chunk")

    threads = SimpleNamespace(Thread=AtOnce, Event=threading.Event)
    monkeypatch.setattr("inhouse.engine.xllamacpp_engine.threading", threads)
    monkeypatch.setattr(own_engine, "_complete", broken)
    with pytest.raises(EngineFault, match="the engine failed on a request: an odd chunk") as caught:
        list(own_engine.stream(prompts[0], max_new_tokens=3))
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_request_that_nobody_waits_for_is_dropped(own_engine, prompts):
    answer = own_engine.stream(prompts[0], max_new_tokens=900, grammar=Grammar('root ::= "a" root'))
    next(answer)
    answer.close()
    until = time.monotonic() + 20
    while own_engine._under_way and time.monotonic() < until:
        time.sleep(0.005)
    assert own_engine._under_way == 0
    assert own_engine.generate(prompts[:1], max_new_tokens=60, grammar=LABELS_GRAMMAR)[0].finished


def test_a_prompt_that_does_not_fit_is_refused_and_the_longest_that_does_is_answered(own_engine, prompts):
    for call in (
        lambda: own_engine.generate([prompts[0], [5] * 1024], max_new_tokens=1),
        lambda: own_engine.next_tokens([[5] * 1024]),
        lambda: next(own_engine.stream([5] * 1024, max_new_tokens=1)),
        lambda: own_engine.generate([[5] * 9000], max_new_tokens=1),
    ):
        with pytest.raises(InputError, match="does not fit into the context of 1024"):
            call()
    (answer,) = own_engine.generate([[5] * 1020], max_new_tokens=50)
    assert len(answer.ids) == 4
    assert not answer.finished
    with pytest.raises(InputError, match="without tokens"):
        own_engine.generate([[]], max_new_tokens=1)


def test_what_llamacpp_refuses_is_a_fault_not_an_answer(own_engine, prompts):
    with pytest.raises(EngineFault, match="refused a request"):
        own_engine.generate([[999_999]], max_new_tokens=1)
    with pytest.raises(EngineFault, match="grammar"):
        list(own_engine.stream(prompts[0], max_new_tokens=1, grammar=Grammar('root ::= "a')))
    assert own_engine.generate(prompts[:1], max_new_tokens=2)[0].ids


def test_progress_counts_to_the_end(own_engine, prompts):
    seen = []
    own_engine.generate(prompts, max_new_tokens=2, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == len(prompts)
    assert len(seen) > 1
    assert own_engine.generate([], max_new_tokens=2) == []


def test_a_token_that_llamacpp_takes_for_no_end_is_refused(tiny_base):
    with pytest.raises(ModelUnavailable, match="does not take token 60") as caught:
        XLlamaCppEngine(tiny_base.gguf, 60)
    assert "eos_token_id" in caught.value.remedy


def test_only_the_end_of_turn_ends_an_answer(tiny_base, prompts):
    """llama.cpp also knows `<|endoftext|>` (0) as an end; either, asked for, is the only one under a grammar."""
    for end in (0, 2):
        engine = XLlamaCppEngine(tiny_base.gguf, end, exact=True)
        answers = engine.generate(prompts, max_new_tokens=60, grammar=LABELS_GRAMMAR)
        engine.close()
        assert {answer.ids[-1] for answer in answers} == {end}


@pytest.mark.parametrize("content", [b"GGUF" + b"\0" * 64, b"not a model", b""])
def test_a_file_that_is_no_model_is_refused(tmp_path, content):
    file = tmp_path / "broken.gguf"
    file.write_bytes(content)
    with pytest.raises(ModelUnavailable):
        XLlamaCppEngine(file, 2)


def test_a_file_that_was_cut_off_is_refused(tiny_base, tmp_path):
    whole = tiny_base.gguf.read_bytes()
    for length in (40, 2000, len(whole) - 5000):
        file = tmp_path / f"{length}.gguf"
        file.write_bytes(whole[:length])
        with pytest.raises(ModelUnavailable):
            XLlamaCppEngine(file, 2)


# ---------------------------------------------------------------------- in one process


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("order", [["torch", *LOCAL], [*reversed(LOCAL), "torch"]])
def test_all_engines_load_in_one_process_and_say_nothing(tiny_base, order):
    code = f"""
from pathlib import Path
from inhouse.engine.choice import open_engine
folder, gguf = Path({str(tiny_base.folder)!r}), Path({str(tiny_base.gguf)!r})
opened = []
for name in {order!r}:
    if name == "torch":
        from inhouse.engine.torch_model import load_model
        import torch
        model = load_model(folder, "float32")
    else:
        opened.append(open_engine(name, gguf, 2, threads=1, exact=True))
tops = [engine.next_tokens([[1, 60, 61, 62]])[0][0] for engine in opened]
tops.append(int(model(input_ids=torch.tensor([[1, 60, 61, 62]])).logits[0, -1].argmax()))
for engine in opened:
    list(engine.stream([1, 60, 61, 62], max_new_tokens=5))
    engine.close()
print(tops)
"""
    done = _python(code)
    assert done.returncode == 0, done.stderr
    tops = json.loads(done.stdout)  # nothing else is on standard output
    assert len(tops) == 3
    assert len(set(tops)) == 1
    assert done.stderr == ""


def test_no_port_of_the_network_is_opened_and_nothing_is_left_behind(tiny_base, tmp_path):
    code = f"""
import psutil, tempfile
from pathlib import Path
from inhouse.engine.xllamacpp_engine import XLlamaCppEngine
tempfile.tempdir = {str(tmp_path)!r}
engine = XLlamaCppEngine(Path({str(tiny_base.gguf)!r}), 2)
print(len(list(Path({str(tmp_path)!r}).iterdir())), len(psutil.Process().net_connections("inet")))
engine.close()
"""
    done = _python(code)
    assert done.stdout.split() == ["1", "0"], done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("own", [None, "7"])
def test_threads_that_compute_wait_a_short_while_for_each_other_unless_the_user_says_otherwise(own):
    code = "import os, sys, inhouse; print(os.environ['GOMP_SPINCOUNT'], 'torch' in sys.modules)"
    env = {k: v for k, v in os.environ.items() if k != "GOMP_SPINCOUNT"} | (
        {} if own is None else {"GOMP_SPINCOUNT": own}
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.split() == [own or "1000", "False"]


# ---------------------------------------------------------------------- choosing


def test_the_first_engine_that_can_is_chosen():
    assert choose_engine("auto", "llama") == "openvino-genai"
    assert choose_engine("auto", "gemma3") == "xllamacpp"
    assert choose_engine("xllamacpp", "llama") == "xllamacpp"
    assert choose_engine("auto", "llama", {"Q8_0", "Q5_K"}) == "xllamacpp"


@pytest.mark.parametrize(
    ("wanted", "architecture", "quantizations", "said", "remedy"),
    [
        ("auto", "rwkv7", (), "no engine here can serve .* 'rwkv7'", "llama, .*qwen2"),
        ("openvino-genai", "gemma3", (), "openvino-genai cannot serve .* 'gemma3'", 'engine = "xllamacpp"'),
        ("openvino-genai", "llama", ("Q5_0",), "'llama' with weights in Q5_0", 'engine = "xllamacpp"'),
        ("xllamacpp", "rwkv7", (), "xllamacpp cannot serve", "take a base model"),
    ],
)
def test_what_cannot_be_served_is_refused_with_a_remedy(wanted, architecture, quantizations, said, remedy):
    with pytest.raises(ModelUnavailable, match=said) as caught:
        choose_engine(wanted, architecture, quantizations)
    import re

    assert re.search(remedy, caught.value.remedy)


def test_every_engine_of_the_table_can_be_opened_and_the_other_way_round():
    assert list(capabilities()) == list(ENGINES)


def test_a_base_is_served_from_a_copy_where_the_engine_misreads_its_number_format(tmp_path, tiny_base):
    base = get_base(str(write_tiny_gguf(tmp_path / "q4.gguf", "Q4_1")), Settings(models_dir=tmp_path / "models"))
    assert served_file(base, "xllamacpp") == base.gguf
    copy = served_file(base, "openvino-genai")
    assert gguf_quantizations(copy) == {"Q8_0"}
    published, served = (
        {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(file).tensors}
        for file in (base.gguf, copy)
    )
    assert published.keys() == served.keys()
    for name, weight in published.items():  # bfloat16 first, then steps of a 127th of a block's largest weight
        assert np.abs(served[name] - weight).max() <= np.abs(weight).max() / 100
    written = copy.stat().st_mtime_ns
    assert served_file(base, "openvino-genai").stat().st_mtime_ns == written
    assert served_file(tiny_base, "openvino-genai") == tiny_base.gguf


def test_a_file_says_what_it_is(tiny_gguf, tmp_path):
    assert gguf_architecture(tiny_gguf) == "llama"
    assert gguf_quantizations(tiny_gguf) == {"Q8_0"}
    fields, library = read_fields(tiny_gguf), gguf.GGUFReader(tiny_gguf).fields
    short = {k: v for k, v in library.items() if not k.startswith("GGUF.") and not isinstance(v.contents(), list)}
    assert fields == {k: v.contents() for k, v in short.items()} | {
        k: v.contents() for k, v in library.items() if k == "tokenizer.ggml.token_type"
    }
    for content in (b"", b"GGUF", b"PK\3\4" + b"\0" * 90, b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 62)):
        (tmp_path / "x.gguf").write_bytes(content)
        with pytest.raises(ModelUnavailable, match=r"x\.gguf is not a whole GGUF file"):
            gguf_architecture(tmp_path / "x.gguf")


def test_llamacpp_knows_every_architecture_of_the_table(tmp_path):
    """A file of nothing but its architecture's name: an unknown one is refused by that name, a known one later."""
    code = f"""
import gguf, xllamacpp
from inhouse.engine.choice import capabilities
for name in [*sorted(capabilities()["xllamacpp"].architectures), "nonsense"]:
    file = {str(tmp_path)!r} + "/" + name + ".gguf"
    writer = gguf.GGUFWriter(file, name)
    writer.add_name(name)
    writer.write_header_to_file(); writer.write_kv_data_to_file(); writer.write_tensors_to_file(); writer.close()
    params = xllamacpp.CommonParams()
    params.model.path, params.verbosity, params.fit_params = file, 2, False
    try:
        xllamacpp.Server(params)
    except RuntimeError:
        pass
"""
    done = _python(code)
    unknown = [line.split("'")[1] for line in done.stderr.splitlines() if "unknown model architecture" in line]
    assert unknown == ["nonsense"], done.stderr[-2000:]


# ---------------------------------------------------------------------- remote models


@pytest.fixture(scope="module")
def llama_server(tiny_gguf):
    """llama.cpp's own HTTP server, in a process of its own as an endpoint would be."""
    code = f"""
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.verbosity, params.n_ctx, params.n_parallel = {str(tiny_gguf)!r}, -1, 1024, 2
params.api_keys = [{KEY!r}]
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield f"{process.stdout.readline().strip()}/v1"
        process.stdin.close()
        process.wait(30)


@contextmanager
def endpoint(reply):
    """A server whose answers are made by `reply(request's JSON) -> status, JSON`; what it was asked comes with it."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append(request)
            status, body = reply(request)
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def said(text, finish="stop"):
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}


@contextmanager
def remote(url, key=KEY, **settings):
    engine = RemoteEngine(url, "tiny", key, offline=True, **{"retries": 0, **settings})
    try:
        yield engine
    finally:
        engine.close()


def test_a_real_server_answers_inside_the_schema(llama_server):
    schema = {
        "type": "object",
        "properties": {"place": {"enum": ["home", "bank"]}},
        "required": ["place"],
        "additionalProperties": False,
    }
    seen = []
    with remote(llama_server) as engine:
        answers = engine.answer([HELLO] * 5, max_new_tokens=120, json_schema=schema, progress=seen.append)
    assert seen == [1, 2, 3, 4, 5]
    for answer in answers:
        assert answer.error is None
        assert json.loads(answer.text)["place"] in ("home", "bank")
        assert answer.prompt_tokens > 5
        assert answer.answer_tokens > 3
    assert engine.note == ""


def test_a_request_that_fails_keeps_its_place(llama_server):
    long = [{"role": "user", "content": "card " * 3000}]
    with remote(llama_server) as engine:
        answers = engine.answer([HELLO, long, HELLO], max_new_tokens=3)
        assert "exceeds the available context size" in answers[1].error
        assert answers[1].text == ""
        assert not answers[1].lost, "it was read and refused, and would be again"
        assert all(a.error is None and not a.finished and a.answer_tokens == 3 for a in (answers[0], answers[2]))
        first_too = engine.answer([long, HELLO], max_new_tokens=3)
        assert "context size" in first_too[0].error


def test_a_wrong_key_is_refused_at_once_and_never_shown(llama_server):
    with (
        remote(llama_server, "sk-wrong-987") as engine,
        pytest.raises(ModelUnavailable, match="refuses the key") as got,
    ):
        engine.answer([HELLO] * 3, max_new_tokens=3)
    assert "sk-wrong" not in f"{got.value}{got.value.__cause__}{got.value.as_dict()}"


def test_a_dead_port_and_a_wrong_path_are_told(llama_server):
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with remote(dead) as engine, pytest.raises(ModelUnavailable, match="cannot be reached") as caught:
            engine.answer([HELLO], max_new_tokens=3)
        assert "base_url" in caught.value.remedy
    with remote(f"{llama_server}/nowhere") as engine, pytest.raises(ModelUnavailable, match="is not there"):
        engine.answer([HELLO], max_new_tokens=3)


def test_a_key_that_the_endpoint_repeats_is_blotted_out():
    with endpoint(lambda _: (400, {"error": {"message": f"bad request by {KEY}"}})) as (url, _), remote(url) as engine:
        (answer,) = engine.answer([HELLO], max_new_tokens=3)
    assert "bad request by …" in answer.error
    assert KEY not in answer.error


def test_an_endpoint_without_schemas_is_asked_without_and_that_is_noted():
    def reply(request):
        if "response_format" in request:
            return 400, {"error": {"message": "unsupported field"}}
        return 200, said("{}")

    with endpoint(reply) as (url, asked), remote(url) as engine:
        answers = engine.answer([HELLO] * 4, max_new_tokens=3, json_schema={"type": "object"})
    assert answers == [RemoteAnswer("{}", 7, 3)] * 4
    assert "JSON Schema" in engine.note
    assert ["response_format" in request for request in asked].count(True) == 1  # the others do not ask again


def test_another_mistake_does_not_give_up_the_schema():
    def reply(request):
        too_long = len(request["messages"][0]["content"]) > 100
        return (400, {"error": {"message": "too long"}}) if too_long else (200, said("{}"))

    long = [{"role": "user", "content": "x" * 200}]
    with endpoint(reply) as (url, asked), remote(url) as engine:
        answers = engine.answer([HELLO, long, HELLO], max_new_tokens=3, json_schema={"type": "object"})
        assert [a.error is None for a in answers] == [True, False, True]
        assert engine.note == ""
        asked.clear()
        engine.answer([HELLO], max_new_tokens=3, json_schema={"type": "object"})
    assert asked[0]["response_format"]["json_schema"]["strict"] is True


def test_newer_names_and_fixed_temperatures_are_found_out():
    def reply(request):
        for name in ("max_tokens", "temperature"):
            if name in request:
                return 400, {"error": {"message": f"Unsupported parameter: '{name}'", "param": name}}
        return 200, said("card")

    with endpoint(reply) as (url, asked), remote(url) as engine:
        assert [a.text for a in engine.answer([HELLO, HELLO], max_new_tokens=5)] == ["card", "card"]
    assert asked[-1]["max_completion_tokens"] == 5
    assert "temperature" in engine.note


def test_a_fault_that_passes_is_tried_again_and_one_that_stays_is_told():
    tries = []

    def reply(request):
        tries.append(1)
        stays = request["messages"][0]["content"] == "stays"
        return (200, said("card")) if len(tries) > 1 and not stays else (503, {"error": {"message": "busy"}})

    with endpoint(reply) as (url, _), remote(url, retries=2) as engine:
        answers = engine.answer([HELLO, [{"role": "user", "content": "stays"}]], max_new_tokens=5)
    assert answers[0] == RemoteAnswer("card", 7, 3)
    assert "busy" in answers[1].error
    assert answers[1].lost
    assert len(tries) == 2 + 3


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503, 200])
def test_an_endpoint_that_breaks_off_loses_its_answers_and_is_soon_left_alone(status):
    tries = []

    def reply(_):
        tries.append(1)
        broken = {"error": {"message": "out of order"}}  # some vendors say so with status 200
        return (200, said("card")) if len(tries) <= 5 else (status, broken)

    with endpoint(reply) as (url, _), remote(url) as engine:
        answers = engine.answer([HELLO] * 60, max_new_tokens=5)
        assert [a.lost for a in answers] == [a.text != "card" for a in answers]
        assert sum(a.lost for a in answers) == 55
        assert len(tries) < 5 + 2 * (PATIENCE + AT_ONCE)
        assert "not sent" in answers[-1].error
        tries.clear()
        assert not engine.answer([HELLO] * 2, max_new_tokens=5)[1].lost, "the next time it is asked again"


def test_offline_asks_this_machine_only():
    with pytest.raises(OutboundForbidden, match=r"api\.example\.com"):
        RemoteEngine("https://user:pass@api.example.com/v1", "m", KEY, offline=True)
    for url in ("http://localhost:1/v1", "http://127.0.0.1:1/v1", "http://[::1]:1/v1"):
        RemoteEngine(url, "m", KEY, offline=True).close()


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(llama_server, monkeypatch):
    with endpoint(lambda _: (200, said("from the proxy"))) as (proxy, asked):
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.removesuffix("/v1"))
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        with remote(llama_server) as engine:
            engine.answer([HELLO], max_new_tokens=3)
    assert asked == []


def test_remotes_come_from_the_settings_and_keys_from_the_environment(tmp_path, monkeypatch):
    config = tmp_path / "inhouse.toml"
    config.write_text(
        '[remotes.local]\nbase_url = "http://localhost:1/v1"\nmodel = "m"\n'
        '[remotes.vendor]\nbase_url = "https://api.example.com/v1"\nmodel = "m"\napi_key_env = "VENDOR_KEY"\n'
        f'[remotes.pasted]\nbase_url = "http://localhost:1/v1"\nmodel = "m"\napi_key_env = "{KEY}"\n'
    )
    settings = load_settings(config, {})
    monkeypatch.delenv("VENDOR_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    open_remote("local", settings).close()
    with pytest.raises(ModelUnavailable, match="VENDOR_KEY"):
        open_remote("vendor", settings)
    with pytest.raises(ConfigError, match="did you mean `vendor`"):
        open_remote("vendr", settings)
    with pytest.raises(ConfigError, match="not the name of an environment variable") as caught:
        open_remote("pasted", settings)
    assert KEY not in str(caught.value)
    monkeypatch.setenv("VENDOR_KEY", KEY)
    open_remote("vendor", settings).close()
    with pytest.raises(OutboundForbidden):
        open_remote("vendor", settings.model_copy(update={"offline": True}))


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('[remotes.a]\nmodel = "m"\n', 1, "`remotes.a.base_url` is missing"),
        ('[remotes.a]\nbase_url = "u"\nmodel = "m"\napi_key = "sk-1"\n', 4, "unknown key `remotes.a.api_key`"),
    ],
)
def test_a_mistake_in_a_remote_is_told_with_its_line(tmp_path, text, line, said):
    config = tmp_path / "inhouse.toml"
    config.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(config, {})
    assert said in caught.value.what
    assert caught.value.line == line
    assert "sk-1" not in str(caught.value)


def test_remotes_of_the_environment_are_json(tmp_path):
    given = {"INHOUSE_REMOTES": '{"a": {"base_url": "http://localhost/v1", "model": "m"}}'}
    assert load_settings(tmp_path / "none", given).remotes["a"].model == "m"
    with pytest.raises(ConfigError, match="not JSON"):
        load_settings(tmp_path / "none", {"INHOUSE_REMOTES": "a=b"})
    assert Settings().remotes == {}
    assert Path(tmp_path).exists()
