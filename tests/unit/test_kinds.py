"""Extract, generate and chat tasks through the whole cycle on the tiny base: what is stored, judged, served."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from fastapi.testclient import TestClient

from inhouse.api.app import make_app
from inhouse.core import Feedback, Prediction, Silent, Trace
from inhouse.core.json_schema import parse_object, validate
from inhouse.pipeline.release_check import check_served
from inhouse.store import Workspace, predictions, records, registry, traffic
from inhouse.store.database import now

TOWNS = ["Delft", "Ghent", "Bonn", "Lille", "Derby", "Turin"]


def orders(count=40):
    return [
        {
            "mail": f"Hello, please send {n % 9 + 1} lamps to {TOWNS[n % 6]}. Order {n}.",
            "order": {"town": TOWNS[n % 6], "lamps": n % 9 + 1, "items": [{"no": f"{n}"}]},
        }
        for n in range(count)
    ]


def letters(count=40):
    return [
        {
            "request": f"Customer {n} asks for {n % 9 + 1} lamps in {TOWNS[n % 6]}",
            "answer": f"Order\n- {n % 9 + 1} lamps\nPlace\n- {TOWNS[n % 6]}",
        }
        for n in range(count)
    ]


def chats(count=30):
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


WRITERS = ("fine-tuned", "fine-tuned+retrieval", "prompted", "few-shot", "prompted-best", "retrieval")


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
def kinds(tmp_path_factory, tiny_gguf, encoder, cli, one_thread):
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
    workspace = Workspace(folder)
    for name in done:  # so short a training of a random model is no test of the parity gate
        version = registry.find_version(workspace, name, "latest")
        parity = version.parity.model_copy(update={"passed": True})
        registry.update_version(workspace, version.model_copy(update={"parity": parity}))
    workspace.close()
    return folder, done


def test_every_kind_meets_the_contract_and_has_its_contenders(kinds):
    contract = json.loads((Path(__file__).parents[1] / "contracts" / "evaluation.schema.json").read_text())
    for evaluation in kinds[1].values():
        jsonschema.validate(evaluation, contract)
        assert [c["name"] for c in evaluation["contenders"]] == [*WRITERS, "majority"]
        assert [(one["contender"], one["reason"].split(";")[0]) for one in evaluation["left_out"]] == [
            ("grounded", "there are no documents to look things up in")
        ]
        chosen, *others = evaluation["prompts"]
        assert chosen["chosen"]
        assert chosen["contender"] == "prompted-best"
        assert not any(one["chosen"] or one["metric"]["value"] > chosen["metric"]["value"] for one in others)


def test_metrics_of_each_kind(kinds):
    metrics = {name: set(e["contenders"][0]["metrics"]) for name, e in kinds[1].items()}
    assert metrics["orders"] == {"valid", "fields_exact", "object_exact", "field:town", "field:lamps", "field:items"}
    assert {"chrf", "rouge_l", "checks_passed", "check:sections", "check:order"} <= metrics["letters"]
    assert {"chrf", "rouge_l"} <= metrics["chats"]
    assert {e["primary_metric"] for e in kinds[1].values()} == {"fields_exact", "chrf"}


def test_the_schema_is_kept_and_every_answer_that_was_given_meets_it(kinds):
    folder, done = kinds
    workspace = Workspace(folder)
    task = workspace.load_task("orders")
    assert task.json_schema["properties"]["lamps"] == {"type": "integer"}
    assert set(task.json_schema["required"]) == {"town", "lamps", "items"}
    version = registry.find_version(workspace, "orders", "latest")
    assert version.json_schema == task.json_schema
    for name in (*WRITERS, "majority"):
        kept = predictions.load(workspace, "orders", version.name, name, done["orders"]["dataset_fingerprint"])
        given = [a for a in kept["answer"].to_list() if a is not None]
        assert all(validate(task.json_schema, parse_object(a)) == "" for a in given)
        assert kept["error"].is_null().sum() == len(given), "no answer without its reason"
    workspace.close()


def test_answers_are_held_to_the_numbers_of_their_own_input_in_service_too(kinds, cli, tmp_path):
    """Every order names its lamps, so `lamps` is taken from the mail: a random model answers one of its numbers."""
    folder = kinds[0]
    workspace = Workspace(folder)
    version = registry.find_version(workspace, "orders", "latest")
    assert workspace.load_task("orders").from_input == {"lamps": "number", "items.no": "amount"}
    assert version.from_input == {"lamps": "number", "items.no": "amount"}
    mails = [f"Hello, please send {n} lamps to Bonn. Order {n + 50}." for n in range(20, 32)]
    new, out = write(tmp_path / "new.jsonl", [{"mail": mail} for mail in mails]), tmp_path / "out.csv"
    assert cli(folder, "predict", "orders", new, "--out", out, "--version", "latest").code == 0
    rows = list(csv.DictReader(out.read_text().splitlines()))
    held = 0
    with TestClient(make_app(workspace)) as client:
        for n, (mail, row) in enumerate(zip(mails, rows, strict=True), 20):
            body = {"model": version.name, "messages": [{"role": "user", "content": mail}]}
            whole = client.post("/v1/chat/completions", json=body).json()
            streamed = client.post("/v1/chat/completions", json=body | {"stream": True}).text
            if row["error"]:
                assert "error" in whole
                continue
            assert whole["choices"][0]["message"]["content"] == row["prediction"]
            pieces = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith('data: {"id')]
            text = "".join(p["choices"][0]["delta"].get("content") or "" for p in pieces if p["choices"])
            assert text == row["prediction"]
            if whole["inhouse"]["confidence"] > 0:  # else it was asked again, without being held
                found = parse_object(text)
                assert found["lamps"] in (n, n + 50)
                held += 1
    workspace.close()
    assert held >= 3


def test_another_form_of_the_answers_is_another_version(kinds, cli):
    folder = kinds[0]
    file = folder / "tasks" / "orders" / "task.toml"
    before = file.read_text()
    try:
        file.write_text(before.replace('"items.no" = "amount"\n', ""))
        told = cli(folder, "evaluate", "orders", "--json").json["warnings"]
        assert any("what is taken from the input, has changed" in warning for warning in told)
        trained = cli(folder, "train", "orders", "--json")
    finally:
        file.write_text(before)
    assert trained.json["model_version"] == "orders@2"
    workspace = Workspace(folder)
    assert registry.find_version(workspace, "orders", "latest").from_input == {"lamps": "number"}
    workspace.close()


def test_what_no_answer_can_say_is_told(kinds):
    from inhouse.pipeline.evaluating.warnings import out_of_reach_of

    workspace = Workspace(kinds[0])
    version = registry.find_version(workspace, "orders", "latest")
    test = records.load_dataset(workspace, "orders").of("test")
    assert not out_of_reach_of(version, test)
    odd = replace(test[0], target='{"town":"Bonn","lamps":"many","items":[]}')
    assert out_of_reach_of(version, [*test, odd, odd]) == {"lamps: 'many' is not of type 'integer'": 2}
    workspace.close()


def test_answers_that_were_cut_off_are_told_of_every_contender(kinds):
    from inhouse.evaluate.contenders import UNASKED, Answers
    from inhouse.pipeline.evaluating.warnings import warnings_of

    workspace = Workspace(kinds[0])
    version = registry.find_version(workspace, "letters", "latest")
    dataset = records.load_dataset(workspace, "letters")
    whole, cut = Prediction(target="x"), Prediction(target="x", finished=False)
    answers = [
        Answers("fine-tuned", True, [], [whole, cut, whole], 1.0),
        Answers("prompted", False, [], [cut, cut, UNASKED], 1.0),
        Answers("retrieval", False, [], [cut, whole, whole], 1.0),
        Answers("majority", False, [], [whole, whole, whole], 1.0),
    ]
    most = f"were cut off after {version.answer_tokens} tokens"
    assert warnings_of(version.answers_as(workspace.load_task("letters")), [version], dataset, answers)[:2] == (
        f"fine-tuned: 1 of 3 answers {most}",
        f"answers that {most}: 2 of 2 by prompted, 1 of 3 by retrieval",
    )
    workspace.close()


def test_groups_of_a_path_stay_together_and_the_outline_is_kept(kinds):
    workspace = Workspace(kinds[0])
    dataset = records.load_dataset(workspace, "orders")
    assert {e.group for e in dataset.of("train")}.isdisjoint(e.group for e in dataset.of("test"))
    assert [s.strip(":") for s in workspace.load_task("letters").outline.sections] == ["Order", "Place"]
    assert workspace.load_task("chats").input.chat
    workspace.close()


def test_an_object_says_how_sure_it_is_of_each_field(kinds, cli, tmp_path):
    folder, done = kinds
    review = done["orders"]["field_review"]
    assert review is None or {f["field"] for f in review["fields"]} <= {"town", "lamps", "items"}
    assert done["letters"]["field_review"] is None
    file = write(tmp_path / "some.jsonl", [{"mail": o["mail"]} for o in orders(3)])
    answered = cli(folder, "predict", "orders", file, "--out", tmp_path / "out.csv", "--version", "candidate")
    assert answered.code == 0, answered.err
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    assert list(rows[0])[-2:] == ["error", "confidence_by_field"]
    for row in rows:
        if not row["prediction"]:
            assert row["confidence_by_field"] == ""
            continue
        parts = json.loads(row["confidence_by_field"])
        assert list(parts.values()) == sorted(parts.values()), "the least sure first"
        assert set(parts) == set(json.loads(row["prediction"]))


def test_what_was_forgotten_is_measured_of_language_models(kinds):
    for evaluation in kinds[1].values():
        moved = evaluation["forgetting"]
        assert moved["low"] <= moved["divergence"] <= moved["high"]
        assert moved["prompts"] >= 16


def test_predict_keeps_rows_and_names_what_it_could_not_answer(kinds, cli, tmp_path):
    folder, _ = kinds
    rows = [{"mail": "send 3 lamps to Bonn"}, {"mail": ""}]
    done = cli(
        folder,
        "predict",
        "orders",
        write(tmp_path / "new.jsonl", rows),
        "--out",
        tmp_path / "out.csv",
        "--version",
        "1",
    )
    assert done.code == 0, done.err
    found = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert [r["mail"] for r in found] == [r["mail"] for r in rows]
    assert found[1]["error"]
    assert found[0]["error"] or parse_object(found[0]["prediction"]) is not None


def test_served_texts_end_as_asked_and_conversations_are_read_whole(kinds):
    workspace = Workspace(kinds[0])
    version = registry.find_version(workspace, "chats", "latest")
    with TestClient(make_app(workspace)) as client:

        def ask(messages, **more):
            return client.post("/v1/chat/completions", json={"model": version.name, "messages": messages, **more})

        turns = chats(1)[0]["messages"][:4]
        answer = ask(turns, max_tokens=3).json()
        assert answer["choices"][0]["finish_reason"] == "length"
        assert answer["usage"]["completion_tokens"] == 3
        assert answer["inhouse"]["needs_review"]
        assert answer["inhouse"]["warnings"] == ["the answer was cut off after 3 tokens"]
        assert ask(turns[:3]).status_code == 400, "the last word is not the user's"
        assert ask([{"role": "tool", "content": "x"}]).status_code == 400
        held = ask(turns, response_format={"type": "json_object"}).json()["choices"][0]["message"]["content"]
        assert held.startswith("{")
        assert ask(turns, response_format={"type": "xml"}).status_code == 400
        whole = ask(turns, max_tokens=24).json()["choices"][0]["message"]["content"]
        middle = whole[len(whole) // 2 :][:2]
        cut = ask(turns, max_tokens=24, stop=[middle]).json()["choices"][0]
        assert (cut["message"]["content"], cut["finish_reason"]) == (whole[: whole.index(middle)], "stop")
    workspace.close()


def test_a_text_that_breaks_its_structure_goes_to_a_person_with_the_reason(kinds, cli, tmp_path):
    """A random model keeps no structure: no confidence may let its texts out unseen."""
    folder = kinds[0]
    workspace = Workspace(folder)
    version = registry.find_version(workspace, "letters", "latest")
    assert version.outline == workspace.load_task("letters").outline
    registry.update_version(workspace, version.model_copy(update={"threshold": 0.0}))
    with TestClient(make_app(workspace)) as client:
        request = {"model": version.name, "messages": [{"role": "user", "content": "Customer 1 asks for 2 lamps"}]}
        told = client.post("/v1/chat/completions", json=request).json()["inhouse"]
    workspace.close()
    assert told["needs_review"]
    assert "fails checks of its outline: sections" in told["warnings"][0] or "cut off" in told["warnings"][0]
    new, out = write(tmp_path / "new.jsonl", [{"request": "Customer 1 asks for 2 lamps"}]), tmp_path / "out.csv"
    assert cli(folder, "predict", "letters", new, "--out", out, "--version", "latest").code == 0
    (row,) = csv.DictReader(out.read_text().splitlines())
    assert row["needs_review"] == "true"
    assert row["error"]


def test_a_conversation_which_nothing_judges_goes_to_a_person(kinds):
    workspace = Workspace(kinds[0])
    version = registry.find_version(workspace, "chats", "latest")
    assert version.threshold > 1
    assert "checks_passed" not in kinds[1]["chats"]["contenders"][0]["metrics"]
    workspace.close()


def test_corrections_of_people_become_targets_as_the_model_may_write_them(kinds):
    from inhouse.pipeline.corrections import waiting_corrections

    workspace = Workspace(kinds[0])
    task = workspace.load_task("orders")
    trace = Trace(
        id="t1",
        task="orders",
        model_version="orders@1",
        inputs={"mail": "please send five lamps to Bonn"},
        output='{"town":"Bonn","lamps":4,"items":[]}',
        confidence=0.5,
        needs_review=True,
        latency_ms=1.0,
        prompt_tokens=9,
        answer_tokens=9,
        created_at=now(),
    )
    traffic.add_trace(workspace, trace)
    typed = '{\n  "lamps": 5,\n  "items": [],\n  "town": "Bonn"\n}'
    traffic.add_feedback(workspace, Feedback(trace="t1", correction=typed, accepted=False))
    made = waiting_corrections(workspace, task, records.load_dataset(workspace, "orders"))
    workspace.close()
    assert made.usable == 1
    assert made.built.dataset.examples[-1].target == '{"town":"Bonn","lamps":5,"items":[]}'


def test_a_remote_model_that_is_away_is_left_out_and_said_so(kinds, cli):
    folder = kinds[0]
    settings, task = folder / "inhouse.toml", folder / "tasks" / "letters" / "task.toml"
    before = settings.read_text(), task.read_text()
    table = '[remotes.away]\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "m"\napi_key_env = "AWAY_KEY"\n'
    settings.write_text(f"{before[0]}\n{table}")
    task.write_text(before[1].replace("remotes = []", 'remotes = ["away"]'))
    done = cli(folder, "evaluate", "letters", "--json")
    task.write_text(before[1].replace("remotes = []", 'remotes = ["a_way"]'))
    mistyped = cli(folder, "evaluate", "letters")
    settings.write_text(before[0])
    task.write_text(before[1])
    assert done.code == 0, done.err
    assert "remote:away" not in [c["name"] for c in done.json["contenders"]]
    assert any(w.startswith("remote:away was not compared") for w in done.json["warnings"])
    assert mistyped.code == 3
    assert "fine-tuned" not in mistyped.err, "told before any work"
    first, second = ({c["name"]: c for c in e["contenders"]} for e in (kinds[1]["letters"], done.json))
    for name in WRITERS:
        assert first[name]["cached"] == 0 or name == "prompted-best", "it was asked some in its search"
        assert second[name]["cached"] == done.json["validation_examples"] + done.json["test_examples"], name
        assert second[name]["metrics"] == first[name]["metrics"]


def test_a_scorer_of_ones_own_decides_and_a_judge_is_held_to_the_grades_of_people(kinds, cli, tmp_path):
    folder, done = kinds
    file = folder / "tasks" / "letters" / "task.toml"
    before = file.read_text()
    own = '@inhouse.scorer("towns", kinds=("generate",))\ndef towns(answer, expected, inputs):\n'
    (file.parent / "mine.py").write_text(f"import inhouse\n{own}    return expected.split()[-1] in answer\n")
    changed = before.replace('primary = "chrf"', 'primary = "towns"\njudge = "base"')
    file.write_text(changed.replace("scorers = []", 'scorers = ["mine.py"]'))
    graded = [{**row, "grade": 1 + n % 5} for n, row in enumerate(letters())]
    grades = write(tmp_path / "grades.jsonl", graded)
    found = cli(folder, "evaluate", "letters", "--grades", grades, "--json")
    html = Path(found.json["report"]).read_text("utf-8")
    (file.parent / "mine.py").write_text(f"import inhouse\n{own}    return 2\n")
    broken = cli(folder, "evaluate", "letters", "--json")
    file.write_text(before)
    assert found.code == 0, found.err
    assert found.json["primary_metric"] == "towns"
    ours = found.json["contenders"][0]["metrics"]
    assert {"chrf", "towns"} <= set(ours)
    assert 0 <= ours["towns"]["low"] <= ours["towns"]["value"] <= ours["towns"]["high"] <= 1
    ways = ["prompted", "few-shot", "prompted-best", "retrieval", "majority"]
    compared = [c["theirs"] for c in found.json["comparisons"] if c["ours"] == "fine-tuned"]
    assert compared == ways
    assert "a towns of" in found.json["verdict"]["reason"]
    assert "towns: a scorer of your own" in html
    assert "as a judge are not shown" in found.json["judge"]["sentence"]
    assert broken.code == 3
    assert broken.json["error"]["file"].endswith("mine.py")
    assert broken.json["error"]["line"] == 2
    assert done["letters"]["judge"] is None


def test_passages_of_documents_are_cited_in_what_is_kept_and_in_the_report(kinds, cli):
    folder = kinds[0]
    documents = folder / "tasks" / "letters" / "documents"
    documents.mkdir()
    (documents / "house.md").write_text("# Lamps\n\nWhoever asks for lamps gets them from the store in Bonn.\n")
    try:
        done = cli(folder, "evaluate", "letters", "--json")
    finally:
        shutil.rmtree(documents)
    assert done.code == 0, done.err
    assert "grounded" in [c["name"] for c in done.json["contenders"]]
    assert done.json["left_out"] == []
    workspace = Workspace(folder)
    version = registry.find_version(workspace, "letters", "latest")
    kept = predictions.load(workspace, "letters", version.name, "grounded", done.json["dataset_fingerprint"])
    workspace.close()
    assert {json.loads(text)["sources"][0] for text in kept["prediction"].to_list()} == {"house.md#1"}
    assert "grounded was shown house.md#1" in Path(done.json["report"]).read_text("utf-8")


def test_a_correction_must_meet_the_schema(kinds):
    from inhouse.api.routes.feedback import unfit

    workspace = Workspace(kinds[0])
    task = workspace.load_task("orders")
    assert unfit(task, '{"town":"Bonn","lamps":3,"items":[]}') is None
    assert unfit(task, '{"town":"Bonn"}')
    assert unfit(task, "Bonn")
    assert unfit(workspace.load_task("letters"), "any text") is None
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


@pytest.mark.parametrize("name", ["orders", "letters", "chats"])
def test_what_the_trainer_computed_is_compared_again_without_it(kinds, name):
    """The same engine and file give what they gave at the training, through the renderer that serves."""
    folder, _ = kinds
    workspace = Workspace(folder)
    version = check_served(workspace, registry.find_version(workspace, name, "latest"), Silent())
    workspace.close()
    now, before = version.checked.parity, version.parity
    assert 0 < now.tokens <= before.tokens
    assert now.mean_logprob_difference < max(0.05, 2 * before.mean_logprob_difference)
    assert now.top1_agreement + now.ties / now.tokens > 0.95
    assert version.checked.latency_p95_ms > 0
