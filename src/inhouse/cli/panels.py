"""Help in panels: a command of many options shows those first that a newcomer needs."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

FIRST = "What to know first"
TOGETHER = "Which rows, and what belongs together"
READING = "How a source is read"
EXCHANGE = "Labelling tools"


class PanelledCommand(TyperCommand):
    """Shows options by their `rich_help_panel`, as plain text: rich's own help takes a tenth of a second more."""

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - typer keeps their types to itself
        """Arguments, then the panels in the order of their first options, then the options without one."""
        panels: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        rest = []
        for param in self.get_params(ctx):
            if (told := param.get_help_record(ctx)) is None:
                continue
            if param.param_type_name == "argument":
                panels["Arguments"].append(told)
            elif panel := getattr(param, "rich_help_panel", None):
                panels.setdefault(panel, []).append(told)
            else:
                rest.append(told)
        for title, rows in (*panels.items(), ("Other options", rest)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
