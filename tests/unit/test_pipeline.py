"""The lifecycle: a killed training ends as an unbroken one, retraining is honest, Python does what the command does."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import INTENTS, many_intents, write_csv

import inhouse
from inhouse.core import Feedback, Silent, Trace
from inhouse.errors import NotFound, Refused, UsageError
from inhouse.pipeline.learning_data import to_learn_from
from inhouse.store import Workspace, records, registry, traffic
from inhouse.store.database import now

# The installed command, but a checkpoint every tenth of a second: the tiny model learns too fast for one in fifteen.
TRAIN = """
import sys
from inhouse.cli import main
from inhouse.train import trainer
trainer.CHECKPOINT_SECONDS = 0.1
main(["train", "intents", "--json", "--workspace", sys.argv[1]])
"""


# ---------------------------------------------------------------------- Python and command, unbroken and killed


@dataclass
class Pair:
    """The same work done twice: by the Python verbs at a stretch, and by commands of which `train` is killed."""

    ours: Path
    theirs: Path
    python: dict
    commands: dict
    killed_at: list


def settings(folder, models_dir):
    folder.mkdir()
    (folder / "inhouse.toml").write_text(f'models_dir = "{models_dir}"\noffline = true\nthreads = 1\n')


def lengthen(folder):
    """A training of many short steps that keeps getting better."""
    file = folder / "tasks" / "intents" / "task.toml"
    file.write_text(
        file.read_text().replace("[train]\n", "[train]\nepochs = 6\nbatch_size = 1\nlearning_rate = 0.002\n")
    )


def kill_while_training(folder, environment, when):
    """Train until `when`, a generator of moments, lets go; then SIGKILL. Returns how many steps were saved."""
    said = (folder / "stderr.txt").open("w+")
    process = subprocess.Popen(
        [sys.executable, "-c", TRAIN, str(folder)], stdout=subprocess.DEVNULL, stderr=said, env=environment
    )
    deadline = time.monotonic() + 120
    while not when(folder, Path(said.name)):
        assert process.poll() is None, Path(said.name).read_text()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert process.poll() is None, "it ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    said.close()
    Path(said.name).unlink()
    return saved_steps(folder)


def saved_steps(folder):
    from safetensors import safe_open

    (file,) = folder.glob("runs/*/checkpoint.safetensors")
    with safe_open(file, framework="pt") as saved:
        return json.loads(saved.metadata()["position"])["step"]


def after_checkpoints(number, wait):
    """Lets go some time after so many new checkpoints."""
    seen, due = [], []

    def when(folder, _said):
        stamp = max((f.stat().st_mtime_ns for f in folder.glob("runs/*/checkpoint.safetensors")), default=0)
        if not seen or stamp != seen[-1]:
            seen.append(stamp)  # the first is what the last training left
        if len(seen) > number and not due:
            due.append(time.monotonic() + wait)
        return bool(due) and time.monotonic() >= due[0]

    return when


def while_packaging(_folder, said):
    """Lets go when the training is over and the model file is being made and compared."""
    return "merging the adapter" in said.read_text()


@pytest.fixture(scope="module")
def pair(tmp_path_factory, tiny_gguf, models_dir, environment, command, cli, one_thread):
    root = tmp_path_factory.mktemp("pair")
    data = write_csv(root / "data.csv", [*many_intents(), {"text": "where is my card now", "category": "card_arrival"}])
    new = write_csv(
        root / "new.csv", [{"text": t, "n": str(n)} for n, t in enumerate(["where is my card", "", "pin?"])]
    )
    pair = Pair(root / "ours", root / "theirs", {}, {}, [])
    for folder in (pair.ours, pair.theirs):
        settings(folder, models_dir)

    workspace = inhouse.open_workspace(pair.ours)
    pair.python["init"] = inhouse.init(workspace, "intents", base_model=str(tiny_gguf)).model_dump(mode="json")
    lengthen(pair.ours)
    pair.python["add"] = inhouse.add(workspace, "intents", [data], inputs=["text"], target="category").as_dict()
    pair.python["clean"] = inhouse.clean(workspace, "intents", apply=["safe"]).as_dict()
    pair.python["train"] = inhouse.train(workspace, "intents").model_dump(mode="json")
    pair.python["promote"] = inhouse.promote(workspace, "intents", force=True, reason="same").as_dict()
    pair.python["predict"] = inhouse.predict(workspace, "intents", new, root / "ours.csv").as_dict()
    pair.python["status"] = inhouse.status(workspace)
    workspace.close()

    def step(verb, *arguments):
        done = (command if verb in ("train", "predict") else cli)(pair.theirs, verb, *arguments, "--json")
        assert done.code == 0, done.err
        pair.commands[verb] = done.json

    step("init", "intents", "--base", tiny_gguf)
    lengthen(pair.theirs)
    step("add", "intents", data, "--input", "text", "--target", "category")
    step("clean", "intents", "--apply", "safe")
    dice = random.Random()
    for when in (after_checkpoints(2, dice.uniform(0, 0.3)), while_packaging):
        pair.killed_at.append(kill_while_training(pair.theirs, environment, when))
    step("status")
    pair.commands["status while broken"] = pair.commands["status"]
    step("train", "intents")
    step("promote", "intents", "--force", "--reason", "same")
    step("predict", "intents", new, "--out", root / "theirs.csv")
    step("status")
    return pair


def test_a_killed_training_ends_as_an_unbroken_one(pair):
    ours, theirs = pair.python["train"], pair.commands["train"]
    assert pair.killed_at == sorted(pair.killed_at)
    assert 0 < pair.killed_at[0] < pair.killed_at[1] == ours["steps"]
    assert (ours["resumed"], theirs["resumed"]) == (False, True)
    same = ("recipe", "steps", "best_step", "trained_tokens", "validation_loss", "history", "parity", "stopped_because")
    assert {k: theirs[k] for k in same} == {k: ours[k] for k in same}
    versions = []
    for folder in (pair.ours, pair.theirs):
        workspace = Workspace(folder)
        versions.append(registry.find_version(workspace, "intents", 1))
        workspace.close()
    assert versions[0].adapter_sha256 == versions[1].adapter_sha256
    assert versions[0].file_sha256 == versions[1].file_sha256
    assert versions[0].threshold == versions[1].threshold


def test_what_a_killed_training_leaves_is_told_and_cleared(pair):
    (task,) = pair.commands["status while broken"]["tasks"]
    assert task["versions"] == []
    assert len(task["unfinished_runs"]) == 1
    assert "goes on where it was interrupted" in task["next"]
    assert not any((pair.theirs / "runs").iterdir())
    assert [p.name for p in (pair.theirs / "blobs").iterdir() if p.name.startswith(".part-")] == []
    assert pair.commands["status"]["tasks"][0]["unfinished_runs"] == []


def test_python_and_command_do_the_same(pair):
    changing = {"file", "out", "seconds", "tokens_per_second", "run", "resumed", "workspace", "created_at", "card"}
    changing |= {"latency_p95_ms"}

    def plain(value):
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items() if k not in changing}
        return [plain(v) for v in value] if isinstance(value, (list, tuple)) else value

    assert pair.commands["clean"]["removed"] == 1
    for verb, value in pair.python.items():
        assert plain(pair.commands[verb]) == plain(json.loads(json.dumps(value))), verb
    assert (pair.ours.parent / "ours.csv").read_bytes() == (pair.theirs.parent / "theirs.csv").read_bytes()


# ---------------------------------------------------------------------- the test split


def test_a_test_example_stays_test_whatever_is_added(trained, tmp_path, tiny_gguf):
    workspace = inhouse.open_workspace(tmp_path / "workspace")
    inhouse.init(workspace, "intents", base_model=str(tiny_gguf))
    rows = [
        {"text": f"{text} {n}", "category": label}
        for label, texts in INTENTS.items()
        for text in texts
        for n in range(9)
    ]
    random.Random(0).shuffle(rows)
    seen = {}
    for number, start in enumerate(range(0, len(rows), 36)):
        file = write_csv(tmp_path / f"{number}.csv", rows[start : start + 36])
        inhouse.add(workspace, "intents", [file], inputs=["text"], target="category")
        dataset = records.load_dataset(workspace, "intents")
        now_in = {e.id: split for e, split in zip(dataset.examples, dataset.splits, strict=True)}
        assert {i: now_in[i] for i in seen} == seen
        assert len(now_in) == start + 36
        seen = now_in
    given = write_csv(tmp_path / "test.csv", [{"text": rows[0]["text"], "category": rows[0]["category"]}, rows[1]])
    silent = Silent()
    inhouse.add(workspace, "intents", [], silent, test=given)
    dataset = to_learn_from(workspace, "intents", reporter=silent)
    workspace.close()
    assert any("stand in the test too and are not learned from" in line for line in silent.warned)
    tests = [e.id for e in dataset.of("test")]
    assert {i for i, split in seen.items() if split == "test"} <= set(tests)
    assert not set(tests) & {e.id for s in ("train", "validation") for e in dataset.of(s)}


# ---------------------------------------------------------------------- retrain and the gates


def answered(workspace, n, text, output, correction):
    """A served request and the opinion on it."""
    traffic.add_trace(
        workspace,
        Trace(
            id=f"chatcmpl-{n}", task="intents", model_version="intents@1", inputs={"text": text}, output=output,
            confidence=0.9, needs_review=False, latency_ms=1.0, prompt_tokens=9, answer_tokens=3, created_at=now(),
        ),
    )  # fmt: skip
    traffic.add_feedback(
        workspace, Feedback(trace=f"chatcmpl-{n}", correction=correction, accepted=correction == output)
    )


@pytest.fixture(scope="module")
def retrained(tmp_path_factory, trained, encoder):
    """A copy of `trained` that was corrected and retrained, badly: one step where the champion had its fill."""
    folder = Path(shutil.copytree(trained, tmp_path_factory.mktemp("retrained") / "workspace"))
    workspace = inhouse.open_workspace(folder)
    before = records.load_dataset(workspace, "intents")
    for n in range(6):
        answered(workspace, n, f"when do I get plastic {n}", "change_pin", "card_arrival")
    answered(workspace, 6, "accepted as it is", "change_pin", "change_pin")  # no news
    test = before.of("test")[0]
    answered(workspace, 7, test.inputs["text"].upper(), test.target, "failed_transfer")  # a twin of a test example
    learnt = before.of("train")[0]
    other = next(label for label in INTENTS if label != learnt.target)
    answered(workspace, 8, learnt.inputs["text"], learnt.target, other)  # a person knows better than the file
    task = workspace.load_task("intents")
    wish = {"max_steps": 1, "learning_rate": 1e-6}
    workspace.save_task(task.model_copy(update={"train": task.train.model_copy(update=wish)}))
    silent = Silent()
    done = inhouse.retrain(workspace, "intents", silent)
    yield workspace, before, done, silent, learnt, other
    workspace.close()


def test_corrections_join_the_train_side_and_never_the_test(retrained):
    workspace, before, done, silent, learnt, other = retrained
    after = records.load_dataset(workspace, "intents", 2)
    assert (done.dataset, done.corrections) == (2, 7)
    assert after.of("test") == before.of("test")
    corrected = {
        e.inputs["text"]: (e.target, split)
        for e, split in zip(after.examples, after.splits, strict=True)
        if e.provenance.file.startswith("corrections/")
    }
    assert len(corrected) == 7
    assert corrected[learnt.inputs["text"]] == (other, "train")
    assert {split for _, split in corrected.values()} <= {"train", "validation"}
    assert [e for e in after.examples if e.inputs == learnt.inputs and e.target == learnt.target] == []
    assert any(warning.startswith("1 corrections are of test examples: left out") for warning in silent.warned)


def test_candidate_and_champion_meet_on_the_same_test_examples(retrained):
    workspace, before, done, *_ = retrained
    rival = done.evaluation.against_champion
    count = len(before.of("test"))
    assert (rival["champion"], done.train.model_version) == ("intents@1", "intents@2")
    assert rival["champion_accuracy"]["n"] == rival["candidate_accuracy"]["n"] == count
    assert rival["champion_accuracy"]["value"] >= 0.8
    assert rival["high"] < 0  # one step of training is worse, beyond chance
    assert rival["gain"] == pytest.approx(rival["candidate_accuracy"]["value"] - rival["champion_accuracy"]["value"])
    (tuned,) = [c for c in done.evaluation.contenders if c.name == "fine-tuned"]
    assert tuned.metrics["accuracy"].model_dump() == rival["candidate_accuracy"]
    aliases = {a: registry.alias_number(workspace, "intents", a) for a in ("champion", "candidate")}
    # Nothing was promoted; and what fails the parity gate, as a random model may, is no candidate.
    assert aliases == {"champion": 1, "candidate": 2 if done.train.parity.passed else None}


def judged(workspace, **changes):
    """Version 2 with another judgement: what the gates of `promote` read."""
    version = registry.find_version(workspace, "intents", 2)
    evaluation = dict(version.evaluation)
    # Nothing else that can be served is the best: it would be promoted in its place.
    told = {"decision": changes.get("decision", "adopt"), "winner": "majority"}
    evaluation["verdict"] = {**evaluation["verdict"], **told}
    if "rival" in changes:
        evaluation["against_champion"] = changes["rival"]
    parity = version.parity.model_copy(
        update={"passed": changes.get("parity", True), "reason": "40 % of tokens differ"}
    )
    registry.update_version(workspace, version.model_copy(update={"evaluation": evaluation, "parity": parity}))


def test_promote_asks_for_evidence(retrained):
    workspace, _, done, *_ = retrained
    rival = done.evaluation.against_champion
    with pytest.raises(UsageError, match="needs a reason"):
        inhouse.promote(workspace, "intents", force=True, reason="  ")
    for changes, said in (
        ({"decision": "not_needed"}, "the verdict is not_needed"),
        ({"decision": "collect_more"}, "the verdict is collect_more"),
        ({"decision": "reject"}, "the verdict is reject"),
        ({}, "worse than the champion intents@1"),
        ({"rival": None}, "not compared with the present champion"),
        ({"rival": {**rival, "champion": "intents@9", "high": 0.1}}, "not compared with the present champion"),
        ({"rival": {**rival, "high": 0.1}, "parity": False}, "failed the parity gate: 40 % of tokens differ"),
    ):
        judged(workspace, **changes)
        with pytest.raises(Refused, match=said) as refused:
            inhouse.promote(workspace, "intents")
        assert refused.value.exit_code == 4
    with pytest.raises(Refused, match="parity gate"):  # this one cannot be forced
        inhouse.promote(workspace, "intents", force=True, reason="I insist")
    assert registry.alias_number(workspace, "intents", "champion") == 1
    judged(workspace, rival={**rival, "high": 0.1})
    promoted = inhouse.promote(workspace, "intents", force=True, reason="not needed")
    assert (promoted.champion, promoted.before, promoted.forced) == ("intents@2", "intents@1", False)
    back = inhouse.rollback(workspace, "intents", reason="second thoughts")
    assert (back.champion, back.before) == ("intents@1", "intents@2")
    with pytest.raises(NotFound, match="no earlier champion"):
        inhouse.rollback(workspace, "intents")
