"""`export`: a version as files for other programs, once the parity gate has passed it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inhouse.core import ModelVersion, Reporter, Silent, counted
from inhouse.store import Workspace, registry


@dataclass(frozen=True)
class Exported:
    """What was written where, and how it is used next."""

    task: str
    model_version: str
    to: str
    out: str
    files: tuple[str, ...]
    next: str

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def export(
    workspace: Workspace,
    name: str,
    reporter: Reporter | None = None,
    *,
    to: str,
    out: str | Path,
    which: str = registry.CHAMPION,
) -> Exported:
    """Write a version of a task for another program to load.

    Args:
        to: `gguf`, `ollama`, `openvino`, `adapter`, `merged` or `vllm`; of a fine-tuned encoder `openvino`.
        out: the folder that is made; it may be there, if it is empty.
        which: the version's number, `champion`, `candidate` or `latest`.

    Raises:
        Refused: the version failed the parity gate.
        UsageError: `to` is none of these, or not of this version's kind, or there is something at `out`.
        NotFound: no such task or version.
        DiskFull, ModelUnavailable
    """
    from inhouse.deploy.export import export_version

    reporter = reporter or Silent()
    workspace.load_task(name)
    version = registry.find_version(workspace, name, which)
    reporter.say(f"writing {version.name} as {to} to {out}")
    written = export_version(workspace, version, to, Path(out), _card(workspace, version))
    for doubt in written.doubts:
        reporter.warn(doubt)
    if written.in_clear:
        reporter.warn(
            f"check.json holds {counted(written.in_clear, 'input')} of the task {name} in clear, for check.py to ask: "
            "delete it before the folder goes to who may not read them"
        )
    return Exported(name, version.name, to, str(written.folder), written.files, "; ".join(written.next))


def _card(workspace: Workspace, version: ModelVersion) -> str:
    """The model card that the evaluation wrote; a sentence where there was none."""
    file = workspace.paths.beside_report(version.task, version.number)["card_markdown"]
    if file.is_file():
        return file.read_text("utf-8")
    return f"# {version.name}: model card\n\nIt was not evaluated: nobody has measured how good it is.\n"
