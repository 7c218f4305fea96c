"""The data that models learn from and are judged by: a dataset version without what leaks into its test."""

from __future__ import annotations

from inhouse.core import Dataset, Reporter, counted
from inhouse.dataset import without_leaks
from inhouse.store import Workspace, records


def to_learn_from(
    workspace: Workspace, task: str, number: int | None = None, reporter: Reporter | None = None
) -> Dataset:
    """A dataset version, the newest by default, without what stands in its test too.

    The `reporter` is told what is left out, and that what is left is nearly in the test, where some is.

    Raises:
        NotFound: the task has no data, or not that version.
    """
    from inhouse.clean import leaked_tests

    dataset, leaks = without_leaks(records.load_dataset(workspace, task, number))
    if leaks and reporter:
        reporter.warn(
            f"{len(leaks)} examples stand in the test too and are not learned from, the first because "
            f"{leaks[0][1]} (`inhouse clean {task} --apply safe` drops them)"
        )
    if reporter and (near := len(leaked_tests(dataset))):
        reporter.warn(
            f"{counted(near, 'test example')} {'stands' if near == 1 else 'stand'} nearly in the training data: "
            f"`evaluate` judges nothing before `inhouse clean {task} --apply leakage` has dropped that there"
        )
    return dataset
