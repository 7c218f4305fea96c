"""Extract, generate and chat tasks through the whole cycle on the tiny base: what is stored, judged, served."""

from __future__ import annotations

import csv
import json

import jsonschema
import pytest
from fastapi.testclient import TestClient

from inhouse.api.app import make_app
from inhouse.core.json_schema import parse_object, validate
from inhouse.store import Workspace, records, registry

TOWNS = ["Delft", "Ghent", "Bonn", "Lille", "Derby", "Turin"]


def orders(count=60):
    return [
        {
            "mail": f"Hello, please send {n % 9 + 1} lamps to {TOWNS[n % 6]}. Order {n}.",
            "order": {"town": TOWNS[n % 6], "lamps": n % 9 + 1, "items": [{"no": f"{n}"}]},
        }
        for n in range(count)
    ]


def letters(count=60):
    return [
        {
            "request": f"Customer {n} asks for {n % 9 + 1} lamps in {TOWNS[n % 6]}",
            "answer": f"Order\n- {n % 9 + 1} lamps\nPlace\n- {TOWNS[n % 6]}",
        }
        for n in range(count)
    ]


def chats(count=40):
    return [
        {
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": f"I need {n} lamps"},
                {"role": "assistant", "content": "Where to?"},
                {"role": "user", "content": f"{TOWNS[n % 6]} please, case {n}"},
                {"role": "assistant", "content": f"Sent to {TOWNS[n % 6]}."},
            ]
        }
        for n in range(count)
    ]


def write(path, rows):
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    return path


def trained_task(cli, folder, name, tiny_gguf, kind, file, *options):
    """init, add, train for a few steps, evaluate, promote by force; the evaluation."""
    assert cli(folder, "init", name, "--kind", kind, "--base", tiny_gguf).code == 0
    task = folder / "tasks" / name / "task.toml"
    task.write_text(task.read_text().replace("[train]\n", "[train]\nmax_steps = 4\nbatch_size = 4\n"))
    added = cli(folder, "add", name, file, *options, "--json")
    assert added.code == 0, added.err
    trained = cli(folder, "train", name, "--json")
    assert trained.code == 0, trained.err
    evaluated = cli(folder, "evaluate", name, "--json")
    assert evaluated.code == 0, evaluated.err
    return evaluated.json


@pytest.fixture(scope="module")
def kinds(tmp_path_factory, tiny_gguf, cli, one_thread):
    folder = tmp_path_factory.mktemp("kinds") / "work"
    root = folder.parent
    done = {
        "orders": trained_task(
            cli,
            folder,
            "orders",
            tiny_gguf,
            "extract",
            write(root / "orders.jsonl", orders()),
            "--input",
            "mail",
            "--target",
            "order",
            "--group",
            "order.items.0.no",
        ),
        "letters": trained_task(
            cli,
            folder,
            "letters",
            tiny_gguf,
            "generate",
            write(root / "letters.jsonl", letters()),
            "--input",
            "request",
            "--target",
            "answer",
        ),
        "chats": trained_task(cli, folder, "chats", tiny_gguf, "generate", write(root / "chats.jsonl", chats())),
    }
    return folder, done


def test_every_kind_meets_the_contract_and_has_its_contenders(kinds):
    from pathlib import Path

    contract = json.loads((Path(__file__).parents[1] / "contracts" / "evaluation.schema.json").read_text())
    for evaluation in kinds[1].values():
        jsonschema.validate(evaluation, contract)
        assert [c["name"] for c in evaluation["contenders"]] == ["fine-tuned", "prompted", "few-shot", "majority"]


def test_metrics_of_each_kind(kinds):
    metrics = {name: set(e["contenders"][0]["metrics"]) for name, e in kinds[1].items()}
    assert metrics["orders"] == {"valid", "fields_exact", "object_exact", "field:town", "field:lamps", "field:items"}
    assert {"chrf", "rouge_l", "checks_passed", "check:sections", "check:order"} <= metrics["letters"]
    assert {"chrf", "rouge_l", "checks_passed"} <= metrics["chats"]
    assert {e["primary_metric"] for e in kinds[1].values()} == {"fields_exact", "chrf"}


def test_the_schema_is_kept_and_every_answer_that_was_given_meets_it(kinds):
    folder, done = kinds
    workspace = Workspace(folder)
    task = workspace.load_task("orders")
    assert task.json_schema["properties"]["lamps"] == {"type": "integer"}
    assert set(task.json_schema["required"]) == {"town", "lamps", "items"}
    version = registry.find_version(workspace, "orders", "latest")
    assert version.json_schema == task.json_schema
    for name in ("fine-tuned", "prompted", "few-shot", "majority"):
        kept = records.load_predictions(workspace, "orders", version.name, name, done["orders"]["dataset_fingerprint"])
        given = [a for a in kept["answer"].to_list() if a is not None]
        assert all(validate(task.json_schema, parse_object(a)) == "" for a in given)
        assert kept["error"].is_null().sum() == len(given), "no answer without its reason"
    workspace.close()


def test_groups_of_a_path_stay_together_and_the_outline_is_kept(kinds):
    workspace = Workspace(kinds[0])
    dataset = records.load_dataset(workspace, "orders")
    assert {e.group for e in dataset.of("train")}.isdisjoint(e.group for e in dataset.of("test"))
    assert [s.strip(":") for s in workspace.load_task("letters").outline.sections] == ["Order", "Place"]
    assert workspace.load_task("chats").input.chat
    workspace.close()


def test_predict_keeps_rows_and_names_what_it_could_not_answer(kinds, cli, tmp_path):
    folder, _ = kinds
    assert cli(folder, "promote", "orders", "--force", "--reason", "test").code in (0, 4)
    rows = [{"mail": "send 3 lamps to Bonn"}, {"mail": ""}]
    done = cli(
        folder,
        "predict",
        "orders",
        write(tmp_path / "new.jsonl", rows),
        "--out",
        tmp_path / "out.csv",
        "--version",
        "latest",
    )
    if done.code == 4:
        pytest.skip("so short a training failed the parity gate")
    found = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert [r["mail"] for r in found] == [r["mail"] for r in rows]
    assert found[1]["error"]
    assert found[0]["error"] or parse_object(found[0]["prediction"]) is not None


def test_served_texts_end_as_asked_and_conversations_are_read_whole(kinds):
    workspace = Workspace(kinds[0])
    version = registry.find_version(workspace, "chats", "latest")
    parity = version.parity.model_copy(update={"passed": True})
    registry.update_version(workspace, version.model_copy(update={"parity": parity}))
    with TestClient(make_app(workspace)) as client:

        def ask(messages, **more):
            return client.post("/v1/chat/completions", json={"model": version.name, "messages": messages, **more})

        turns = chats(1)[0]["messages"][:4]
        answer = ask(turns, max_tokens=3).json()
        assert answer["choices"][0]["finish_reason"] == "length"
        assert answer["usage"]["completion_tokens"] == 3
        assert answer["inhouse"]["needs_review"]
        assert answer["inhouse"]["warnings"] == []
        assert ask(turns[:3]).status_code == 400, "the last word is not the user's"
        assert ask([{"role": "tool", "content": "x"}]).status_code == 400
        assert ask(turns, response_format={"type": "json_object"}).status_code == 400


def test_a_correction_must_meet_the_schema(kinds):
    from inhouse.api.app import _unfit

    workspace = Workspace(kinds[0])
    task = workspace.load_task("orders")
    assert _unfit(task, '{"town":"Bonn","lamps":3,"items":[]}') is None
    assert _unfit(task, '{"town":"Bonn"}')
    assert _unfit(task, "Bonn")
    assert _unfit(workspace.load_task("letters"), "any text") is None
    workspace.close()


def test_a_metric_of_another_kind_is_refused_with_its_line(kinds, cli):
    file = kinds[0] / "tasks" / "letters" / "task.toml"
    before = file.read_text()
    file.write_text(before.replace('primary = "chrf"', 'primary = "accuracy"'))
    done = cli(kinds[0], "status")
    file.write_text(before)
    assert done.code == 3
    assert "accuracy" in done.err
    assert "Traceback" not in done.err
