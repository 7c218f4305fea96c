"""Who may use the server, and who did what."""

from __future__ import annotations

from typing import Annotated

import typer

from inhouse.cli.options import HERE, AsJson, Folder
from inhouse.cli.work import do

app = typer.Typer()
keys_app = typer.Typer(help="Access keys of the server.", no_args_is_help=True, rich_markup_mode=None)

KeyName = Annotated[str, typer.Argument(metavar="NAME", help="what the key is for, such as web-shop")]


@keys_app.command(
    "create",
    epilog="""\b
    inhouse keys create web-shop --task tickets --per-minute 600
    inhouse keys create anna --scope infer --scope review --days 90
    """,
)
def keys_create(
    name: KeyName,
    scopes: Annotated[
        list[str] | None,
        typer.Option("--scope", metavar="SCOPE", help="infer (default), train, review or admin (all); may be repeated"),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option("--task", metavar="TASK", help="a task that it may use, and no other; may be repeated"),
    ] = None,
    per_minute: Annotated[
        int | None, typer.Option("--per-minute", metavar="N", min=1, help="requests a minute that it may make")
    ] = None,
    days: Annotated[int | None, typer.Option("--days", metavar="N", min=1, help="how long it is in force")] = None,
    workspace: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Make a key and show it, this once. From the first key on every request needs one."""
    from inhouse.cli import show_access
    from inhouse.store import keys

    do(
        workspace,
        as_json,
        lambda w, _: keys.create(
            w, name, scopes=scopes or ("infer",), tasks=tasks or (), per_minute=per_minute, days=days
        ),
        lambda made: {**made[0].as_dict(), "key": made[1]},
        show_access.created,
    )


@keys_app.command("list", epilog="inhouse keys list")
def keys_list(workspace: Folder = HERE, as_json: AsJson = False) -> None:
    """All keys, revoked ones too, by their last letters."""
    from inhouse.cli import show_access
    from inhouse.store import keys

    do(
        workspace,
        as_json,
        lambda w, _: keys.every(w),
        lambda found: {"keys": [key.as_dict() for key in found]},
        show_access.listed,
    )


@keys_app.command("revoke", epilog="inhouse keys revoke web-shop")
def keys_revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="the key's name or id")],
    workspace: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """End a key for good."""
    from inhouse.cli import show_access
    from inhouse.store import keys

    do(workspace, as_json, lambda w, _: keys.revoke(w, name), lambda key: key.as_dict(), show_access.revoked)


@app.command(epilog="inhouse audit --subject tickets")
def audit(
    subject: Annotated[
        str, typer.Option("--subject", metavar="NAME", help="only what was done to this task, version or key id")
    ] = "",
    newest: Annotated[int, typer.Option("--newest", metavar="N", min=0, help="at most so many; 0 for all")] = 50,
    workspace: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Who trained, promoted, rolled back, erased, and made keys."""
    from inhouse.cli import show_access
    from inhouse.store import audit as log

    do(
        workspace,
        as_json,
        lambda w, _: log.entries(w, subject, newest=newest),
        lambda found: {"entries": [entry.as_dict() for entry in found]},
        show_access.audited,
    )
