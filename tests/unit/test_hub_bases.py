"""Base models in the hub's format: each family as a tiny random model with a tokenizer of its kind; and GGUF files.

llama.cpp and openvino-genai read the GGUF file that we write; transformers in float32 is what they are compared with.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from conftest import THREADS, many_intents, write_csv
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import inhouse
from inhouse.engine import bases as bases_module
from inhouse.engine import find_spec, get_base, is_here, require_base
from inhouse.engine.bases import checksum
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.choice import choose_engine, gguf_architecture, gguf_quantizations
from inhouse.engine.families import families
from inhouse.engine.gguf_fields import context_length, read_fields
from inhouse.engine.gguf_file import write_gguf
from inhouse.engine.gguf_traits import traits_of
from inhouse.engine.lora import adapter_state, attach, learned_parameters, merged_weights
from inhouse.engine.openvino_engine import OpenVinoEngine
from inhouse.engine.prompts import trained_messages
from inhouse.engine.shapes import llama3_table, rope_of_table
from inhouse.engine.torch_model import answer_logits, load_model
from inhouse.errors import ModelUnavailable
from inhouse.store import Settings, registry
from inhouse.train import Encoded, loop
from inhouse.train.fused import can_fuse

# Against transformers in float32. llama.cpp: mean difference of log-probabilities over the whole vocabulary (measured:
# 0.05 to 0.14; rows of q and k in the wrong order: 1.7 and more). It rounds activations to 8 bits too, and random weights
# of this size are sharper than a trained model's.
BOUND = 0.25
# The same against the very weights of the file, rounded to Q8_0: what is not rounding is a mistake. openvino-genai computes
# in float32 here and keeps its cache in float16 (measured: up to 0.0022), llama.cpp as above (measured: 0.04 to 0.08).
OPENVINO_BOUND, LLAMA_CPP_BOUND = 0.005, 0.15
# Two tokens nearer than this may change places.
TIE = 0.25

WORDS = [
    "where is my card", "I'll pay 1234567 euros", "my transfer of 12.50 failed", "Übergröße für Größe 42",
    "déjà vu à la carte", "the quick brown fox jumps over the lazy dog", "请问我的卡在哪里", "カードはどこですか",
    "def f(x):\n    return x + 1\n", "LOUD Words And CamelCase", "system user assistant", "    indented\t\ttabs",
]  # fmt: skip
DECOMPOSED, MIXED_CASE = "cafe\u0301", "CamelCaseÉCOLE ñandú"
NASTY = [
    "card", " card", "  two  spaces   and more    ", "a\nb\n\nc\r\nd\t\te", "\n\n\n", "1234567 12.50 3½ ²",
    "I'll DON'T we're 'S", "Größe déjà vu Ünïcödé", DECOMPOSED, "🙂👩‍👩‍👧 emoji🙂", "请问 我的卡在哪里。 カード", "한국어 هذا عربي",
    "<|im_end|> <s> </s> <unk> <|eot_id|> [INST]", "x" * 70, "\u00a0nbsp\u2003em", MIXED_CASE, "!!?;:/\\//\n/",
]  # fmt: skip

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + "
    "m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
# As Llama 2 and Mistral have it: no system message of its own, and a space before the token that ends a turn.
INST = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% elif m['role'] == 'assistant' %}{{ ' ' + m['content'] + ' ' + eos_token }}"
    "{% else %}{{ raise_exception('only user and assistant') }}{% endif %}{% endfor %}"
)


# Gemma's refuses a system message, Gemma 3's puts it before the user's text in the same turn.
_GEMMA_TURNS = (
    "{% for m in messages %}{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' + "
    "(first if loop.first else '') + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% set first = '' %}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}" + _GEMMA_TURNS
)
GEMMA3 = (
    "{{ bos_token }}{% set first = '' %}{% if messages[0]['role'] == 'system' %}"
    "{% set first = messages[0]['content'] + '\n\n' %}{% set messages = messages[1:] %}{% endif %}" + _GEMMA_TURNS
)
PHI3 = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
GEMMA_TOKENS = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>")
PHI_TOKENS = ("<unk>", "<s>", "</s>", "<|endoftext|>", "<|assistant|>", "<|end|>", "<|user|>", "<|system|>")


@dataclass(frozen=True)
class Family:
    """A kind of model: how its config, tokenizer and template differ."""

    name: str
    model: str
    pre: str
    template: str
    special: tuple[str, ...]
    bos: str | None
    eos: str
    config: dict[str, Any]
    metaspace: str = ""


FAMILIES = [
    Family("llama2", "Llama", "", INST, ("<unk>", "<s>", "</s>"), "<s>", "</s>", {}),
    Family(
        "llama3", "Llama", "llama-bpe", LLAMA3,
        ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"), "<|begin_of_text|>", "<|eot_id|>",
        {"rope_parameters": {
            "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        }},
    ),
    Family("mistral", "Mistral", "", INST, ("<unk>", "<s>", "</s>"), "<s>", "</s>", {"sliding_window": None}, "first"),
    Family(
        "nemo", "Mistral", "tekken", INST, ("<unk>", "<s>", "</s>"), "<s>", "</s>",
        {"head_dim": 32, "sliding_window": None},
    ),
    Family("qwen2", "Qwen2", "qwen2", CHATML, ("<|endoftext|>", "<|im_start|>", "<|im_end|>"), None, "<|im_end|>", {}),
    Family(
        "qwen3", "Qwen3", "qwen2", CHATML, ("<|endoftext|>", "<|im_start|>", "<|im_end|>"), None, "<|im_end|>",
        {"head_dim": 32, "tie_word_embeddings": True},
    ),
    Family(
        "smollm", "Llama", "smollm", CHATML, ("<|endoftext|>", "<|im_start|>", "<|im_end|>"), "<|im_start|>", "<|im_end|>",
        {"tie_word_embeddings": True},
    ),
    Family("gpt2", "Llama", "gpt-2", CHATML, ("<|endoftext|>", "<|im_start|>", "<|im_end|>"), None, "<|im_end|>", {}),
    Family(
        "linear", "Llama", "qwen2", CHATML, ("<|endoftext|>", "<|im_start|>", "<|im_end|>"), None, "<|im_end|>",
        {"attention_bias": True, "mlp_bias": True,
         "rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}},
    ),
    Family(
        "gemma", "Gemma", "", GEMMA, GEMMA_TOKENS, "<bos>", "<end_of_turn>",
        {"head_dim": 32, "tie_word_embeddings": True}, "gemma",
    ),
    Family(
        "gemma2", "Gemma2", "", GEMMA, GEMMA_TOKENS, "<bos>", "<end_of_turn>",
        {"head_dim": 32, "query_pre_attn_scalar": 32, "tie_word_embeddings": True, "sliding_window": 32,
         "num_hidden_layers": 3, "attn_logit_softcapping": 5.0, "final_logit_softcapping": 6.0},
        "gemma",
    ),
    Family(
        "gemma3", "Gemma3", "", GEMMA3, GEMMA_TOKENS, "<bos>", "<end_of_turn>",
        {"head_dim": 32, "query_pre_attn_scalar": 32, "tie_word_embeddings": True, "sliding_window": 32,
         "num_hidden_layers": 4,
         "layer_types": ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"],
         "rope_parameters": {
            "full_attention": {"rope_type": "linear", "rope_theta": 100000.0, "factor": 2.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 500.0}}},
        "gemma",
    ),
    Family(
        "phi3", "Phi3", "", PHI3, PHI_TOKENS, "<s>", "<|end|>", {"pad_token_id": 0, "sliding_window": 256},
    ),
    Family(
        "phi4", "Phi3", "gpt-4o", PHI3.replace("|>\n", "|>"), PHI_TOKENS[3:], "<|endoftext|>", "<|end|>",
        {"pad_token_id": 0, "tie_word_embeddings": True, "original_max_position_embeddings": 256,
         "rope_parameters": {
            "rope_type": "longrope", "rope_theta": 10000.0, "partial_rotary_factor": 0.75,
            "short_factor": [1.0, 1.3, 1.9, 2.4, 3.1, 4.0], "long_factor": [1.0, 3.0, 9.0, 20.0, 40.0, 60.0]}},
    ),
    Family(
        "phi2", "Phi", "gpt-2", CHATML, ("<|endoftext|>", "<|im_start|>", "<|im_end|>"), None, "<|im_end|>",
        {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.4}},
    ),
]  # fmt: skip
BY_NAME = {family.name: family for family in FAMILIES}
every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.name)


def byte_level(family: Family) -> Tokenizer:
    """Byte-level BPE with the family's own pre-tokenizer."""
    (facts,) = [known for known in families()["pre_tokenizers"] if known["name"] == family.pre]
    steps = []
    for step in facts["steps"]:
        if step == "digits":
            steps.append(pre_tokenizers.Digits(individual_digits=True))
        elif step != "gpt2":
            steps.append(pre_tokenizers.Split(Regex(step), "isolated"))
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex="gpt2" in facts["steps"]))
    tokenizer = Tokenizer(models.BPE(ignore_merges=facts["ignore_merges"]))
    if family.pre == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=480,
        special_tokens=list(family.special),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(WORDS * 3, trainer)
    return tokenizer


def sentencepiece(family: Family) -> Tokenizer:
    """As transformers writes a SentencePiece model: bytes, then merges made of the vocabulary and its order."""
    plain = Tokenizer(models.BPE())
    plain.normalizer = normalizers.Replace(" ", "▁")
    plain.pre_tokenizer = pre_tokenizers.Split(Regex("▁+[^▁]*"), "isolated")
    plain.train_from_iterator([f" {w}" for w in WORDS] * 3, trainers.BpeTrainer(vocab_size=300, show_progress=False))
    pieces = [*family.special, *(f"<0x{byte:02X}>" for byte in range(256))]
    learned = [p for p, _ in sorted(plain.get_vocab().items(), key=lambda pair: pair[1])]
    pieces += sorted(learned, key=lambda p: len(p) == 1)  # characters last, as SentencePiece has them
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    merges = []
    for piece in learned:
        pairs = [(piece[:i], piece[i:]) for i in range(1, len(piece))]
        known = [p for p in pairs if p[0] in vocabulary and p[1] in vocabulary]
        merges += sorted(known, key=lambda p: (vocabulary[p[0]], vocabulary[p[1]]))
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    if family.metaspace == "gemma":
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    elif family.metaspace:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme=family.metaspace, split=False)
    else:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(steps if family.metaspace == "gemma" else [*steps, decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens([AddedToken(t, normalized=False) for t in family.special])
    return tokenizer


def make_folder(family: Family, folder: Path, *, shards: bool = False, **changes: Any) -> Path:
    """A folder as the hub has it: tiny, random, of the real architecture."""
    import transformers

    folder.mkdir(parents=True)
    tokenizer = byte_level(family) if family.pre else sentencepiece(family)
    if family.bos and family.template != CHATML:
        first = [(family.bos, tokenizer.token_to_id(family.bos))]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{family.bos} $A", pair=f"{family.bos} $A $B", special_tokens=first
        )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"bos_token": family.bos, "eos_token": family.eos, "chat_template": family.template}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    torch.manual_seed(0)
    config = getattr(transformers, "Gemma3TextConfig" if family.model == "Gemma3" else f"{family.model}Config")(
        **{
            "vocab_size": (tokenizer.get_vocab_size() + 31) // 32 * 32 + 32,  # padded, as most are
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "initializer_range": 0.2,
            "tie_word_embeddings": False,
            **family.config,
            **changes,
        }
    )
    model = getattr(transformers, f"{family.model}ForCausalLM")(config).to(torch.bfloat16)
    for name, weight in model.named_parameters():  # a fresh model's are all zero or one: nothing would be tested
        if weight.ndim == 1:
            weight.data = weight.data + torch.randn(weight.shape).to(torch.bfloat16) * (0.2 if "norm" in name else 0.5)
    model.save_pretrained(folder, max_shard_size="60KB" if shards else "1GB")
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("hub")
    return {family.name: make_folder(family, root / family.name) for family in FAMILIES}


@pytest.fixture(scope="module")
def bases(folders, models_dir) -> dict[str, Any]:
    """Every family, converted; the mended `changed` copies are made by the tests."""
    return {
        name: get_base(str(folder), Settings(models_dir=models_dir, offline=True)) for name, folder in folders.items()
    }


class LlamaServer:
    """llama.cpp's server in this process, asked over HTTP."""

    def __init__(self, gguf: Path, end_of_turn: int = 2) -> None:
        import xllamacpp

        self._end = end_of_turn
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(gguf)
        parameters.n_ctx = context_length(read_fields(gguf))
        parameters.n_parallel = 1
        parameters.warmup = False
        parameters.cpuparams.n_threads = THREADS
        self._server = xllamacpp.Server(parameters)
        self.address = self._server.listening_address

    def ask(self, path: str, **body: Any) -> Any:
        request = urllib.request.Request(
            f"{self.address}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def tokenize(self, text: str, *, add_special: bool = False, parse_special: bool = False) -> list[int]:
        return self.ask("/tokenize", content=text, add_special=add_special, parse_special=parse_special)["tokens"]

    def logprobs(self, ids: list[int], size: int) -> np.ndarray:
        """Log-probabilities of the next token, [size]."""
        # The end of the turn is forced: of a token that is half a character nothing would be reported. The reported
        # probabilities are those before any force.
        forced = [[self._end, 1e6]]
        answer = self.ask(
            "/completion", prompt=ids, n_predict=1, n_probs=size, temperature=0.0, cache_prompt=False, logit_bias=forced
        )
        found = np.full(size, np.nan)
        for entry in answer["completion_probabilities"][0]["top_logprobs"]:
            found[entry["id"]] = entry["logprob"]
        return found


@pytest.fixture(scope="module")
def servers(bases) -> Iterator[Any]:
    made: dict[str, LlamaServer] = {}

    def server(name: str) -> LlamaServer:
        if name not in made:
            made[name] = LlamaServer(bases[name].gguf, base_end(bases[name]))
        return made[name]

    yield server
    made.clear()


def base_end(base: Any) -> int:
    return ChatTemplate(base.folder, base.spec.end_of_turn).end_of_turn


PREFIXES = [7, 40, 90, 150]


def ids_of(size: int) -> list[int]:
    return np.random.default_rng(3).integers(3, size - 40, 150).tolist()


def reference(folder: Path, *, rounded: bool = False) -> np.ndarray:
    """transformers' log-probabilities in float32 at every position, [150, size]; with weights as Q8_0 keeps them."""
    import gguf
    from transformers import AutoModelForCausalLM

    q8 = gguf.GGMLQuantizationType.Q8_0
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for weight in model.parameters():
        if rounded and weight.ndim > 1:
            kept = gguf.quants.dequantize(gguf.quants.quantize(weight.detach().numpy(), q8), q8)
            weight.data = torch.from_numpy(kept)
    with torch.no_grad():
        return model(torch.tensor([ids_of(model.config.vocab_size)])).logits[0].log_softmax(-1).numpy()


def mean_difference(server: LlamaServer, expected: np.ndarray) -> float:
    """The worst of some positions."""
    size = expected.shape[1]
    ids = ids_of(size)
    found = [np.abs(server.logprobs(ids[:n], size) - expected[n - 1]) for n in PREFIXES]
    assert np.mean(np.isnan(found)) < 0.05
    return max(float(np.nanmean(f)) for f in found)


# ---------------------------------------------------------------------- the same logits


@every_family
def test_llama_cpp_computes_what_transformers_computes(family, folders, bases, servers):
    expected = reference(folders[family.name])
    assert mean_difference(servers(family.name), expected) < BOUND
    assert mean_difference(servers(family.name), reference(folders[family.name], rounded=True)) < LLAMA_CPP_BOUND
    for length in PREFIXES:
        wanted = expected[length - 1]
        theirs = np.nanargmax(servers(family.name).logprobs(ids_of(len(wanted))[:length], len(wanted)))
        assert wanted.max() - wanted[theirs] < TIE


def test_rows_in_the_wrong_order_would_be_seen(folders, tmp_path, monkeypatch):
    monkeypatch.setattr("inhouse.engine.gguf_file._permuted", lambda weight, heads: weight)
    base = get_base(str(folders["llama3"]), Settings(models_dir=tmp_path, offline=True))
    assert mean_difference(LlamaServer(base.gguf, base_end(base)), reference(folders["llama3"])) > 4 * BOUND


XLLAMACPP_ALONE = ("Gemma", "Gemma2", "Gemma3", "Phi3", "Phi")
OPENVINO_READS = [
    f for f in FAMILIES if not (f.model in XLLAMACPP_ALONE or f.pre == "" or f.name in ("llama3", "linear"))
]


@pytest.mark.parametrize("family", OPENVINO_READS, ids=lambda f: f.name)
def test_openvino_computes_what_transformers_computes(family, folders, bases):
    expected = reference(folders[family.name], rounded=True)
    exact = reference(folders[family.name])
    ids = ids_of(expected.shape[1])
    engine = OpenVinoEngine(bases[family.name].gguf, 2, exact=True)
    tokens, logprobs = engine.next_tokens([ids[:n] for n in PREFIXES])
    engine.close()
    for token, logprob, length in zip(tokens, logprobs, PREFIXES, strict=True):
        assert abs(logprob - expected[length - 1][token]) < OPENVINO_BOUND
        assert abs(logprob - exact[length - 1][token]) < BOUND
        assert exact[length - 1].max() - exact[length - 1][token] < TIE


def test_what_openvino_reads_wrongly_or_not_at_all_is_told_by_the_file(bases):
    """Measured: a scaled rotation and attention biases of the llama architecture are ignored without a word."""
    found = {name: traits_of(base.gguf) for name, base in bases.items()}
    assert {name: sorted(traits) for name, traits in found.items() if traits} == {
        "llama2": ["sentencepiece"],
        "mistral": ["sentencepiece"],
        "llama3": ["scaled-rope"],
        "linear": ["llama-attention-biases", "scaled-rope"],
        "gemma": ["sentencepiece"],
        "gemma2": ["sentencepiece"],
        "gemma3": ["scaled-rope", "sentencepiece"],
        "phi3": ["sentencepiece"],
        "phi4": ["scaled-rope"],
    }


# ---------------------------------------------------------------------- the same tokens


NEW = [family for family in FAMILIES if family.model in XLLAMACPP_ALONE]


@pytest.mark.parametrize("family", NEW, ids=lambda f: f.name)
def test_gemma_and_phi_are_served_by_llama_cpp_and_by_no_other(family, bases):
    file = bases[family.name].gguf
    facts = gguf_architecture(file), gguf_quantizations(file), traits_of(file)
    assert choose_engine("auto", *facts) == "xllamacpp"
    with pytest.raises(ModelUnavailable, match="the engine openvino-genai cannot") as caught:
        choose_engine("openvino-genai", *facts)
    assert 'engine = "xllamacpp"' in caught.value.remedy


@every_family
def test_training_sees_the_logits_that_transformers_computes(family, bases):
    """The head is asked at chosen places alone, past the model's own forward: a cap on logits must not be lost."""
    model = load_model(bases[family.name].folder, "float32")
    ids = torch.tensor([ids_of(model.config.vocab_size)])
    with torch.no_grad():
        found = answer_logits(model, {"input_ids": ids}, torch.arange(150))
        torch.testing.assert_close(found, model(ids).logits[0], rtol=1e-4, atol=1e-4)
    assert can_fuse(model, 150) == (family.model not in XLLAMACPP_ALONE)


@pytest.mark.parametrize("name", ["gemma", "gemma2", "gemma3", "phi3", "phi2"])
def test_layers_that_are_computed_again_give_the_same_gradients(name, bases, tmp_path):
    """Also where config.json asks for dropout, as Phi-2's does."""
    texts = [Encoded(ids_of(100)[: 20 + 7 * n], [5, 6 + n]) for n in range(3)]
    folder = shutil.copytree(bases[name].folder, tmp_path / "base")
    config = json.loads((folder / "config.json").read_text())
    config |= {"attention_dropout": 0.3, "resid_pdrop": 0.3, "embd_pdrop": 0.3}
    (folder / "config.json").write_text(json.dumps(config))
    found = []
    for checkpointed in (False, True):
        model = load_model(folder, "float32")
        learned = learned_parameters(attach(model, 4, 8, 0))
        loss, _ = loop._learn(loop.trunk_of(model, 1024, checkpointed=checkpointed), texts)
        found.append((loss, [parameter.grad.clone() for parameter in learned.values()]))
    (plain, expected), (again, gradients) = found
    assert again == plain
    assert all(torch.equal(one, other) for one, other in zip(gradients, expected, strict=True))


@pytest.mark.parametrize(("name", "offset"), [("gemma", 0.0), ("phi3", 1.0)])
def test_norms_with_another_offset_would_be_seen(name, offset, folders, tmp_path, monkeypatch):
    monkeypatch.setitem(families()["shapes"][BY_NAME[name].model.lower()], "norm_offset", offset)
    base = get_base(str(folders[name]), Settings(models_dir=tmp_path, offline=True))
    assert mean_difference(LlamaServer(base.gguf, base_end(base)), reference(folders[name])) > 2 * BOUND


@pytest.mark.parametrize("name", ["gemma", "gemma3"])
def test_a_system_message_of_gemma_goes_before_the_users_text_and_an_empty_one_leaves_nothing(name, bases):
    template = ChatTemplate(bases[name].folder, bases[name].spec.end_of_turn)
    user = {"role": "user", "content": "my card"}
    alone = template.prompt_ids([user])
    assert template.prompt_ids([{"role": "system", "content": ""}, user]) == alone
    joined = template.prompt_ids([{"role": "system", "content": "Be brief."}, user])
    assert joined == template.prompt_ids([{"role": "user", "content": "Be brief.\n\nmy card"}])


@every_family
def test_llama_cpp_cuts_text_as_the_tokenizer_does(family, folders, bases, servers):
    text_only = Tokenizer.from_file(str(folders[family.name] / "tokenizer.json"))
    text_only.encode_special_tokens = True
    for text in NASTY:
        if family.pre == "qwen2" and text == DECOMPOSED:
            continue  # its normalizer joins the accent (NFC), llama.cpp has none
        if family.pre in ("tekken", "gpt-4o") and text == MIXED_CASE:
            continue  # llama.cpp knows upper and lower case of a to z alone
        if family.metaspace and text.startswith(" "):
            continue  # this kind puts no second space before a space, llama.cpp does
        assert servers(family.name).tokenize(text) == text_only.encode(text, add_special_tokens=False).ids, text


@every_family
def test_the_first_token_is_added_where_the_tokenizer_adds_it(family, folders, bases, servers):
    tokenizer = Tokenizer.from_file(str(folders[family.name] / "tokenizer.json"))
    found = servers(family.name).tokenize("my card", add_special=True, parse_special=True)
    assert found == tokenizer.encode("my card").ids


@every_family
def test_special_tokens_are_special_in_the_file(family, bases, servers):
    template = ChatTemplate(bases[family.name].folder, bases[family.name].spec.end_of_turn)
    assert servers(family.name).tokenize(family.eos, parse_special=True) == [template.end_of_turn]
    assert template.decode(template.answer_ids("card_arrival 42")) == "card_arrival 42"


# ---------------------------------------------------------------------- training, merging


@pytest.mark.parametrize(
    "name", ["llama3", "qwen2", "qwen3", "linear", "gemma", "gemma2", "gemma3", "phi3", "phi4", "phi2"]
)
def test_an_adapter_is_merged_into_a_hub_base(name, bases, tmp_path):
    """Untied heads, biases, normalised queries: each has its place in the file, and the adapter's effect is there."""
    base = bases[name]
    model = load_model(base.folder, "float32")
    adapters = attach(model, 4, 8, seed=0)
    assert not any("lm_head" in adapter for adapter in adapters)
    generator = torch.Generator().manual_seed(1)
    for layer in adapters.values():
        layer.up.data = torch.randn(layer.up.shape, generator=generator) * 0.1
    ids = ids_of(model.config.vocab_size)
    with torch.no_grad():
        expected = model(torch.tensor([ids])).logits[0].log_softmax(-1).numpy()
    weights = merged_weights(base.folder / "model.safetensors", adapter_state(adapters), rank=4, alpha=8)
    write_gguf(base.gguf, weights, tmp_path / "model.gguf")
    served = mean_difference(LlamaServer(tmp_path / "model.gguf", base_end(base)), expected)
    assert served < BOUND
    assert np.abs(reference(base.folder) - expected).mean() > 4 * served  # the adapter does something


def test_a_gguf_base_keeps_its_stretched_rotation(bases, tmp_path):
    """A published Llama 3.1 file has a table for it, which transformers does not read by itself."""
    shutil.copyfile(bases["llama3"].gguf, tmp_path / "published.gguf")
    base = get_base(str(tmp_path / "published.gguf"), Settings(models_dir=tmp_path / "models", offline=True))
    assert mean_difference(LlamaServer(base.gguf, base_end(base)), reference(base.folder)) < BOUND
    weights = merged_weights(base.folder / "model.safetensors", {}, rank=1, alpha=1)
    write_gguf(base.gguf, weights, tmp_path / "merged.gguf")
    assert "scaled-rope" in traits_of(tmp_path / "merged.gguf")
    assert mean_difference(LlamaServer(tmp_path / "merged.gguf", base_end(base)), reference(base.folder)) < BOUND


# ---------------------------------------------------------------------- the product's own verbs


@pytest.mark.parametrize("family", NEW, ids=lambda f: f.name)
def test_a_family_is_trained_gated_and_exported(family, folders, models_dir, tmp_path, one_thread):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    (tmp_path / "inhouse.toml").write_text(f'models_dir = "{models_dir}"\noffline = true\nthreads = 1\n')
    workspace = inhouse.open_workspace(tmp_path)
    task = inhouse.init(workspace, "intents", base_model=str(folders[family.name]))
    wish = {"epochs": 20, "learning_rate": 0.005, "batch_size": 8}
    workspace.save_task(task.model_copy(update={"train": task.train.model_copy(update=wish)}))
    rows = write_csv(tmp_path / "intents.csv", many_intents())
    inhouse.add(workspace, "intents", [rows], inputs=["text"], target="category")
    losses = [look["validation_loss"] for look in inhouse.train(workspace, "intents").history]
    assert min(losses) < 0.8 * losses[0]
    version = registry.find_version(workspace, "intents", "latest")
    assert version.engine == "xllamacpp"
    assert version.parity.passed, version.parity
    inhouse.export(workspace, "intents", to="merged", out=tmp_path / "merged", which="latest")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    assert type(merged).__name__ == f"{family.model}ForCausalLM"
    template = ChatTemplate(tmp_path / "merged")
    assert AutoTokenizer.from_pretrained(tmp_path / "merged").convert_tokens_to_ids(family.eos) == template.end_of_turn
    prompt = template.prompt_ids(trained_messages("", {"text": "my card has not arrived now"}))
    with torch.no_grad():
        found = merged(torch.tensor([prompt])).logits[0, -1].log_softmax(-1).numpy()
    served = LlamaServer(workspace.blobs.path(version.file_sha256, ".gguf"), template.end_of_turn)
    assert np.nanmean(np.abs(served.logprobs(prompt, len(found)) - found)) < BOUND
    workspace.close()


# ---------------------------------------------------------------------- the folder


def test_shards_become_the_same_model_as_one_file(folders, bases, tmp_path):
    folder = make_folder(BY_NAME["qwen3"], tmp_path / "shards", shards=True)
    assert len(list(folder.glob("*.safetensors"))) > 2
    base = get_base(str(folder), Settings(models_dir=tmp_path / "models", offline=True))
    one = (bases["qwen3"].folder / "model.safetensors").read_bytes()
    assert (base.folder / "model.safetensors").read_bytes() == one
    assert base.gguf.read_bytes()[-100_000:] == bases["qwen3"].gguf.read_bytes()[-100_000:]  # its name differs
    assert b"lm_head" not in one[:20_000]


def test_what_was_learned_of_a_base_is_known_when_it_is_found_by_its_checksum(bases, folders, models_dir):
    gone = "/nowhere/at/all"
    settings = Settings(models_dir=models_dir, offline=True)
    for name in ("llama2", "qwen2"):
        found = get_base(gone, settings, sha256=bases[name].spec.sha256)
        assert found.folder == bases[name].folder
        assert found.spec.end_of_turn == BY_NAME[name].eos
        assert found.spec.parameters == sum(p.numel() for p in load_model(found.folder, "float32").parameters())


def test_the_space_before_the_end_of_a_turn_is_not_taken_for_it(bases):
    base = bases["llama2"]
    template = ChatTemplate(base.folder, base.spec.end_of_turn)
    assert template.end_of_turn == 2
    assert template.prompt_ids(trained_messages("", {"text": "hi"}))[0] == 1


def test_the_checksum_follows_weights_and_tokenizer_and_not_the_place(folders, tmp_path):
    copy = Path(shutil.copytree(folders["smollm"], tmp_path / "elsewhere"))
    settings = Settings(models_dir=tmp_path / "models", offline=True)

    def found(folder: Path) -> str:
        return require_base(str(folder), settings).sha256

    before = found(folders["smollm"])
    assert found(copy) == before
    (copy / "README.md").write_text("nothing that decides an answer")
    assert found(copy) == before
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    assert (changed := found(copy)) != before
    tokenizer = json.loads((copy / "tokenizer.json").read_text())
    tokenizer["added_tokens"][0]["lstrip"] = True
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert found(copy) not in (before, changed)


def test_weights_in_float16_train_and_serve(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    copy = Path(shutil.copytree(folders["smollm"], tmp_path / "half"))
    weights = load_file(copy / "model.safetensors")
    save_file({n: w.half() for n, w in weights.items()}, copy / "model.safetensors", {"format": "pt"})
    base = get_base(str(copy), Settings(models_dir=tmp_path / "models", offline=True))
    assert mean_difference(LlamaServer(base.gguf, base_end(base)), reference(copy)) < BOUND


def test_a_conversion_that_fails_leaves_nothing(folders, tmp_path):
    copy = Path(shutil.copytree(folders["qwen2"], tmp_path / "broken"))
    config = json.loads((copy / "config.json").read_text())
    config |= {"num_hidden_layers": 3, "layer_types": ["full_attention"] * 3}
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelUnavailable, match=r"the weight model\.layers\.2\.\S+ is missing"):
        get_base(str(copy), Settings(models_dir=tmp_path / "models", offline=True))
    assert left_in(tmp_path / "models") == []


def test_a_config_that_contradicts_itself_is_refused(folders, tmp_path):
    copy = Path(shutil.copytree(folders["qwen2"], tmp_path / "broken"))
    _edit(copy / "config.json", num_hidden_layers=3)
    with pytest.raises(ModelUnavailable, match=r"transformers cannot build the model: .*layer_types"):
        get_base(str(copy), Settings(models_dir=tmp_path / "models", offline=True))


@pytest.mark.parametrize("size", [64, 128])
def test_the_table_of_a_published_llama_tells_how_it_was_made(size, tmp_path):
    rope = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0}
    rope |= {"high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    assert rope_of_table(llama3_table(rope, size), 500000.0, tmp_path) == rope
    with pytest.raises(ModelUnavailable, match="no kind that is known"):
        rope_of_table(np.linspace(1, 32, size // 2, dtype=np.float32), 500000.0, tmp_path)


# ---------------------------------------------------------------------- refused before any work


def _edit(file: Path, **changes: Any) -> None:
    found = json.loads(file.read_text())
    file.write_text(json.dumps({k: v for k, v in (found | changes).items() if v is not None}))


REFUSED = {
    "another architecture": (
        lambda f: _edit(f / "config.json", architectures=["CohereForCausalLM"]),
        "CohereForCausalLM",
    ),
    "another rotation": (
        lambda f: _edit(f / "config.json", rope_parameters={"rope_type": "yarn", "factor": 4.0}),
        "position encoding 'yarn'",
    ),
    "an old name of another rotation": (
        lambda f: _edit(f / "config.json", rope_parameters=None, rope_scaling={"type": "dynamic", "factor": 2.0}),
        "position encoding 'dynamic'",
    ),
    "quantized": (lambda f: _edit(f / "config.json", quantization_config={"quant_method": "gptq"}), "quantized .gptq"),
    "another activation": (lambda f: _edit(f / "config.json", hidden_act="gelu"), "activation 'gelu'"),
    "a sliding window": (lambda f: _edit(f / "config.json", use_sliding_window=True), "use_sliding_window"),
    "no config": (lambda f: (f / "config.json").unlink(), r"no config\.json"),
    "a broken config": (lambda f: (f / "config.json").write_text("{"), "not valid JSON"),
    "no template": (lambda f: _edit(f / "tokenizer_config.json", chat_template=None), "no chat template"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), r"no tokenizer\.json"),
    "another tokenizer": (lambda f: _edit(f / "tokenizer.json", model={"type": "Unigram"}), "'Unigram'"),
    "another way to cut": (
        lambda f: _edit(f / "tokenizer.json", pre_tokenizer={"type": "Whitespace"}),
        "cuts text in a way that is not known",
    ),
    "another normalizer": (
        lambda f: _edit(f / "tokenizer.json", normalizer={"type": "Lowercase"}),
        "normalizer .*Lowercase",
    ),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), r"no \*\.safetensors"),
    "pickles alone": (
        lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
        r"only there as pytorch_model\.bin",
    ),
    "half a file": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:5000]),
        "not a whole safetensors file",
    ),
    "a missing shard": (
        lambda f: (f / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-1.safetensors"}}'),
        "1 of 1 weight files are missing",
    ),
    "a shard elsewhere": (
        lambda f: (f / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../secret.safetensors"}}'),
        "weight files are missing",
    ),
}


REFUSED_SHAPES = {
    "gemma's head": ("gemma", {"tie_word_embeddings": False}, "`tie_word_embeddings` = False"),
    "gemma's biases": ("gemma", {"attention_bias": True}, "`attention_bias` = True"),
    "gemma 2 without caps": ("gemma2", {"final_logit_softcapping": 0.0}, "`final_logit_softcapping` = 0.0"),
    "gemma 2's scale": ("gemma2", {"query_pre_attn_scalar": 24}, r"`query_pre_attn_scalar` = 24 .*supported: 32"),
    "gemma 2's layers": ("gemma2", {"layer_types": ["full_attention"] * 2 + ["sliding_attention"]}, "`layer_types`"),
    "gemma 3's cap": ("gemma3", {"final_logit_softcapping": 30.0}, "`final_logit_softcapping` = 30.0"),
    "gemma 3 both ways": ("gemma3", {"use_bidirectional_attention": True}, "`use_bidirectional_attention` = True"),
    "phi 3's yarn": ("phi3", {"rope_parameters": {"rope_type": "yarn"}}, "position encoding 'yarn'"),
    "phi 4's factors": ("phi4", {"rope_parameters": {"rope_type": "longrope"}}, "`short_factor` .* 0 numbers"),
    "phi 2's norms": ("phi2", {"qk_layernorm": True}, "`qk_layernorm` = True"),
    "phi 2's head": ("phi2", {"tie_word_embeddings": True}, "`tie_word_embeddings` = True"),
}


@pytest.mark.parametrize("case", REFUSED_SHAPES)
def test_what_llama_cpp_would_compute_otherwise_is_refused_with_its_setting(case, folders, tmp_path):
    name, changes, message = REFUSED_SHAPES[case]
    copy = Path(shutil.copytree(folders[name], tmp_path / "copy"))
    _edit(copy / "config.json", **changes)
    with pytest.raises(ModelUnavailable, match=message) as caught:
        find_spec(str(copy))
    assert (caught.value.exit_code, caught.value.file) == (3, str(copy / "config.json"))
    assert caught.value.remedy


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_training_with_file_and_remedy(case, folders, tmp_path):
    spoil, message = REFUSED[case]
    copy = Path(shutil.copytree(folders["smollm"], tmp_path / "copy"))
    spoil(copy)
    with pytest.raises(ModelUnavailable, match=message) as caught:
        require_base(str(copy), Settings(models_dir=tmp_path / "models", offline=True))
    assert caught.value.exit_code == 3
    assert caught.value.remedy
    assert caught.value.file is not None
    assert str(copy) in caught.value.file


def test_weights_that_do_not_belong_to_the_model_are_refused(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    copy = Path(shutil.copytree(folders["smollm"], tmp_path / "odd"))
    weights = load_file(copy / "model.safetensors")
    save_file({**weights, "model.layers.0.adapter.weight": torch.ones(2)}, copy / "model.safetensors")
    with pytest.raises(ModelUnavailable, match=r"model\.layers\.0\.adapter\.weight has no place"):
        get_base(str(copy), Settings(models_dir=tmp_path / "models", offline=True))


def test_a_template_that_ends_no_turn_is_refused(folders, tmp_path):
    copy = Path(shutil.copytree(folders["smollm"], tmp_path / "endless"))
    _edit(copy / "tokenizer_config.json", chat_template="{% for m in messages %}{{ m['content'] + '\n' }}{% endfor %}")
    with pytest.raises(ModelUnavailable, match="no special token"):
        get_base(str(copy), Settings(models_dir=tmp_path / "models", offline=True))


# ---------------------------------------------------------------------- GGUF files


def left_in(models: Path) -> list[str]:
    """What lies in the folder of models beside locks and checksums."""
    return [p.name for p in models.iterdir() if not p.name.endswith((".lock", ".checksums.json"))]


def rewritten(source: Path, out: Path, *, without: str = "", more: dict[str, Any] | None = None, **fields: Any) -> Path:
    """A GGUF file with other fields (dots as `__`; None leaves one out), a tensor less, or tensors more."""
    reader = gguf.GGUFReader(source)
    changes = {name.replace("__", "."): value for name, value in fields.items()}
    writer = gguf.GGUFWriter(out, changes.pop("general.architecture", "llama"))
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key != "general.architecture" and key not in changes:
            inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(key, field.contents(), field.types[0], sub_type=inner)
    for key, value in changes.items():
        if value is not None:
            kind = gguf.GGUFValueType.STRING if isinstance(value, str) else gguf.GGUFValueType.UINT32
            writer.add_key_value(key, value, kind)
    for tensor in reader.tensors:
        if tensor.name != without:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    for name, array in (more or {}).items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


REFUSED_GGUF = {
    "phi3": (
        {"general__architecture": "phi3"},
        r"the architecture 'phi3' of a GGUF file is not supported .*llama, qwen2, qwen3",
    ),
    "gemma2": ({"general__architecture": "gemma2"}, "the architecture 'gemma2'"),
    "qwen2moe": ({"general__architecture": "qwen2moe"}, "the architecture 'qwen2moe'"),
    "mixtral": ({"llama__expert_count": 8}, "mixture of experts"),
    "yarn": ({"llama__rope__scaling__type": "yarn"}, "position encoding 'yarn' of a GGUF file"),
    "no template": ({"tokenizer__chat_template": None}, "holds no chat template"),
}


@pytest.mark.parametrize("case", REFUSED_GGUF)
def test_a_gguf_file_that_cannot_be_trained_is_refused_before_it_is_read(case, tiny_gguf, tmp_path):
    fields, message = REFUSED_GGUF[case]
    file = rewritten(tiny_gguf, tmp_path / "base.gguf", **fields)
    for ask in (find_spec, lambda name: get_base(name, Settings(models_dir=tmp_path / "models", offline=True))):
        with pytest.raises(ModelUnavailable, match=message) as caught:
            ask(str(file))
        assert (caught.value.exit_code, caught.value.file) == (3, str(file))
        assert caught.value.remedy.startswith("take ")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("part", ["a byte", "a half", "the vocabulary", "the header"])
def test_a_gguf_file_that_is_cut_off_is_refused(part, tiny_gguf, tmp_path):
    whole = tiny_gguf.read_bytes()
    length = {"a byte": len(whole) - 1, "a half": len(whole) // 2, "the vocabulary": 2000, "the header": 20}[part]
    file = tmp_path / "base.gguf"
    file.write_bytes(whole[:length])
    with pytest.raises(ModelUnavailable, match=r"base\.gguf is not a whole GGUF file") as caught:
        find_spec(str(file))
    assert (caught.value.file, caught.value.remedy) == (str(file), "fetch or write the file again")
    file.write_bytes(whole)
    assert find_spec(str(file)).local == file


SPOILT_GGUF = {
    "a tokenizer of no kind": ({"tokenizer__ggml__model": "nonsense"}, "transformers cannot read the file: "),
    "a layer less": ({"without": "blk.1.ffn_up.weight"}, r"the weight blk\.1\.ffn_up\.weight is missing"),
    "biases": (
        {"more": {"blk.0.attn_q.bias": np.zeros(64, np.float32)}},
        r"the weight blk\.0\.attn_q\.bias has no place",
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", SPOILT_GGUF)
def test_a_gguf_file_that_transformers_does_not_read_whole_is_refused(case, tiny_gguf, tmp_path):
    changes, message = SPOILT_GGUF[case]
    file = rewritten(tiny_gguf, tmp_path / "base.gguf", **changes)
    with pytest.raises(ModelUnavailable, match=message) as caught:
        get_base(str(file), Settings(models_dir=tmp_path / "models", offline=True))
    assert (caught.value.exit_code, caught.value.file) == (3, str(file))
    assert caught.value.remedy
    assert left_in(tmp_path / "models") == []


def test_traits_are_read_without_the_library_that_takes_seconds(tiny_gguf, tmp_path, monkeypatch):
    stretched = rewritten(tiny_gguf, tmp_path / "s.gguf", more={"rope_freqs.weight": np.ones(8, np.float32)})
    biased = rewritten(tiny_gguf, tmp_path / "b.gguf", more={"blk.0.attn_q.bias": np.ones(64, np.float32)})
    monkeypatch.setattr("gguf.GGUFReader", None)
    assert [traits_of(file) for file in (tiny_gguf, stretched, biased)] == [
        frozenset(),
        {"scaled-rope"},
        {"llama-attention-biases"},
    ]


# ---------------------------------------------------------------------- checksums


@pytest.fixture
def hashed(monkeypatch) -> list[str]:
    """The names of the files that were read whole for their checksum."""
    read: list[str] = []

    def counted(file: Path) -> str:
        read.append(file.name)
        return hashlib.sha256(file.read_bytes()).hexdigest()

    monkeypatch.setattr(bases_module, "sha256_of", counted)
    return read


def long_ago(file: Path, seconds: int = 100) -> None:
    at = time.time_ns() - seconds * 1_000_000_000
    os.utime(file, ns=(at, at))


def test_a_base_is_read_for_its_checksum_once_and_not_once_a_command(tiny_gguf, tmp_path, hashed):
    file = Path(shutil.copyfile(tiny_gguf, tmp_path / "base.gguf"))
    long_ago(file)
    settings = Settings(models_dir=tmp_path / "models", offline=True)
    find_spec(str(file))
    assert hashed == []  # `init` asks for no more
    assert not is_here(find_spec(str(file)), settings)  # as `clean` asks
    assert require_base(str(file), settings).sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert hashed == ["base.gguf"]


def test_a_folders_weights_are_read_once(folders, tmp_path, hashed):
    copy = Path(shutil.copytree(folders["smollm"], tmp_path / "copy"))
    long_ago(copy / "model.safetensors")
    settings = Settings(models_dir=tmp_path / "models", offline=True)
    assert require_base(str(copy), settings).sha256 == require_base(str(copy), settings).sha256
    assert hashed == ["model.safetensors"]


def test_a_checksum_is_computed_anew_where_it_may_be_another(tmp_path, hashed):
    file, models = tmp_path / "base.gguf", tmp_path / "models"
    file.write_bytes(b"one")
    checksum(file, models)
    assert not models.exists()  # written this moment: another write could have the same time
    long_ago(file)
    first = [checksum(file, models), checksum(file, models)]
    assert len(hashed) == 2
    file.write_bytes(b"two")
    long_ago(file, 50)
    assert checksum(file, models) not in first
    file.write_bytes(b"three")
    long_ago(file, 50)
    assert checksum(file, models) == hashlib.sha256(b"three").hexdigest()
    (models / ".checksums.json").write_text("no JSON")
    assert checksum(file, models) == hashlib.sha256(b"three").hexdigest()
    assert len(hashed) == 5


def test_checksums_of_files_that_are_gone_go_and_a_folder_that_cannot_be_written_is_no_error(tmp_path, hashed):
    one, two, models = tmp_path / "one", tmp_path / "two", tmp_path / "models"
    for file in (one, two):
        file.write_bytes(b"x")
        long_ago(file)
    checksum(one, models)
    one.unlink()
    checksum(two, models)
    assert list(json.loads((models / ".checksums.json").read_text())) == [str(two)]
    (tmp_path / "a file").write_bytes(b"")
    assert checksum(two, tmp_path / "a file") == checksum(two, models)


# ---------------------------------------------------------------------- the hub


def test_an_id_that_is_not_here_is_not_fetched_offline(tmp_path):
    with pytest.raises(ModelUnavailable, match="models pull org/small-chat") as caught:
        get_base("org/small-chat", Settings(models_dir=tmp_path, offline=True))
    assert caught.value.exit_code == 3
    assert list(tmp_path.iterdir()) == []


class Hub:
    """A hub on loopback that speaks what `snapshot_download` asks: facts, the list of files, and the files."""

    def __init__(self, repositories: dict[str, Path]) -> None:
        self.asked: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.asked.append(f"{self.command} {self.path} {self.headers.get('User-Agent', '')}")
                self._answer(*hub.answer(self.path.partition("?")[0], repositories))

            do_HEAD = do_GET

            def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    COMMIT = "0123456789abcdef0123456789abcdef01234567"

    def answer(self, path: str, repositories: dict[str, Path]) -> tuple[int, bytes, dict[str, str]]:
        for name, folder in repositories.items():
            files = sorted(f for f in folder.iterdir() if f.is_file())
            if path.startswith((f"/api/models/{name}/tree/",)):
                entries = [
                    {
                        "type": "file",
                        "path": f.name,
                        "size": f.stat().st_size,
                        "oid": hashlib.sha1(f.read_bytes()).hexdigest(),
                    }
                    for f in files
                ]
                return 200, json.dumps(entries).encode(), {"Content-Type": "application/json"}
            if path == f"/api/models/{name}" or path.startswith(f"/api/models/{name}/revision/"):
                if path.endswith("/revision/nonesuch"):
                    return 404, b"{}", {"X-Error-Code": "RevisionNotFound"}
                facts = {"id": name, "sha": self.COMMIT, "siblings": [{"rfilename": f.name} for f in files]}
                return 200, json.dumps(facts).encode(), {"Content-Type": "application/json"}
            for file in files:
                if path == f"/{name}/resolve/{self.COMMIT}/{file.name}":
                    content = file.read_bytes()
                    etag = f'"{hashlib.sha1(content).hexdigest()}"'
                    return 200, content, {"ETag": etag, "X-Repo-Commit": self.COMMIT}
        return 404, b"{}", {"X-Error-Code": "RepoNotFound"}


@pytest.fixture
def hub(folders, tmp_path) -> Iterator[Any]:
    pickled = Path(shutil.copytree(folders["smollm"], tmp_path / "pickled"))
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    full = Path(shutil.copytree(folders["smollm"], tmp_path / "full"))
    (full / "pytorch_model.bin").write_bytes(b"must never be fetched")
    (full / "modeling_small.py").write_text("raise SystemExit('must never be fetched')")
    other = Path(shutil.copytree(folders["smollm"], tmp_path / "other"))
    _edit(other / "config.json", architectures=["CohereForCausalLM"])
    hub = Hub({"org/small-chat": full, "org/pickled": pickled, "org/other": other})
    yield hub
    hub.server.shutdown()
    hub.server.server_close()


def pull(hub: Hub, models: Path, name: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: the hub's address is read when its library is imported."""
    code = (
        "import sys; from pathlib import Path; from inhouse.engine import get_base, is_here, find_spec;"
        "from inhouse.engine.quiet import settle; settle();"
        "from inhouse.store import Settings; from inhouse.errors import InhouseError\n"
        f"settings = Settings(models_dir=Path({str(models)!r}))\n"
        f"try:\n    base = get_base({name!r}, settings)\n"
        "except InhouseError as error:\n    print(type(error).__name__, error); sys.exit(error.exit_code)\n"
        "import os; from huggingface_hub import constants\n"
        f"print(base.folder, base.spec.sha256, base.spec.end_of_turn, is_here(find_spec({name!r}), settings),"
        "constants.HF_HUB_OFFLINE)"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_ENDPOINT": hub.address, "HF_HOME": str(models / "home"), **environment},
    )


def test_a_model_of_the_hub_is_pulled_once(hub, folders, tmp_path):
    models = tmp_path / "models"
    done = pull(hub, models, "org/small-chat")
    assert done.returncode == 0, done.stdout + done.stderr
    folder, sha256, end, here, offline = done.stdout.split()
    assert (end, here, offline) == ("<|im_end|>", "True", "True")  # and the library is offline again
    assert sha256 == require_base(str(folders["smollm"]), Settings(models_dir=models, offline=True)).sha256
    assert Path(folder).name == f"org--small-chat-{sha256[:12]}"
    assert json.loads((Path(folder) / "complete.json").read_text())["commit"] == Hub.COMMIT
    fetched = " ".join(hub.asked)
    assert "model.safetensors" in fetched
    assert "pytorch_model.bin" not in fetched
    assert "modeling_small.py" not in fetched
    hub.asked.clear()
    again = get_base("org/small-chat", Settings(models_dir=models, offline=True))  # offline is no matter now
    assert again.spec.sha256 == sha256
    assert hub.asked == []
    assert [p.name for p in models.glob(".part-*")] == []
    assert is_here(find_spec("org/small-chat"), Settings(models_dir=models))
    assert not is_here(find_spec("org/small-chat@v2"), Settings(models_dir=models))


@pytest.mark.parametrize(
    ("name", "message", "never"),
    [
        ("org/nobody", "there is no model 'org/nobody'", ".safetensors"),
        ("org/small-chat@nonesuch", "no revision 'nonesuch'", ".safetensors"),
        ("org/pickled", "only there as pytorch_model.bin", "resolve"),
        ("org/other", "org/other/config.json: the architecture 'CohereForCausalLM'", ".safetensors"),
    ],
)
def test_what_cannot_be_used_is_refused_before_its_weights_are_fetched(hub, tmp_path, name, message, never):
    done = pull(hub, tmp_path / "models", name)
    assert done.returncode == 3, done.stdout + done.stderr
    assert message in done.stdout
    assert not any(never in asked for asked in hub.asked if asked.startswith("GET"))
    assert [p.name for p in (tmp_path / "models").iterdir() if p.is_dir() and p.name != "home"] == []


def test_a_dry_run_tells_a_models_size_before_its_weights_are_fetched(hub, tmp_path):
    place, models = tmp_path / "workspace", tmp_path / "models"
    environment = {"HF_ENDPOINT": hub.address, "HF_HOME": str(models / "home"), "INHOUSE_MODELS_DIR": str(models)}
    messages = write_csv(tmp_path / "intents.csv", many_intents(4))

    def inhouse(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "inhouse", *arguments, "--workspace", str(place), "--json"]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **environment, "INHOUSE_OFFLINE": "0"},
        )

    assert inhouse("init", "intents", "--base", "org/small-chat").returncode == 0
    assert inhouse("add", "intents", str(messages), "--input", "text", "--target", "category").returncode == 0
    outlined = inhouse("train", "intents", "--dry-run")
    assert outlined.returncode == 0, outlined.stderr
    assert not any("safetensors" in asked for asked in hub.asked if "resolve" in asked)
    assert not list(models.glob("org--*"))
    assert "org/small-chat is not on this machine" in outlined.stderr
    assert "reckoned from the machine's arithmetic, not measured" in outlined.stderr
    assert inhouse("models", "pull", "org/small-chat").returncode == 0
    measured = inhouse("train", "intents", "--dry-run")
    assert "not on this machine" not in measured.stderr
    assert "not measured" not in measured.stderr
    before, after = json.loads(outlined.stdout), json.loads(measured.stdout)
    for name in ("steps", "tokens", "memory_gib", "disk_gib", "choices"):
        assert before[name] == after[name], name
    assert before["minutes"] > 0


def test_a_hub_that_does_not_answer_is_told(hub, tmp_path):
    hub.server.shutdown()
    hub.server.server_close()
    done = pull(hub, tmp_path / "models", "org/small-chat", HF_HUB_ETAG_TIMEOUT="1")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "could not be fetched" in done.stdout
