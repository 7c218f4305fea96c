"""The command line: light to start, and the whole journey of a task in one workspace."""

from __future__ import annotations

import csv
import importlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import FunctionType

import jsonschema
import pytest
from conftest import many_intents, write_csv

import inhouse
from inhouse.cli import show
from inhouse.core import Trace
from inhouse.engine.bases import hub_catalogue
from inhouse.pipeline import Predicted, list_models
from inhouse.store import Settings, Workspace, traffic
from inhouse.store.database import now
from inhouse.train import comparing_needed

CONTRACTS = Path(__file__).parent.parent / "contracts"


def meets(contract, value):
    """Fails with the place that does not meet the contract."""
    jsonschema.validate(value, json.loads((CONTRACTS / f"{contract}.schema.json").read_text()))


# ---------------------------------------------------------------------- light to start


def test_help_comes_within_half_a_second(inhouse_command):
    def seconds():  # of the processor: a clock measures what else the machine does
        before = os.times()
        done = subprocess.run([*inhouse_command, "--help"], capture_output=True, text=True, check=True)
        assert "retrain" in done.stdout
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(seconds() for _ in range(5)) < 0.5


HEAVY = ("torch", "transformers", "openvino", "openvino_genai", "tokenizers", "gguf", "polars", "sqlalchemy", "sklearn")
HELP = """
from inhouse.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
"""


@pytest.mark.parametrize("code", ["import inhouse", HELP])
def test_no_heavy_library_is_imported(code):
    code += f"\nimport sys; print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_the_public_surface():
    assert sorted(inhouse.__all__) == [
        "__version__",
        "add",
        "advise",
        "clean",
        "diff",
        "doctor",
        "evaluate",
        "export",
        "findings",
        "forget",
        "from_tool",
        "init",
        "label",
        "list_models",
        "monitor",
        "open_workspace",
        "plan_training",
        "predict",
        "promote",
        "pull_model",
        "retrain",
        "rollback",
        "run",
        "scorer",
        "serve",
        "status",
        "to_tool",
        "train",
        "train_curve",
        "train_seeds",
        "undo",
    ]
    for stage in ("clean", "evaluate.verdict", "monitor", "train.plan"):  # a stage must not hide its verb
        importlib.import_module(f"inhouse.{stage}")
    verbs = [getattr(inhouse, name) for name in inhouse.__all__ if name != "__version__"]
    assert all(isinstance(verb, FunctionType) for verb in verbs)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        inhouse.trian  # noqa: B018


@pytest.mark.parametrize("arguments", [["trian"], ["train"], ["run", "t"], ["serve", "--port", "x"]])
def test_wrong_usage_is_exit_code_2(inhouse_command, arguments):
    done = subprocess.run([*inhouse_command, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert "Usage: inhouse" in done.stderr


# ---------------------------------------------------------------------- help


def help_of(inhouse_command, *command):
    done = subprocess.run([*inhouse_command, *command, "--help"], capture_output=True, text=True, check=True)
    return done.stdout


def test_every_example_of_run_has_its_own_line(inhouse_command):
    shown = [line.strip() for line in help_of(inhouse_command, "run").splitlines()]
    examples = [line for line in shown if line.startswith("inhouse run ")]
    assert len(examples) == 3
    assert "inhouse run support chat.jsonl" in examples
    assert all(line.count("inhouse run") == 1 for line in shown if "inhouse run" in line)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("models", "pull"), ("GGUF file", "model folder", "hub id")),
        (("init",), ("GGUF file", "model folder", "hub id")),
        (("add",), ("dotted path", ".pdf, .docx", "chat files")),
        (("run",), ("dotted path", ".pdf, .docx", "chat files", "it is inferred")),
    ],
)
def test_help_names_what_may_be_given(inhouse_command, command, told):
    shown = " ".join(help_of(inhouse_command, *command).split())
    assert [part for part in told if part not in shown] == []


def test_add_shows_first_what_a_newcomer_needs(inhouse_command):
    panels = re.split(r"^(\S.*):\n", help_of(inhouse_command, "add"), flags=re.MULTILINE)
    shown = dict(
        zip(panels[1::2], (re.findall(r"^  (?:-\w, )?(--[a-z-]+)", p, re.MULTILINE) for p in panels[2::2]), strict=True)
    )
    assert list(shown)[:2] == ["Arguments", "What to know first"]
    assert shown["What to know first"] == ["--input", "--target", "--kind", "--test"]
    assert shown["Other options"] == ["--yes", "--workspace", "--json", "--help"]
    assert len(shown) == 6


# ---------------------------------------------------------------------- the kind of a new task


def chat_file(path):
    turns = [(f"Where is parcel {n}?", f"Parcel {n} is on its way.") for n in range(12)]
    rows = [
        {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]}
        for asked, answer in turns
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "kind of task: generate, as messages holds conversations (--kind KIND overrules this)"),
        (("--kind", "generate"), "target: the last assistant message with weight 1"),
    ],
)
def test_run_makes_a_generate_task_of_a_chat_file(tmp_path, cli, monkeypatch, options, told):
    monkeypatch.setenv("INHOUSE_MODELS_DIR", str(tmp_path / "models"))
    done = cli(tmp_path / "fresh", "run", "support", chat_file(tmp_path / "chat.jsonl"), *options)
    assert told in done.err
    assert ("kind of task" in done.err) == (not options)
    assert "base model 'smollm2-135m-instruct', which is not on this machine yet" in done.err  # so far it came
    assert not (tmp_path / "fresh").exists()


@pytest.mark.parametrize("verb", ["add", "run"])
def test_a_chat_file_for_an_empty_classify_task_names_the_remedy(tmp_path, cli, verb):
    folder = tmp_path / "work"
    assert cli(folder, "init", "support").code == 0
    done = cli(folder, verb, "support", chat_file(tmp_path / "chat.jsonl"), "--json")
    assert done.code == 3
    assert "--kind generate" in done.json["error"]["remedy"]
    assert "conversations" in done.json["error"]["message"]


# ---------------------------------------------------------------------- what is said at the end


def test_an_answer_with_a_fault_is_not_called_unanswered():
    done = Predicted("cvs", "cvs@1", "out.csv", rows=9, needs_review=2, errors=2, seconds=1.0)
    shown = show.predicted(done)
    assert "could not be answered" not in shown
    assert "2 have an error: no answer, or one with a fault" in shown
    assert shown.splitlines()[-1] == "next: look at the rows of out.csv where needs_review is true"
    assert show.predicted(replace(done, needs_review=0, errors=0)).splitlines()[-1] == "next: inhouse serve"


@pytest.mark.parametrize(
    ("name", "kind", "next_step"),
    [
        ("org/small", "causal", "next: inhouse init TASK --base org/small"),
        ("my models/a.gguf", "causal", "next: inhouse init TASK --base 'my models/a.gguf'"),
        ("all-minilm-l6-v2", "encoder", "next: inhouse doctor"),
    ],
)
def test_pull_says_what_comes_next(name, kind, next_step):
    shown = show.pulled({"name": name, "kind": kind, "folder": "/models/x", "sha256": "0"})
    assert shown == f"{name}: /models/x\n{next_step}"


def test_models_list_has_what_was_pulled_from_the_hub(tmp_path):
    for number, commit in enumerate(("old", "new")):
        folder = tmp_path / f"org--small-{commit * 4}"
        folder.mkdir()
        facts = {"name": "org/small", "hub": "org/small", "sha256": commit * 4, "parameters": 7_000_000}
        (folder / "complete.json").write_text(json.dumps(facts))
        shape = {"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "vocab_size": 300}
        shape["model_type"] = "llama"
        (folder / "config.json").write_text(json.dumps(shape))
        os.utime(folder / "complete.json", (number, number))
    (tmp_path / "mine-012345678901").mkdir()
    (tmp_path / "mine-012345678901" / "complete.json").write_text('{"name": "mine", "sha256": "0"}')
    found = list_models(Settings(models_dir=tmp_path))
    *known, added = found
    assert not any(model["here"] for model in known)
    assert all(model["memory_gib"] > 0 for model in known if model["kind"] == "causal")
    assert (added["name"], added["kind"], added["parameters"], added["here"]) == (
        "org/small",
        "causal",
        7_000_000,
        True,
    )
    assert added["folder"].endswith("newnewnewnew")
    assert added["fits"]
    assert "org/small" in show.models(found)


def test_models_list_tells_the_memory_that_training_would_take(tmp_path, monkeypatch):
    from inhouse.engine import torch_model

    def listed(precision, free, **of_gpu):
        monkeypatch.setattr(torch_model, "best_precision", lambda: precision)
        monkeypatch.setattr(torch_model, "free_memory", lambda: free * 2**30)
        monkeypatch.setattr(torch_model, "can_have_four_bits", lambda: of_gpu.get("four_bits", False))
        monkeypatch.setattr("torch.cuda.is_available", lambda: of_gpu.get("gpu", False))
        return {model["name"]: model for model in list_models(Settings(models_dir=tmp_path))}

    full, half = listed("float32", 20.0), listed("bfloat16", 20.0)
    causal, encoder = "Qwen/Qwen3-4B", "all-minilm-l6-v2"
    assert (full[causal]["fits"], half[causal]["fits"]) == (False, True)
    # What is trained in half the memory is compared in float32 afterwards.
    compared = comparing_needed(hub_catalogue()[causal]) / 2**30
    assert half[causal]["memory_gib"] == compared < 0.9 * full[causal]["memory_gib"]
    assert full[encoder]["memory_gib"] == half[encoder]["memory_gib"] > 1  # an encoder learns in float32
    of_little = listed("bfloat16", 0.1)
    assert not of_little[causal]["fits"]
    assert of_little[encoder]["fits"]  # it has the CPU's memory, not the GPU's
    plain, packed = listed("bfloat16", 8.0, gpu=True), listed("bfloat16", 8.0, gpu=True, four_bits=True)
    assert (plain[causal]["fits"], packed[causal]["fits"]) == (False, True)
    assert plain["smollm2-135m-instruct"] == packed["smollm2-135m-instruct"]  # has room as it is
    (mine := tmp_path / "org--mine-0123").mkdir()
    facts = {"name": "org/mine", "hub": "org/mine", "sha256": "0123", "kind": "encoder", "parameters": 22_713_216}
    (mine / "complete.json").write_text(json.dumps(facts))
    shape = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12}
    (mine / "config.json").write_text(json.dumps(shape))
    pulled = listed("float32", 20.0)
    assert pulled["org/mine"]["memory_gib"] == pulled[encoder]["memory_gib"]


# ---------------------------------------------------------------------- the journey


@pytest.fixture(scope="module")
def journey(tmp_path_factory, command, cli, tiny_gguf, encoder):
    """Every command of the journey, in order, in one workspace: what each said."""
    root = tmp_path_factory.mktemp("journey")
    folder, rows = root / "workspace", many_intents(6)
    train = write_csv(root / "train.csv", rows[:60])
    test = write_csv(root / "test.csv", rows[60:])
    new = root / "new.jsonl"
    new.write_text(
        '{"text": "where is my card now", "who": "ann"}\n{"text": "", "who": "bob"}\nno json\n{"text": "new pin"}\n'
    )
    done = {}

    def step(name, *arguments):  # in a process of its own: what engines print must not stand beside the JSON
        done[name] = command(folder, *arguments, "--json")

    def quick(name, *arguments):  # in this process
        done[name] = cli(folder, *arguments, "--json")

    quick("init", "init", "intents", "--kind", "classify", "--base", tiny_gguf, "--instruction", "Name the intent.")
    quick("init again", "init", "intents")
    shorten(folder / "tasks" / "intents" / "task.toml")
    quick("train without data", "train", "intents")
    quick("add", "add", "intents", train, "--input", "text", "--target", "category", "--test", test)
    quick("add again", "add", "intents", train, "--test", test)
    quick("clean", "clean", "intents")
    quick("apply", "clean", "intents", "--apply", "safe")
    quick("apply nonsense", "clean", "intents", "--apply", "spelling")
    quick("promote nothing", "promote", "intents")
    step("train", "train", "intents")
    quick("train again", "train", "intents")
    step("evaluate", "evaluate", "intents")
    quick("promote", "promote", "intents")
    quick("force", "promote", "intents", "--force")
    quick("predict too early", "predict", "intents", new, "--out", root / "early.csv")
    quick("promote by force", "promote", "intents", "--force", "--reason", "trial for two weeks")
    step("predict", "predict", "intents", new, "--out", root / "out.csv")
    quick("monitor", "monitor", "intents")
    serve_thirty(folder)
    quick("monitor traffic", "monitor", "intents")
    quick("rollback", "rollback", "intents")
    quick("status", "status")
    quick("doctor", "doctor")
    quick("models list", "models", "list")
    return folder, root, done


def shorten(file):
    """What a user may do to task.toml: a comment, and a short training."""
    wish = "[train]\nepochs = 12  # short\nlearning_rate = 0.01\nbatch_size = 4\n"
    file.write_text("# ours since 1998\n" + file.read_text().replace("[train]\n", wish))


def serve_thirty(folder):
    """Thirty requests of the same odd kind in the store, as `serve` writes them."""
    workspace = Workspace(folder)
    for n in range(30):
        trace = Trace(
            id=f"chatcmpl-{n}", task="intents", model_version="intents@1", inputs={"text": f"quarterly fish report {n}"},
            output="change_pin", confidence=0.5, needs_review=n % 2 == 0, latency_ms=1.0, prompt_tokens=9, answer_tokens=3,
            created_at=now(),
        )  # fmt: skip
        traffic.add_trace(workspace, trace)
    workspace.close()


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ("init", 0),
        ("init again", 2),
        ("train without data", 3),
        ("add", 0),
        ("add again", 0),
        ("clean", 0),
        ("apply", 0),
        ("apply nonsense", 2),
        ("promote nothing", 3),
        ("train", 0),
        ("train again", 0),
        ("evaluate", 0),
        ("promote", 4),
        ("force", 2),
        ("predict too early", 3),
        ("promote by force", 0),
        ("predict", 0),
        ("monitor", 0),
        ("monitor traffic", 0),
        ("rollback", 3),
        ("status", 0),
        ("doctor", 0),
        ("models list", 0),
    ],
)
def test_exit_code_and_one_json_object(journey, step, code):
    done = journey[2][step]
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    assert ("error" in done.json) == (code != 0)
    if code:
        assert done.json["error"]["exit_code"] == code
        assert done.json["error"]["remedy"]


def test_init_makes_a_task_to_edit(journey, tiny_gguf):
    made = journey[2]["init"].json
    assert (made["name"], made["kind"], made["base_model"]) == ("intents", "classify", str(tiny_gguf))
    text = Path(made["file"]).read_text()
    assert text.startswith("# ours since 1998\n")
    assert "epochs = 12  # short" in text
    assert 'labels = ["card_arrival", "change_pin", "failed_transfer"]' in text


def test_add_respects_the_test_file(journey):
    added = journey[2]["add"].json
    assert added["counts"]["test"] == 12
    assert added["counts"]["train"] + added["counts"]["validation"] == 60
    assert (added["fields"], added["target"], added["dataset"]) == (["text"], "category", 1)
    again = journey[2]["add again"].json
    assert (again["dataset"], again["dataset_fingerprint"]) == (1, added["dataset_fingerprint"])
    assert "was added before" in journey[2]["add again"].err


def test_clean(journey):
    for step in ("clean", "apply"):
        meets("clean", journey[2][step].json)
    assert journey[2]["apply"].json["new_dataset"] is None  # nothing to drop: no new version
    assert "exact_duplicate" in journey[2]["apply nonsense"].json["error"]["remedy"]


def test_train_tells_the_plan_first(journey):
    trained = journey[2]["train"].json
    meets("train", trained)
    assert (trained["model_version"], trained["resumed"]) == ("intents@1", False)
    assert trained["recipe"]["epochs"] == 12
    assert trained["steps"] <= 12 * 15
    said = journey[2]["train"].err.splitlines()
    assert next(i for i, line in enumerate(said) if line.startswith("plan: ")) < next(
        i for i, line in enumerate(said) if line.startswith("step ")
    )
    assert journey[2]["train again"].json == trained  # the same recipe on the same data is not repeated


def test_evaluate_has_every_contender_and_a_verdict(journey):
    evaluation = journey[2]["evaluate"].json
    meets("evaluation", evaluation)
    names = {c["name"] for c in evaluation["contenders"]}
    writers = {"fine-tuned", "fine-tuned+retrieval", "prompted", "few-shot", "prompted-best", "retrieval"}
    assert names == {*writers, "tfidf-linear", "embedding-linear", "majority"}
    for contender in evaluation["contenders"]:
        for metric in ("accuracy", "macro_f1"):
            value = contender["metrics"][metric]
            assert 0 <= value["low"] <= value["value"] <= value["high"] <= 1
            assert value["n"] == 12
    assert evaluation["verdict"]["decision"] != "adopt"
    report = Path(evaluation["report"]).read_text("utf-8")
    assert report.startswith("<!doctype html>")
    assert evaluation["verdict"]["winner"] in report


def test_promote_refuses_and_force_is_recorded(journey):
    folder, _, done = journey
    refused = done["promote"].json["error"]
    assert refused["type"] == "Refused"
    assert "the verdict is" in refused["message"]
    assert "--force --reason" in refused["remedy"]
    promoted = done["promote by force"].json
    assert promoted == {
        "task": "intents", "champion": "intents@1", "before": None, "forced": True, "reason": "trial for two weeks"
    }  # fmt: skip
    workspace = Workspace(folder)
    from inhouse.store import registry

    move = registry.moves(workspace, "intents")[-1]
    workspace.close()
    assert (move["action"], move["forced"], move["reason"]) == ("promote", True, "trial for two weeks")


def test_predict_keeps_every_row_in_its_place(journey):
    _, root, done = journey
    assert not (root / "early.csv").exists()
    with (root / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["text", "who", "prediction", "confidence", "needs_review", "error"]
    labels = {"card_arrival", "change_pin", "failed_transfer"}
    assert [row["prediction"] in labels for row in rows] == [True, False, False, True]
    assert [row["who"] for row in rows] == ["ann", "bob", "", ""]
    assert rows[1]["error"] == "line 2: the input is empty (text)"
    assert rows[2]["error"].startswith("line 3: not valid JSON")
    assert rows[1]["needs_review"] == rows[2]["needs_review"] == "true"
    assert 0 <= float(rows[0]["confidence"]) <= 1
    predicted = done["predict"].json
    assert (predicted["rows"], predicted["errors"], predicted["model_version"]) == (4, 2, "intents@1")


def test_monitor(journey):
    quiet, busy = (journey[2][step].json for step in ("monitor", "monitor traffic"))
    meets("monitor", quiet)
    meets("monitor", busy)
    assert (quiet["window"]["traces"], quiet["decision"], quiet["drift"]) == (0, "keep", [])
    assert (busy["window"]["traces"], busy["review_rate"]) == (30, 0.5)
    drift = {signal["signal"]: signal for signal in busy["drift"]}
    assert drift["input"]["drifted"]
    assert "fish" in drift["input"]["examples"][0]
    assert busy["decision"] == "collect"


def test_rollback_without_an_earlier_champion(journey):
    assert "no earlier champion" in journey[2]["rollback"].json["error"]["message"]


def test_status_names_the_next_step(journey):
    (task,) = journey[2]["status"].json["tasks"]
    assert (task["champion"], task["dataset"], task["requests"]) == ("intents@1", 1, 30)
    assert task["next"] == "inhouse monitor intents"
    assert task["unfinished_runs"] == []


def test_doctor_and_models(journey, models_dir):
    names = {check["name"] for check in journey[2]["doctor"].json["checks"]}
    assert {"cores", "memory", "disk", "bf16", "gpu", "torch", "openvino_genai", "model all-minilm-l6-v2"} <= names
    models = {model["name"]: model for model in journey[2]["models list"].json["models"]}
    assert models["all-minilm-l6-v2"]["here"]
    assert models["all-minilm-l6-v2"]["folder"].startswith(str(models_dir))
    assert not models["smollm2-135m-instruct"]["here"]


def test_the_text_that_people_read(journey, cli):
    folder = journey[0]
    done = cli(folder, "status")
    assert "intents@1: dataset 1, accuracy" in done.out
    assert "next: inhouse monitor intents" in done.out
    done = cli(folder, "promote", "intents", "--version", "7")
    assert done.code == 3
    assert (done.out, "versions: intents@1" in done.err) == ("", True)


def test_run_does_it_all(tmp_path, cli, tiny_gguf, encoder):
    rows = many_intents(6)
    for row in rows:  # nearly what another one says
        row["text"] = row["text"].replace("forgot the number", "pin change how")
    rows.insert(30, dict(rows[0]))  # `run` may drop an exact duplicate without asking
    messages = write_csv(tmp_path / "messages.csv", rows)
    folder = tmp_path / "workspace"
    assert cli(folder, "init", "intents", "--base", tiny_gguf).code == 0
    shorten(folder / "tasks" / "intents" / "task.toml")
    done = cli(folder, "run", "intents", messages, "--input", "text", "--target", "category", "--epochs", 3, "--json")
    assert done.code == 0, done.err
    ran = done.json
    assert {"task", "train", "evaluation", "model_version"} <= ran.keys()
    meets("train", ran["train"])
    meets("evaluation", ran["evaluation"])
    meets("clean", ran["clean"])
    assert ran["task"] == "intents"
    assert [one["model_version"] for one in ran["trainings"]] == ["intents@1", "intents@2"]
    assert [one["recipe"]["method"] for one in ran["trainings"]] == ["encoder", "lora"]
    assert ran["model_version"] == ran["train"]["model_version"] == ran["evaluation"]["model_version"]
    assert ran["clean"]["removed"] == 3
    assert "2 examples of the train side dropped: nearly test examples" in done.err
    assert ran["trainings"][1]["recipe"]["epochs"] == 3
    counts = ran["add"]["counts"]
    assert sum(counts.values()) == 73
    assert ran["evaluation"]["test_examples"] == counts["test"] > 0
    (task,) = cli(folder, "status", "--json").json["tasks"]
    assert (task["candidate"], task["champion"]) == (ran["model_version"], None)
