"""Shared by all tests: a tiny random model of the real architecture, as a GGUF file with a real tokenizer."""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import pytest

# Tests never leave the machine, but for the journey, which brings the embedded base from the package index once.
os.environ.setdefault("INHOUSE_THREADS", "2")

TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CORPUS = [
    "where is my card",
    "my card has not arrived",
    "how do I change my pin",
    "the transfer failed again",
    "refund please",
    "exchange rate was wrong",
    "card_arrival",
    "change_pin",
    "failed_transfer",
    "system user assistant",
]
INTENTS = {
    "card_arrival": ["where is my card", "my card has not arrived", "when will the card come", "card not here yet"],
    "change_pin": ["how do I change my pin", "new pin please", "I want another pin", "pin change how"],
    "failed_transfer": ["the transfer failed again", "transfer did not work", "my transfer bounced", "transfer error"],
}


def write_tiny_gguf(path: Path) -> Path:
    """A random llama of 2 layers with a byte-level BPE tokenizer, written with the gguf library."""
    import gguf
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=384, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1])
    tokens = [token for token, _ in vocabulary]
    import json

    merges = [" ".join(m) for m in json.loads(tokenizer.to_str())["model"]["merges"]]
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokens),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        rms_norm_eps=1e-5,
        initializer_range=0.2,
    )
    model = LlamaForCausalLM(config)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_block_count(2)
    writer.add_context_length(1024)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(128)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(16)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(7)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * 3 + [1] * (len(tokens) - 3))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        array = tensor.float().numpy()
        heads = 4 if ".q_proj." in name else 2 if ".k_proj." in name else 0
        if heads:
            rows = array.shape[0]
            array = array.reshape(heads, 2, rows // heads // 2, -1).swapaxes(1, 2).reshape(array.shape)
        target = names.get_name(name, try_suffixes=(".weight",))
        if array.ndim == 1:
            writer.add_tensor(target, array)
        else:  # openvino-genai reads no float32 matrices
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(target, gguf.quants.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tiny base's converted form is kept for the session."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny base as a file."""
    return write_tiny_gguf(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture(scope="session")
def tiny_base(tiny_gguf: Path, models_dir: Path):
    """The tiny base, converted."""
    from inhouse.engine import get_base
    from inhouse.store import Settings

    return get_base(str(tiny_gguf), Settings(models_dir=models_dir))


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    """Rows as a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def intents_csv(tmp_path: Path) -> Path:
    """Thirty-six short messages with three labels."""
    rows = [
        {"text": f"{text} {n}", "category": label}
        for label, texts in INTENTS.items()
        for text in texts
        for n in ("now", "today", "since monday")
    ]
    return write_csv(tmp_path / "intents.csv", rows)


@pytest.fixture
def inhouse_command() -> list[str]:
    """The installed command."""
    return [str(Path(sys.executable).with_name("inhouse"))]
