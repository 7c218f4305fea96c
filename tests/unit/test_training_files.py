"""Training files are refused line by line, with the sentences that OpenAI's users know."""

from __future__ import annotations

import json

import pytest

from inhouse import pipeline
from inhouse.core import Silent
from inhouse.pipeline.jobs import validate
from inhouse.pipeline.jobs.validate import Fault, check_file, check_lines
from inhouse.store import Workspace, records

ASK, ANSWER = {"role": "user", "content": "where is my card?"}, {"role": "assistant", "content": "on its way"}
ROW = {"messages": [ASK, ANSWER]}
PAIR = {
    "input": {"messages": [ASK]},
    "preferred_output": [ANSWER],
    "non_preferred_output": [{**ANSWER, "content": "no"}],
}
HEAD = "The job failed due to a file format error in the training file. Invalid file format. "


def write(path, *rows, before=b""):
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(before + b"\n".join(lines) + b"\n")
    return path


@pytest.fixture
def check(tmp_path):
    def check(*rows, method="supervised", many=True, **wish):
        good = PAIR if method == "dpo" else ROW
        return check_file(write(tmp_path / "f.jsonl", *([good] * 10 if many else []), *rows), method, **wish)

    return check


def test_good_files_have_no_fault(check, tmp_path):
    told = {**ROW, "tools": [], "parallel_tool_calls": True}
    silent = {
        "messages": [{"role": "system", "content": "s"}, ASK, {**ANSWER, "weight": 0}, ASK, {**ANSWER, "weight": 1}]
    }
    parts = {"messages": [{**ASK, "content": [{"type": "text", "text": "hi"}]}, ANSWER]}
    assert check(told, silent, parts, b"", b"  ", {"prompt": "p", "completion": "c"}) == []
    older = {"input": PAIR["input"], "preferred_completion": [ANSWER], "non_preferred_completion": [ANSWER]}
    assert check(older, method="dpo") == []
    marked = write(tmp_path / "bom.jsonl", *[ROW] * 10, before=b"\xef\xbb\xbf")
    assert (check_lines(marked), check_file(marked)) == ("", [])


def test_what_passes_is_read_as_examples(tmp_path):
    workspace = Workspace(tmp_path / "w")
    try:
        for task, rows in (("sft", [ROW]), ("dpo", [PAIR]), ("old", [{"prompt": "p", "completion": "c"}])):
            method = "dpo" if task == "dpo" else "supervised"
            written = [
                json.dumps(row).replace("where", f"{n}: where").replace("on its", f"{n} on its")
                for row in rows
                for n in range(40)
            ]
            numbered = ((row, str(n)) for n, row in enumerate(written))
            many = [json.loads(row.replace('"p"', f'"p {n}"').replace('"c"', f'"c {n}"')) for row, n in numbered]
            path = write(tmp_path / f"{task}.jsonl", *many, before=b"\xef\xbb\xbf")
            assert check_file(path, method) == []
            pipeline.init(workspace, task, kind="generate")
            columns = {"inputs": ["prompt"], "target": "completion"} if task == "old" else {}
            added = pipeline.add(workspace, task, [path], Silent(), **columns)
            assert (added.rejected, len(records.load_dataset(workspace, task).examples)) == (0, 40)
    finally:
        workspace.close()


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({**ROW, "weight": 1}, 'Example 11 contains an extra "weight".'),
        ({"text": "x"}, 'Example 11 contains an extra "text".'),
        ({}, 'Example 11 is missing "messages".'),
        ({"messages": []}, "Example 11 cannot be used: 'messages' is not a list of messages."),
        ({"messages": [ASK]}, "Example 11 cannot be used: no message is an assistant's with weight 1: there is no answer to learn."),
        ({"messages": [ASK, {"role": "bot", "content": "x"}]}, "Example 11 cannot be used: the role of message 2 is 'bot', not one of system, developer, user, assistant."),
        ({"messages": [ASK, {**ANSWER, "weight": 2}]}, "Example 11 cannot be used: the weight of message 2 is 2, not 0 or 1."),
        ({**ROW, "tools": [{"type": "function"}]}, "Example 11 cannot be used: the row has the key 'tools': calls of tools are not learned."),
        ({"messages": [{**ASK, "content": "a <|fim_suffix|> b"}, ANSWER]}, "Example 11 message contains an invalid token: <|fim_suffix|>."),
        ({"prompt": "x", "completion": " "}, 'Example 11 has no text as its "completion".'),
        ([1], 'Example 11 is not a dictionary (HINT: line starts with: "[1]").'),
        (b'{"messages": 1', 'Example 11 is not a dictionary (HINT: line starts with: "{"messages": 1").'),
        (b'{"a": "\xff"}', "Example 11 is not UTF-8."),
    ],
)  # fmt: skip
def test_each_fault_has_its_line_and_sentence(check, row, told):
    assert check(b"", row, ROW) == [Fault("invalid_file_format", HEAD + told, "training_file", 12)]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (ROW, 'Example 11 contains an extra "messages".'),
        ({"input": PAIR["input"], "preferred_output": [ANSWER]}, 'Example 11 is missing "non_preferred_output".'),
        ({**PAIR, "preferred_output": [ASK]}, "Example 11 cannot be used: the better answer is not one message of the assistant."),
        ({**PAIR, "input": {"messages": [ASK], "tools": [1]}}, "Example 11 cannot be used: 'input' has the key 'tools': leave it out."),
        ({**PAIR, "input": "x"}, "Example 11 is no conversation with two answers."),
    ],
)  # fmt: skip
def test_faults_of_pairs(check, row, told):
    assert check(row, method="dpo") == [Fault("invalid_file_format", HEAD + told, "training_file", 11)]


def test_too_few_examples_are_told_of(check):
    told = "Training file has 7 example(s), but must have at least 10 examples"
    assert check(*[ROW] * 7, many=False) == [Fault("invalid_n_examples", told, "training_file")]
    assert check(ROW, many=False, validation=True) == []
    (fault,) = check(many=False, validation=True)
    assert (fault.param, fault.message[:15]) == ("validation_file", "Validation file")
    (fault,) = check({"x": 1}, validation=True)
    assert "in the validation file" in fault.message


def test_long_lines_are_not_held_and_many_faults_are_cut_off(check, tmp_path, monkeypatch):
    monkeypatch.setattr(validate, "MOST_LINE_BYTES", 2**20)
    long = b'{"messages": "' + b"x" * 2**21 + b'"}'
    (fault,) = check(long, ROW)
    assert (fault.line, fault.message) == (11, f"{HEAD}Example 11 is longer than 1 MiB.")
    assert len(check(*[[1]] * 500)) == validate.MOST_FAULTS
    head = "Expected file to have JSONL format, where every line is a JSON dictionary."
    assert check_lines(write(tmp_path / "x", {}, long, {})) == f"{head} Line 2 is longer than 1 MiB."
    assert check_lines(write(tmp_path / "x", b"", b" ")) == "File is empty."
    deep = b'{"a": ' + b"[" * 100_000 + b"}"
    assert "Line 1 is not a dictionary" in check_lines(write(tmp_path / "x", deep))
