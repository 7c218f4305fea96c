"""What is told of a job while its model is trained: each step, warnings, and when it will have ended."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Unpack

from inhouse.core import Bar, Silent
from inhouse.pipeline.epochs import step_metrics
from inhouse.store import Workspace, database, jobs, records
from inhouse.store.jobs import Columns, Job

# How often it is looked at what was measured.
LOOK_SECONDS = 2.0
_TRAINING = "training"
_LOSSES = {"train_loss": "training", "valid_loss": "validation", "full_valid_loss": "full validation"}


class Teller(Silent):
    """Makes events of what the training of a job's task reports.

    Args:
        task: of the job.
        result: what the job has made so far; when it will have ended is put into it.
    """

    def __init__(self, workspace: Workspace, job: Job, task: str, result: dict[str, Any]) -> None:
        super().__init__()
        self._workspace, self._job, self._task, self._result = workspace, job, task, result
        self._run = ""

    def warn(self, message: str) -> None:
        """Tell it of the job."""
        jobs.tell(self._workspace, self._job.id, message, level="warn", once=True)

    def bar(self, title: str, total: float) -> Bar:
        """Of the training, one that tells its steps."""
        return _Steps(self, int(total)) if title == _TRAINING else super().bar(title, total)

    def begun(self) -> None:
        """Note the run, where the training has one by now: who cancels the job drops what it leaves."""
        found = records.unfinished_runs(self._workspace, self._task)
        if found and not self._run:
            self._run = found[-1]
            self.note(run=self._run)

    def tell(self, total: int) -> None:
        """Tell the steps that were not told yet, but the newest, as a look may come to it.

        Args:
            total: how many steps are planned.
        """
        if self._run:
            self._tell(self._run, jobs.last_measured(self._workspace, self._job.id), total, left=1)

    def ended(self, run: str, steps: int) -> None:
        """Tell the steps that were not told yet of a run that has ended after so many."""
        last = jobs.last_measured(self._workspace, self._job.id)
        self._tell(run, last, last.get("total_steps", steps))

    def _tell(self, run: str, last: Mapping[str, Any], total: int, *, left: int = 0) -> None:
        rows = list(step_metrics(self._workspace, run, after=last.get("step", 0)))
        for row in rows[: len(rows) - left]:
            message, data = _told(row, total)
            jobs.tell(self._workspace, self._job.id, message, data=data, metrics=True)

    def expect(self, seconds: float) -> None:
        """Note when the training will have ended."""
        self._result["estimated_finish"] = database.from_now(seconds)
        self.note(result=self._result)

    def note(self, **values: Unpack[Columns]) -> None:
        """Set columns of the job."""
        jobs.change(self._workspace, self._job.id, owner=self._job.lease_owner or "", **values)


class _Steps:
    def __init__(self, teller: Teller, total: int) -> None:
        self._teller, self._total = teller, total
        self._looked = float("-inf")
        self._begun: tuple[float, float] | None = None

    def update(self, done: float, note: str = "") -> None:
        """See `Bar.update`."""
        now = time.monotonic()
        if self._begun is None:
            self._begun = now, done
            self._teller.begun()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        self._teller.tell(self._total)
        at, first = self._begun
        if done > first:
            self._teller.expect((self._total - done) * (now - at) / (done - first))


def _told(row: Mapping[str, float], total: int) -> tuple[str, dict[str, Any]]:
    """The sentence of a step, and what was measured, as OpenAI's service tells them."""
    losses = ", ".join(f"{what} loss={row[name]:.2f}" for name, what in _LOSSES.items() if name in row)
    return f"Step {row['step']}/{total}: {losses}", {**row, "total_steps": total}
