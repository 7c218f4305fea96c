"""Opens a version, whichever kind of model it is."""

from __future__ import annotations

from inhouse.core import ModelVersion
from inhouse.deploy.bases import BaseVersion
from inhouse.deploy.served import Served, ServedBase, ServedModel
from inhouse.deploy.served_classifier import ServedClassifier
from inhouse.deploy.served_prompt import ServedPrompt, ServedWithShots
from inhouse.deploy.version_files import is_classifier, is_prompted, is_shown_shots
from inhouse.store import Workspace


def open_served(workspace: Workspace, version: ModelVersion, *, apart: bool = False) -> Served:
    """A version, whichever kind of model it is.

    Args:
        apart: see `ServedModel`.
    """
    if isinstance(version, BaseVersion):
        return ServedBase(workspace, version, apart=apart)
    if is_classifier(version):
        return ServedClassifier(workspace, version)
    if is_prompted(version):
        return ServedPrompt(workspace, version, apart=apart)
    return (ServedWithShots if is_shown_shots(version) else ServedModel)(workspace, version, apart=apart)
