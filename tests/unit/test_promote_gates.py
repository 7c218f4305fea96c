"""What `promote` asks of a version as it will serve, and that a running server loses no request by it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from servers import served_copy

import inhouse
from inhouse.core import Prediction, Silent
from inhouse.deploy import Dispatcher, compare, known_part
from inhouse.engine.protocol import Along, Generation
from inhouse.errors import ParityFailed, Refused
from inhouse.pipeline.release import _doubt
from inhouse.store import Workspace, predictions, records, registry, releases

WHY = {"force": True, "reason": "for the test"}


class Told:
    """Remembers what is said."""

    def __init__(self):
        self.said, self.warned = [], []

    def say(self, text):
        self.said.append(text)

    def warn(self, text):
        self.warned.append(text)

    def bar(self, what, total):
        return Silent().bar(what, total)


@pytest.fixture
def workspace(copy_of_trained):
    opened = Workspace(copy_of_trained)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("decision", "contender", "also", "supported"),
    [
        ("adopt", "fine-tuned+retrieval", ["fine-tuned+retrieval"], True),
        ("not_needed", "fine-tuned+retrieval", ["fine-tuned+retrieval"], True),
        ("adopt", "fine-tuned+retrieval", [], False),
        ("adopt", "few-shot", ["fine-tuned+retrieval"], False),
        ("not_needed", "tfidf-linear", [], True),
    ],
)
def test_what_is_made_of_a_version_is_promoted_where_the_verdict_names_it(
    monkeypatch, decision, contender, also, supported
):
    monkeypatch.setattr(registry, "alias_number", lambda *_: None)
    verdict = {"decision": decision, "winner": "tfidf-linear", "reason": "so.", "also": also}
    version = SimpleNamespace(
        name="t@2",
        task="t",
        number=2,
        contender=contender,
        lineage={"compared_with": "t@1"},
        evaluation={"verdict": verdict, "model_version": "t@2", "against_champion": None},
    )
    assert (_doubt(None, version) == "") is supported
    del verdict["also"]  # an evaluation of before
    assert bool(_doubt(None, version)) is (contender != "tfidf-linear")


def evidence(workspace, version=1):
    found = registry.find_version(workspace, "intents", version)
    fingerprint = found.lineage["dataset_fingerprint"]
    return predictions.load(workspace, "intents", found.name, predictions.TRAINER, fingerprint)


def with_examples(workspace, rows):
    here = {e.id: e for e in records.load_dataset(workspace, "intents").examples}
    return [(row, here[row["example"]]) for row in rows.iter_rows(named=True)]


def keep_evidence(workspace, version):
    """What the trainer computed for version 1, kept for another one too."""
    kept = [
        predictions.TrainerAnswer(example, row["answer"], row["prediction"], json.loads(row["evidence"]))
        for row, example in with_examples(workspace, evidence(workspace))
    ]
    predictions.save_trainer(workspace, version, kept)


def with_settings(folder, text):
    """The workspace with more in its inhouse.toml."""
    file = folder / "inhouse.toml"
    file.write_text(f"{file.read_text()}\n{text}\n")
    return Workspace(folder)


# ---------------------------------------------------------------------- the parity of now


def along(length, *others):
    """What the trainer thinks along an answer of 7s: 7 first, then `others`."""
    ranked = [7, *others]
    return Along([ranked] * length, [[-0.1 - i for i in range(len(ranked))]] * length, [-0.1] * length)


def test_the_same_answers_are_compared_whole():
    given = Generation([7, 7, 7], -0.3, finished=True, logprobs=[-0.1] * 3)
    parts, known = known_part([given], [[7, 7, 7]], [along(3, 8)])
    assert parts == [Generation([7, 7, 7], -0.3, finished=True)]
    assert known == along(3, 8)


def test_after_the_first_other_token_nothing_is_known():
    given = Generation([7, 8, 7, 7], -1.4, finished=True, logprobs=[-0.1, -1.1, -0.1, -0.1])
    (part,), known = known_part([given], [[7, 7, 7, 7]], [along(4, 8)])
    assert (part.ids, part.logprob) == ([7, 8], pytest.approx(-1.2))
    assert known.given == [-0.1, -1.1]  # what the trainer gives the token that is written now
    (part,), known = known_part([Generation([7, 9], -3.0, finished=False)], [[7, 7]], [along(2, 8)])
    assert known.given == [-0.1, -1.1], "what it did not rank is at most as likely as the last that it did"
    assert known_part([Generation([], 0.0, finished=True)], [[7]], [along(1)])[0] == []


def test_another_token_in_one_answer_of_ten_fails():
    same = Generation([7] * 5, -0.5, finished=True, logprobs=[-0.1] * 5)
    other = Generation([8] * 5, -5.5, finished=True, logprobs=[-1.1] * 5)
    right, answers = [True] * 10, [Prediction(target="a")] * 10
    for given, passed in (([same] * 10, True), ([same] * 9 + [other], False)):
        parts, known = known_part(given, [[7] * 5] * 10, [along(5, 8)] * 10)
        assert compare(parts, known, answers, answers, np.array(right), np.array(right)).passed is passed


def test_promote_compares_again_and_times(workspace):
    told = Told()
    before = registry.find_version(workspace, "intents", 1)
    inhouse.promote(workspace, "intents", told, **WHY)
    version = registry.find_version(workspace, "intents", 1)
    assert version.checked.parity.passed
    assert version.checked.parity.tokens >= len(evidence(workspace))
    assert version.checked.at > before.checked.at
    assert 0 < version.checked.latency_ms <= version.checked.latency_p95_ms
    assert version.checked.timed >= 8
    assert any("one client waits" in line for line in told.said)


def test_it_needs_no_torch(copy_of_trained, environment):
    script = (
        "import sys, inhouse\n"
        "w = inhouse.open_workspace(sys.argv[1])\n"
        "inhouse.promote(w, 'intents', force=True, reason='again')\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(copy_of_trained)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_another_model_in_its_place_is_refused_and_served_no_more(workspace, tiny_base, tmp_path):
    other = Path(shutil.copy(tiny_base.gguf, tmp_path / "other.gguf"))
    version = registry.find_version(workspace, "intents", 1)
    wrong = version.model_copy(update={"file_sha256": workspace.blobs.put_file(other, ".gguf")})
    wrong = registry.add_version(workspace, wrong)
    keep_evidence(workspace, wrong)
    with pytest.raises(Refused, match=r"intents@2 failed the parity gate: only \d+ of \d+ answer tokens agree"):
        inhouse.promote(workspace, "intents", which="2", **WHY)
    assert registry.alias_number(workspace, "intents", "champion") == 1
    with pytest.raises(ParityFailed):
        Dispatcher(workspace).choose("intents@2")
    assert "intents@2" not in [name for name, _ in Dispatcher(workspace).models()]


def test_a_damaged_file_is_refused(workspace):
    version = registry.find_version(workspace, "intents", 1)
    path = workspace.blobs.path(version.file_sha256, ".gguf")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(Refused, match="damaged"):
        inhouse.promote(workspace, "intents", **WHY)


def test_where_nothing_is_kept_it_is_said(workspace):
    version = registry.find_version(workspace, "intents", 1)
    predictions.save_trainer(workspace, version, [])
    told = Told()
    inhouse.promote(workspace, "intents", told, **WHY)
    assert any("nothing is kept that intents@1 could be compared with" in line for line in told.warned)
    assert registry.find_version(workspace, "intents", 1).checked.parity is None


def test_what_is_forgotten_is_compared_no_more(workspace):
    row, example = with_examples(workspace, evidence(workspace))[0]
    done = inhouse.forget(workspace, "intents", match=example.inputs["text"], yes=True)
    assert done.remaining == ()
    assert row["example"] not in evidence(workspace)["example"].to_list()
    inhouse.promote(workspace, "intents", **WHY)
    assert registry.find_version(workspace, "intents", 1).checked.parity.passed


# ---------------------------------------------------------------------- the latency budget


def test_a_version_that_is_too_slow_is_promoted_by_force_alone(copy_of_trained):
    workspace = with_settings(copy_of_trained, "[tasks.intents]\nlatency_ms = 0.01")
    version = registry.find_version(workspace, "intents", 1)
    verdict = {"decision": "adopt", "reason": "", "winner": "fine-tuned"}
    evaluation = {"model_version": "intents@1", "verdict": verdict, "against_champion": None}
    registry.update_version(workspace, version.model_copy(update={"evaluation": evaluation}))
    with pytest.raises(Refused, match=r"up to \d+ ms, and tasks.intents.latency_ms allows 0.01"):
        inhouse.promote(workspace, "intents", which="1")
    assert inhouse.promote(workspace, "intents", which="1", **WHY).forced
    workspace.close()
    (copy_of_trained / "inhouse.toml").write_text(
        (copy_of_trained / "inhouse.toml").read_text().replace("0.01", "60000")
    )
    workspace = Workspace(copy_of_trained)
    assert not inhouse.promote(workspace, "intents", which="1").forced
    workspace.close()


# ---------------------------------------------------------------------- a running server


@pytest.fixture(scope="module")
def server(tmp_path_factory, trained, environment):
    def second(workspace):
        version = registry.add_version(workspace, registry.find_version(workspace, "intents", 1))
        keep_evidence(workspace, version)

    with served_copy(trained, tmp_path_factory.mktemp("released"), environment, second) as server:
        yield server


def version_that_answers(server):
    body = {"model": "intents", "messages": [{"role": "user", "content": "where is my card now"}]}
    status, _, told = server.post("/v1/chat/completions", **body)
    return status, told.get("inhouse", {}).get("model_version"), told


def test_a_promotion_and_a_rollback_under_load_lose_no_request(server):
    """The new champion is loaded before it serves, and the old one is there still when it is wanted back."""
    assert version_that_answers(server)[1] == "intents@1"
    answers, over = [], threading.Event()

    def ask():
        while not over.is_set():
            began = time.monotonic()
            answered = version_that_answers(server)
            answers.append((began, time.monotonic(), *answered))

    clients = [threading.Thread(target=ask) for _ in range(6)]
    for client in clients:
        client.start()
    workspace = Workspace(server.folder)
    try:
        inhouse.promote(workspace, "intents", which="2", **WHY)
        promoted = time.monotonic()
        wish = releases.state_of(workspace, 1)
        time.sleep(0.5)
        began = time.monotonic()
        inhouse.rollback(workspace, "intents", reason="worse")
        assert version_that_answers(server)[1] == "intents@1"
        took, back = time.monotonic() - began, time.monotonic()
        time.sleep(0.3)
    finally:
        over.set()
        for client in clients:
            client.join()
        workspace.close()
    assert wish == (releases.LOADED, "")
    assert took < 1.0
    assert [told for *_, status, _, told in answers if status != 200] == []
    assert {v for at, end, _, v, _ in answers if promoted < at and end < began} == {"intents@2"}
    assert {v for at, _, _, v, _ in answers if at > back} == {"intents@1"}


def test_a_server_that_cannot_load_it_keeps_the_champion(server):
    workspace = Workspace(server.folder)
    version = registry.add_version(workspace, registry.find_version(workspace, "intents", 1))
    wish = releases.ask_to_load(workspace, "intents", version.number + 7)
    deadline = time.monotonic() + 30
    while (state := releases.state_of(workspace, wish))[0] == releases.LOADING and time.monotonic() < deadline:
        time.sleep(0.05)
    workspace.close()
    assert state[0] == releases.FAILED
    assert "has no model version" in state[1]


def test_promote_does_not_wait_for_a_server_that_is_gone(workspace):
    assert not releases.is_served(workspace)
    with releases.serving(workspace):
        assert releases.is_served(workspace)
    assert not releases.is_served(workspace)
