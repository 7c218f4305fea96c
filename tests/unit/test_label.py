"""`label`: unlabelled records lie in the pool, are asked about in the order that teaches most, and become examples."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import CORPUS, write_csv
from hypothesis import given
from hypothesis import strategies as st

import inhouse
from inhouse import pipeline
from inhouse.clean import Subject
from inhouse.clean.representative import representativeness
from inhouse.cli.label import Labeller
from inhouse.cli.terminal import Terminal
from inhouse.core import Dataset, Example, Provenance
from inhouse.errors import NotFound, SourceError, UsageError
from inhouse.pipeline import Move
from inhouse.scoring.teaching import margin_uncertainty, teaching_order
from inhouse.store import Workspace, pool, records

WORDS = {"card": "where is my card", "pin": "how do I change my pin", "money": "the transfer of money failed"}


def examples(count=30, start=0):
    names = list(WORDS)
    return [
        {"text": f"{WORDS[names[i % 3]]}, case {i}", "label": names[i % 3]} for i in range(start, start + count)
    ]  # fmt: skip


@pytest.fixture
def workspace(tmp_path):
    """A task with 30 examples and 12 unlabelled records."""
    made = Workspace(tmp_path / "work")
    pipeline.add(made, "tickets", [write_csv(tmp_path / "old.csv", examples())], kind="classify", target="label")
    bare = [{"text": row["text"]} for row in examples(12, start=100)]
    pipeline.add(made, "tickets", [write_csv(tmp_path / "new.csv", bare)], unlabelled=True)
    yield made
    made.close()


def right(shown):
    """What a person who knows answers."""
    return next(name for name, text in WORDS.items() if text in shown.inputs["text"])


# --- the pool


def test_rows_without_a_target_go_to_the_pool_once_and_into_no_version(workspace, tmp_path):
    assert records.latest_dataset(workspace, "tickets") == 1
    assert [str(one.provenance) for one in pool.unlabelled(workspace, "tickets")][:2] == ["new.csv:2", "new.csv:3"]
    again = pipeline.add(workspace, "tickets", [tmp_path / "new.csv"], unlabelled=True)
    assert (again.pooled, again.dataset) == (0, 1)
    texts = {e.inputs["text"] for e in records.load_dataset(workspace, "tickets").examples}
    assert not texts & {one.inputs["text"] for one in pool.unlabelled(workspace, "tickets")}


def test_of_a_mixed_file_rows_with_a_target_become_examples(workspace, tmp_path):
    rows = [{"text": "a card is lost", "label": "card"}, *({"text": f"unknown {i}", "label": ""} for i in range(5))]
    added = pipeline.add(workspace, "tickets", [write_csv(tmp_path / "mixed.csv", rows)], unlabelled=True)
    assert (added.pooled, added.rejected, added.dataset) == (5, 0, 2)
    assert sum(added.counts.values()) == 31


def test_unlabelled_rows_that_cannot_be_used_are_exported_and_mended(workspace, tmp_path):
    for name, rows in (
        ("bare.csv", "text\nfine one\n  \nfine two\na,b\nfine three\n"),
        ("mixed.csv", "text,label\na card is lost,card\nfine four,\n ,\n"),
    ):
        (tmp_path / name).write_text(rows)
        added = pipeline.add(workspace, "tickets", [tmp_path / name], unlabelled=True)
        assert [r.file for r in added.rejections] == [name] * added.rejected
        (rejected,) = added.rejected_files
        assert added.rejected == (2 if name == "bare.csv" else 1)
        assert added.pooled == (3 if name == "bare.csv" else 1)
    file = tmp_path / "mended.csv"
    file.write_text(Path(rejected).read_text().replace("\n,,", "\nnot empty any more,,"))
    assert pipeline.add(workspace, "tickets", [file], unlabelled=True).pooled == 1
    (one,) = [one for one in pool.unlabelled(workspace, "tickets") if "any more" in one.inputs["text"]]
    assert (str(one.provenance), bool(one.provenance.sha256)) == ("mixed.csv:4", True)


def test_after_an_error_or_a_no_the_pool_is_as_it_was(tmp_path):
    workspace = Workspace(tmp_path / "work")
    keyed = [{"no": f"N{i}", **row} for i, row in enumerate(examples())]
    pipeline.add(workspace, "tickets", [write_csv(tmp_path / "old.csv", keyed)], key="no", target="label")
    mixed = [{"text": "a card is lost", "label": "card"}, *({"text": f"unknown {i}", "label": ""} for i in range(5))]
    with pytest.raises(SourceError) as refused:
        pipeline.add(workspace, "tickets", [write_csv(tmp_path / "mixed.csv", mixed)], unlabelled=True)
    assert "--key no=COLUMN" in refused.value.remedy
    called = [{"number": f"M{i}", "text": row["text"], "label": row["label"]} for i, row in enumerate(mixed)]
    file = write_csv(tmp_path / "called.csv", called)
    with pytest.raises(UsageError, match="nothing was added"):
        pipeline.add(workspace, "tickets", [file], unlabelled=True, key="no=number", confirm=lambda _: False)
    assert pool.everything(workspace, "tickets") == []
    added = pipeline.add(workspace, "tickets", [file], unlabelled=True, key="no=number", confirm=lambda _: True)
    assert (added.pooled, added.dataset) == (5, 2)


def test_a_folder_of_documents_needs_no_targets(tmp_path):
    folder = tmp_path / "mails"
    folder.mkdir()
    for i in range(3):
        (folder / f"mail{i}.txt").write_text(f"letter number {i}")
    workspace = Workspace(tmp_path / "work")
    pipeline.init(workspace, "letters", kind="generate")
    assert pipeline.add(workspace, "letters", [folder], unlabelled=True).pooled == 3
    assert {one.inputs["document"] for one in pool.unlabelled(workspace, "letters")} == {
        f"letter number {i}" for i in range(3)
    }


def test_forget_erases_records_and_answers_from_the_pool(workspace):
    pool.keep_answer(workspace, "tickets", pool.unlabelled(workspace, "tickets")[0].id, "secret answer", "me")
    assert pipeline.forget(workspace, "tickets", match="secret answer").pooled == 1
    assert pipeline.forget(workspace, "tickets", match="case 105", yes=True).remaining == ()
    done = pipeline.forget(workspace, "tickets", match="secret answer", yes=True)
    assert (done.pooled, done.remaining, done.new_dataset) == (1, (), None)
    assert len(pool.everything(workspace, "tickets")) == 10
    assert b"secret answer" not in (workspace.paths.database).read_bytes()


def test_a_forgotten_file_does_not_come_back_into_the_pool(workspace, tmp_path):
    assert pipeline.forget(workspace, "tickets", source=tmp_path / "new.csv", yes=True).pooled == 12
    assert pipeline.add(workspace, "tickets", [tmp_path / "new.csv"], unlabelled=True).pooled == 0
    assert pool.everything(workspace, "tickets") == []


# --- the order


@given(st.integers(1, 40), st.integers(0, 10), st.integers(1, 60), st.integers(0, 5))
def test_the_order_names_different_records(count, labelled, wanted, seed):
    draw = np.random.default_rng(seed)
    vectors = draw.normal(size=(count, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    order = teaching_order(vectors, vectors[: min(labelled, count)], wanted, draw.random(count))
    assert len(order) == len(set(order)) <= min(count, wanted)
    assert set(order) <= set(range(count))


def test_of_uncertain_records_those_of_different_places_go_first():
    near = np.array([[1.0, 0.01 * i] for i in range(10)])
    far = np.array([[0.01 * i, 1.0] for i in range(10)])
    vectors = np.concatenate([near, far]) / np.linalg.norm(np.concatenate([near, far]), axis=1, keepdims=True)
    order = teaching_order(vectors, np.array([[1.0, 0.0]]), 2, np.full(20, 0.5))
    assert order[0] >= 10 > order[1], "the one unlike what is labelled first, and one of each place"


def test_uncertainty_is_the_margin_of_the_two_likeliest():
    assert margin_uncertainty(np.array([[0.5, 0.5, 0.0], [0.7, 0.2, 0.1]])).tolist() == pytest.approx([1.0, 0.5])
    assert margin_uncertainty(np.ones((2, 1))).tolist() == [0.0, 0.0]


# --- the session


def test_answers_become_examples_of_the_train_side_and_keep_their_provenance(workspace):
    test = records.load_dataset(workspace, "tickets").of("test")
    done = pipeline.label(workspace, "tickets", ask=right, by="maria")
    assert (done.answered, done.left, done.used, done.dataset) == (12, 0, 12, 2)
    assert done.agreed > 6, "the classical contender has learned three easy labels"
    dataset = records.load_dataset(workspace, "tickets")
    assert dataset.reason == "12 records labelled by maria"
    assert dataset.of("test") == test
    new = {str(e.provenance): e for e in dataset.learned if e.provenance.file == "new.csv"}
    assert set(new) == {f"new.csv:{line}" for line in range(2, 14)}
    assert all(e.target == right(e) and e.provenance.sha256 for e in new.values())
    with pytest.raises(NotFound, match="no unlabelled records"):
        pipeline.label(workspace, "tickets", ask=right)


def test_undo_brings_the_answers_back_to_be_used_again(workspace):
    pipeline.label(workspace, "tickets", ask=right)
    pipeline.undo(workspace, "tickets")
    assert len(pool.answered(workspace, "tickets")) == 12
    assert pipeline.label(workspace, "tickets", ask=right).used == 12


def test_moves_skip_take_back_and_end(workspace):
    said = iter(["pin", Move.SKIP, "card", Move.BACK, "money", Move.QUIT])
    seen = []

    def ask(shown):
        seen.append(shown)
        return next(said)

    done = pipeline.label(workspace, "tickets", ask=ask)
    assert (done.answered, done.left, done.used) == (2, 10, 2)
    assert seen[4].id == seen[2].id, "what was taken back is asked again"
    answers = {one.id: one.answer for one in pool.everything(workspace, "tickets") if one.answer}
    assert answers == {seen[0].id: "pin", seen[2].id: "money"}


def test_a_task_can_begin_with_unlabelled_records_alone(tmp_path):
    workspace = Workspace(tmp_path / "work")
    pipeline.init(workspace, "tickets")
    bare = write_csv(tmp_path / "new.csv", [{"text": row["text"]} for row in examples(30)])
    assert pipeline.add(workspace, "tickets", [bare], unlabelled=True).dataset == 0
    count = iter(range(30))
    early = pipeline.label(workspace, "tickets", ask=lambda s: right(s) if next(count) < 2 else Move.QUIT)
    assert (early.dataset, early.used, early.waiting) == (0, 0, 2)
    done = pipeline.label(workspace, "tickets", ask=right)
    assert (done.dataset, done.used, done.waiting) == (1, 30, 0)
    assert workspace.load_task("tickets").labels == ("card", "money", "pin")


def test_an_object_must_meet_the_schema_and_is_written_as_models_do(tmp_path):
    workspace = Workspace(tmp_path / "work")
    rows = [{"text": f"bill {i} of {i * 3} euros", "no": f"{i}", "total": f"{i * 3}"} for i in range(20)]
    pipeline.add(workspace, "bills", [write_csv(tmp_path / "a.csv", rows)], kind="extract", target=["no", "total"])
    pipeline.add(workspace, "bills", [write_csv(tmp_path / "b.csv", [{"text": "bill 77 of 9"}])], unlabelled=True)
    said = iter(["no object", '{"no": 77}', '{"total": 9, "no": 77}'])
    faults = []

    def ask(shown):
        faults.append(shown.fault)
        assert json.loads(shown.draft).keys() == {"no", "total"}
        return next(said)

    assert pipeline.label(workspace, "bills", ask=ask).used == 1
    assert faults[0] == ""
    assert "not a JSON object" in faults[1]
    assert "schema" in faults[2]
    assert '{"no":"77","total":"9"}' in {e.target for e in records.load_dataset(workspace, "bills").learned}


def test_the_listing_has_order_suggestion_and_labels(workspace):
    told = pipeline.label(workspace, "tickets")
    assert len(told.order) == 12
    assert told.answered == 0
    assert {one.suggestion for one in told.order} <= {"card", "money", "pin"}
    assert all(one.suggested_by == "the classical contender" and 0 < one.confidence <= 1 for one in told.order)


# --- the terminal


class Pseudo:
    """A command on a pseudo-terminal, on a machine without an encoder: suggestions are made of n-grams."""

    def __init__(self, folder, *arguments, **environment):
        own, other = pty.openpty()
        self.own = own
        self.process = subprocess.Popen(
            [sys.executable, "-m", "inhouse", *arguments, "-w", str(folder)],
            stdin=other, stdout=other, stderr=other, env={**os.environ, "INHOUSE_MODELS_DIR": str(folder / "none"), **environment}, start_new_session=True,
        )  # fmt: skip
        os.close(other)
        self.seen = ""

    def until(self, text):
        """Read until the screen shows a text, from where it was read last."""
        end = time.monotonic() + 60
        while text not in self.seen:
            assert time.monotonic() < end, self.seen
            if select.select([self.own], [], [], 1)[0]:
                try:
                    self.seen += os.read(self.own, 4096).decode("utf-8", "replace")
                except OSError:  # the other side is closed
                    assert text in self.seen, self.seen
            else:
                assert self.process.poll() is None or text in self.seen, self.seen
        before, _, self.seen = self.seen.partition(text)
        return before

    def type(self, line):
        """Type a line."""
        os.write(self.own, f"{line}\n".encode())

    def close(self):
        """The exit code."""
        code = self.process.wait(60)
        os.close(self.own)
        return code


def test_at_a_terminal_enter_accepts_a_prefix_picks_and_u_takes_back(workspace):
    screen = Pseudo(workspace.paths.root, "label", "tickets", "--by", "maria")
    first = screen.until("\n> ")
    assert "Enter accepts the suggestion" in first
    assert "suggestion (the classical contender" in first
    screen.type("")
    assert "1 answered, 11 left" in screen.until("\n> ")
    screen.type("mon")
    assert "2 answered" in screen.until("\n> ")
    screen.type("u")
    assert "1 answered" in screen.until("\n> ")
    screen.type("99")
    screen.until("there are 3 labels")
    screen.until("\n> ")
    screen.type("3")
    assert "2 answered" in screen.until("\n> ")
    screen.type("q")
    screen.until("answers in dataset version 2: 2")
    assert screen.close() == 0
    assert records.load_dataset(workspace, "tickets").reason == "2 records labelled by maria"


def test_a_kill_loses_no_answer(workspace):
    screen = Pseudo(workspace.paths.root, "label", "tickets")
    screen.until("\n> ")
    screen.type("1")
    screen.until("1 answered")
    os.killpg(screen.process.pid, signal.SIGKILL)
    assert screen.close() == -signal.SIGKILL
    assert [one.answer for one in pool.answered(workspace, "tickets")] == ["card"]
    assert pipeline.label(workspace, "tickets", ask=lambda _: Move.QUIT).used == 1


def test_a_text_is_edited_in_the_editor(tmp_path):
    workspace = Workspace(tmp_path / "work")
    rows = [{"text": f"question {line}", "answer": f"Dear customer, {line}. Yours"} for line in CORPUS * 3]
    pipeline.add(workspace, "letters", [write_csv(tmp_path / "a.csv", rows)], kind="generate", target="answer")
    pipeline.add(workspace, "letters", [write_csv(tmp_path / "b.csv", [{"text": "question new"}])], unlabelled=True)
    screen = Pseudo(workspace.paths.root, "label", "letters", EDITOR="sed -i s/Dear/Hello/", VISUAL="")
    screen.until("\n> ")
    screen.type("")
    screen.until("there is no suggestion")
    screen.type("e")
    screen.until("answers in dataset version 2: 1")
    assert screen.close() == 0
    made = [e for e in records.load_dataset(workspace, "letters").learned if e.provenance.file == "b.csv"]
    assert made[0].target.startswith("Hello customer")


def test_without_a_terminal_there_is_a_clear_error(workspace, cli):
    failed = cli(workspace.paths.root, "label", "tickets")
    assert failed.code == 2
    assert "needs a terminal" in failed.err
    listed = cli(workspace.paths.root, "label", "tickets", "--json")
    assert listed.code == 0
    assert len(listed.json["order"]) == 12


def test_a_new_label_is_asked_about(monkeypatch, capsys):
    lines = iter(["refund\n", "n\n", "refund\n", "y\n"])
    monkeypatch.setattr("sys.stdin.readline", lambda: next(lines), raising=False)
    shown = pipeline.Shown("1", {"text": "x"}, "a:1", None, None, "", (), "", labels=("card", "pin"))
    assert Labeller("classify", Terminal())(shown) == "refund"
    assert capsys.readouterr().err.count("is a new label") == 2


def test_labels_that_are_numbers_are_written_and_have_no_other_numbers(monkeypatch, capsys):
    lines = iter(["3\n", "n\n", "1\n"])
    monkeypatch.setattr("sys.stdin.readline", lambda: next(lines), raising=False)
    shown = pipeline.Shown("1", {"text": "x"}, "a:1", None, None, "", (), "", labels=("0", "1", "2"))
    assert Labeller("classify", Terminal())(shown) == "1"
    told = capsys.readouterr().err
    assert "\n0   1   2\n" in told
    assert "'3' is a new label" in told


def test_the_data_is_compared_with_unlabelled_records_where_nothing_was_served(workspace, tmp_path):
    rows = [{"text": f"crypto wallet question {i}"} for i in range(40)]
    pipeline.add(workspace, "tickets", [write_csv(tmp_path / "more.csv", rows)], unlabelled=True)
    told = [f.reason for f in pipeline.clean(workspace, "tickets").findings if f.check == "representativeness"]
    assert any("of the unlabelled records have words that no example has" in one and "crypto" in one for one in told)


def test_a_file_without_targets_is_told_where_it_can_go(tmp_path):
    workspace = inhouse.open_workspace(tmp_path / "w")
    inhouse.init(workspace, "tickets", kind="classify")
    file = tmp_path / "new.csv"
    file.write_text("text,queue\n" + "".join(f"message {i},\n" for i in range(20)), "utf-8")
    with pytest.raises(SourceError, match="the target is empty") as refused:
        inhouse.add(workspace, "tickets", [file], inputs=["text"], target="queue")
    assert "--unlabelled" in str(refused.value.remedy)
    workspace.close()


def test_a_word_of_the_records_is_told_as_it_is_written():
    rows = [
        Example({"text": f"the parcel number {i} is late"}, "delay", "", Provenance("a.csv", i)) for i in range(200)
    ]
    data = Dataset("tickets", 1, tuple(rows), ("train",) * len(rows))
    records = [{"text": f"our requests of week {i} are open"} for i in range(200)]
    reasons = [f.reason for f in representativeness(Subject(data, "classify", unlabelled=records))]
    words = next(reason for reason in reasons if "have words" in reason)
    assert words.startswith("100% of the unlabelled records have words")
    assert "requests (200)" in words
