"""`train` as a user runs it: the dry run, the minutes, Ctrl-C, seeds, the curve."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import many_intents, tree, write_csv

import inhouse
from inhouse.cli import show
from inhouse.pipeline import training
from inhouse.store import records, registry


@pytest.fixture(scope="module")
def ready(tmp_path_factory, tiny_gguf, cli):
    """A workspace with a task that has data and was never trained: 60 passes over 96 messages are to come."""
    folder = tmp_path_factory.mktemp("ready") / "workspace"
    messages = write_csv(folder.parent / "intents.csv", many_intents())
    assert cli(folder, "init", "intents", "--base", tiny_gguf).code == 0
    assert cli(folder, "add", "intents", messages, "--input", "text", "--target", "category").code == 0
    set_key(folder, "epochs = 4\nlearning_rate = 0.01\nbatch_size = 8")
    return folder


@pytest.fixture
def workspace(ready, tmp_path):
    return Path(shutil.copytree(ready, tmp_path / "workspace"))


def set_key(folder: Path, lines: str) -> None:
    """Add lines to the task's [train] table."""
    file = folder / "tasks" / "intents" / "task.toml"
    text = file.read_text("utf-8")
    head, found, tail = text.partition("[train]\n")
    assert found
    file.write_text(f"{head}{found}{lines}\n{tail}", "utf-8")


def test_a_dry_run_tells_what_it_would_take_and_leaves_everything_as_it_was(workspace, cli):
    before = tree(workspace)
    plan = cli(workspace, "train", "intents", "--dry-run", "--json").json
    kept = [{k: v for k, v in files.items() if "inhouse.db" not in k} for files in (before, tree(workspace))]
    assert kept[0] == kept[1]
    assert plan["steps"] == 4 * -(-plan["examples"] // 8)
    assert plan["minutes"] > 0
    assert plan["kwh"] == pytest.approx(plan["minutes"] / 60 * plan["watts"] / 1000)
    assert plan["cost"] is None
    assert plan["fits"]
    assert all(choice["reason"] for choice in plan["choices"])
    sizes = [option["parameters"] for option in plan["options"]]
    assert sizes == sorted(sizes)
    assert plan["options"][-1]["memory_gib"] > plan["options"][0]["memory_gib"] > 0


def test_a_dry_run_reckons_with_your_prices(workspace, cli, monkeypatch):
    monkeypatch.setenv("INHOUSE_COST__WATTS", "200")
    monkeypatch.setenv("INHOUSE_COST__KWH", "0.5")
    monkeypatch.setenv("INHOUSE_COST__HOUR", "2")
    plan = cli(workspace, "train", "intents", "--dry-run", "--json").json
    assert plan["watts"] == 200
    assert plan["cost"] == pytest.approx(plan["minutes"] / 60 * 2 + plan["kwh"] * 0.5)
    told = cli(workspace, "train", "intents", "--dry-run")
    assert "at your price" in told.out
    assert "next: inhouse train intents" in told.out


def test_watts_are_told_with_where_they_are_from(workspace, cli, monkeypatch):
    from inhouse.engine import torch_model
    from inhouse.pipeline import told
    from inhouse.store.settings import CostSettings

    assumed = cli(workspace, "train", "intents", "--dry-run").out
    assert "are assumed; cost.watts in inhouse.toml sets" in assumed
    cores = len(os.sched_getaffinity(0))
    monkeypatch.setattr(torch_model, "gpu_watts", lambda: None)
    watts, why = told._watts(CostSettings(), trains_on_gpu=True)
    assert (watts, "nvidia-ml-py" in why) == (30 + 15 * cores, True)
    monkeypatch.setattr(torch_model, "gpu_watts", lambda: 350.0)
    watts, why = told._watts(CostSettings(), trains_on_gpu=True)
    assert (watts, "350 W" in why) == (380 + 15 * cores, True)
    assert told._watts(CostSettings(watts=90), trains_on_gpu=True) == (90, "from cost.watts")


@pytest.mark.parametrize(("milliwatts", "expected"), [(700_000, 700.0), (None, None)])
def test_a_gpu_tells_its_limit_through_nvidias_library(monkeypatch, milliwatts, expected):
    from inhouse.engine import torch_model

    class NVMLError(Exception):
        pass

    def limit(handle):
        assert handle == "handle of GPU-ab-12"
        if milliwatts is None:
            raise NVMLError
        return milliwatts

    calls = []
    library = SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: calls.append("init"),
        nvmlShutdown=lambda: calls.append("shutdown"),
        nvmlDeviceGetHandleByUUID=lambda uuid: f"handle of {uuid}",
        nvmlDeviceGetPowerManagementLimit=limit,
    )
    assert torch_model.gpu_watts() is None  # no GPU here
    monkeypatch.setattr(torch_model, "find_spec", lambda name: name == "pynvml")
    monkeypatch.setattr(torch_model, "import_module", {"pynvml": library}.__getitem__)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda: SimpleNamespace(uuid="ab-12"))
    assert torch_model.gpu_watts() == expected
    assert calls == ["init", "shutdown"]


@pytest.mark.parametrize(
    ("minutes", "told"),
    [(0.25, "15 seconds"), (1.4, "1.4 minutes"), (38.2, "38 minutes"), (100, "1.7 hours"), (700, "12 hours")],
)
def test_a_time_is_told_to_within_a_twentieth(minutes, told):
    assert show.duration(minutes) == told


def test_minutes_shorten_the_schedule_and_a_done_training_is_not_repeated(workspace, cli):
    set_key(workspace, "max_tokens = 200")
    whole = cli(workspace, "train", "intents", "--dry-run", "--json").json
    minutes = whole["minutes"] / 3
    short = cli(workspace, "train", "intents", "--dry-run", "--minutes", minutes, "--json").json
    assert 0 < short["steps"] < whole["steps"]
    done = cli(workspace, "train", "intents", "--minutes", minutes, "--json").json
    assert done["recipe"]["minutes"] == pytest.approx(minutes)
    assert 0 < done["recipe"]["steps"] < whole["steps"]
    again = cli(workspace, "train", "intents", "--minutes", minutes, "--json")
    assert again.json["model_version"] == done["model_version"]
    assert "trained on this data before" in again.err


def test_a_done_training_is_not_repeated_in_another_precision(workspace, cli):
    from inhouse.engine import torch_model

    done = cli(workspace, "train", "intents", "--json").json
    other = {"float32": "bfloat16", "bfloat16": "float32"}[done["recipe"]["precision"]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_model, "best_precision", lambda: other)
        again = inhouse.train(inhouse.open_workspace(workspace), "intents")
    assert again.model_version == done["model_version"]


@pytest.mark.parametrize("given", ["0", "-3", "nan", "inf"])
def test_no_time_at_all_is_refused(workspace, cli, given):
    refused = cli(workspace, "train", "intents", "--minutes", given)
    assert refused.code == 2
    assert "no time to work in" in refused.err


def test_what_cannot_be_done_together_is_refused(workspace, cli):
    assert cli(workspace, "train", "intents", "--dry-run", "--curve").code == 2
    assert "give two or more" in cli(workspace, "train", "intents", "--seeds", "1").err


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_a_version_and_the_same_command_goes_on(workspace, cli, environment, sent):
    task = workspace / "tasks" / "intents" / "task.toml"
    task.write_text(task.read_text("utf-8").replace("epochs = 4", "epochs = 20"), "utf-8")
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("inhouse")), "train", "intents", "--json", "--workspace", str(workspace)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    for line in process.stderr:
        if line.startswith("step "):  # the first look is over
            os.kill(process.pid, sent)
            break
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "stopping after this step" in err
    stopped = json.loads(out)
    assert stopped["interrupted"]
    assert stopped["model_version"] == "intents@1"
    assert "you stopped it" in stopped["stopped_because"]
    status = cli(workspace, "status", "--json").json["tasks"][0]
    assert status["next"].startswith("inhouse train intents")
    if sent == signal.SIGTERM:  # it goes on as after Ctrl-C
        return
    whole = cli(workspace, "train", "intents", "--json").json
    assert whole["resumed"]
    assert not whole["interrupted"]
    assert whole["steps"] > stopped["steps"]
    assert whole["model_version"] == "intents@2"
    opened = inhouse.open_workspace(workspace)  # each version keeps what it came of
    kept = [registry.find_version(opened, "intents", number).training for number in (1, 2)]
    assert [one["steps"] for one in kept] == [stopped["steps"], whole["steps"]]
    assert [one["interrupted"] for one in kept] == [True, False]
    opened.close()


def test_seeds_show_the_spread(workspace, cli):
    found = cli(workspace, "train", "intents", "--seeds", "2", "--json").json
    assert [run["recipe"]["seed"] for run in found["runs"]] == [0, 1]
    assert found["lowest"] <= found["mean"] <= found["highest"]
    assert found["best"] in {run["model_version"] for run in found["runs"]}
    told = cli(workspace, "train", "intents", "--seeds", "2")  # both are done, so this is quick
    assert "standard deviation" in told.out
    assert f"--version {found['best'].partition('@')[2]}" in told.out


def test_seeds_in_so_many_minutes_have_as_many_steps(workspace, cli, monkeypatch):
    speeds = iter([0.002, 0.004, 0.001])
    monkeypatch.setattr(training, "measured_speed", lambda *_: next(speeds))
    found = cli(workspace, "train", "intents", "--seeds", "3", "--minutes", "0.1", "--json").json
    schedules = [run["recipe"]["steps"] for run in found["runs"]]
    assert len(set(schedules)) == 1
    assert 0 < schedules[0] < 4 * 10
    assert list(speeds) == []


def test_the_curve_says_what_more_examples_would_bring(workspace, cli):
    found = cli(workspace, "train", "intents", "--curve", "--json").json
    counts = [point["examples"] for point in found["points"]]
    assert counts == sorted(counts)
    assert [p["measured"] for p in found["points"]].count(False) == 2
    assert "more examples would bring accuracy about" in found["reason"]
    assert Path(found["chart"]).read_text("utf-8").startswith("<svg")
    assert cli(workspace, "status", "--json").json["tasks"][0]["versions"] == []
    assert not list((workspace / "runs").glob("curve-*"))


def test_ctrl_c_shows_the_part_of_the_curve_that_is_done_and_the_same_command_goes_on(workspace, cli, environment):
    process = subprocess.Popen(
        [sys.executable, "-m", "inhouse", "train", "intents", "--curve", "--json", "--workspace", str(workspace)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    for line in process.stderr:
        if re.match(r"training on (\d+) of \1 examples", line):  # the last one, on all of them
            os.kill(process.pid, signal.SIGINT)
            break
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert "the trainings that are done are shown" in err
    part = json.loads(out)
    assert part["interrupted"]
    assert [p["measured"] for p in part["points"]].count(True) == 2
    assert "of 3 trainings 2 are done" in part["reason"]
    assert list((workspace / "runs").glob("curve-*"))
    whole = cli(workspace, "train", "intents", "--curve", "--json").json
    assert not whole["interrupted"]
    assert [p["score"] for p in whole["points"][:2]] == [p["score"] for p in part["points"][:2]]
    assert not list((workspace / "runs").glob("curve-*"))


def test_too_few_examples_for_a_curve_are_refused(tmp_path, tiny_gguf, cli):
    few = write_csv(tmp_path / "few.csv", many_intents(1))
    cli(tmp_path / "w", "init", "intents", "--base", tiny_gguf)
    cli(tmp_path / "w", "add", "intents", few, "--input", "text", "--target", "category")
    refused = cli(tmp_path / "w", "train", "intents", "--curve")
    assert refused.code == 3
    assert "too few for a curve" in refused.err


mlflows_own = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # from its models


@mlflows_own
def test_mlflow_gets_every_step_in_a_store_of_the_workspace(workspace, cli, monkeypatch):
    monkeypatch.setenv("INHOUSE_TRACKING__TO", "mlflow")
    done = cli(workspace, "train", "intents", "--json").json
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{workspace / 'tracking' / 'mlflow.db'}")
    (experiment,) = client.search_experiments(filter_string="name = 'inhouse intents'")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == done["run"]
    assert run.info.status == "FINISHED"
    assert run.data.params["rank"] == str(done["recipe"]["rank"])
    losses = client.get_metric_history(run.info.run_id, "loss")
    assert [metric.step for metric in losses] == list(range(1, done["steps"] + 1))
    kept = records.metrics_of(inhouse.open_workspace(workspace), done["run"])  # beside the store of inhouse itself
    assert [row["step"] for row in kept] == list(range(1, done["steps"] + 1))
    assert [row["loss"] for row in kept] == [metric.value for metric in losses]
    looks = client.get_metric_history(run.info.run_id, "validation_loss")
    assert [metric.value for metric in looks] == [row["validation_loss"] for row in done["history"]]


@mlflows_own
def test_a_tracker_that_fails_is_left_out_and_the_training_goes_on(workspace, cli, monkeypatch):
    (workspace / "inhouse.toml").write_text('[tracking]\nto = ["mlflow"]\n', "utf-8")
    from accelerate.tracking import MLflowTracker

    def gone(self, values, step=None, **options):
        if step == 2:
            raise ConnectionError("no route to the server")
        taken.append(step)

    taken = []
    monkeypatch.setattr(MLflowTracker, "log", gone)
    done = cli(workspace, "train", "intents", "--json")
    assert done.code == 0, done.err
    assert done.err.count("no route to the server") == 1
    assert taken == [1]
    assert done.json["steps"] > 2


def test_a_tracker_that_is_not_installed_is_named_before_the_training(workspace, cli, monkeypatch):
    monkeypatch.setenv("INHOUSE_TRACKING__TO", "tensorboard")
    refused = cli(workspace, "train", "intents")
    assert refused.code == 3
    assert "pip install accelerate tensorboard" in refused.err
