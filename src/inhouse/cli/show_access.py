"""Keys and the audit log as text for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from inhouse.cli.show import table

if TYPE_CHECKING:
    from inhouse.store.audit import Entry
    from inhouse.store.keys import ApiKey


def created(made: tuple[ApiKey, str]) -> str:
    """A new key, with its secret."""
    key, secret = made
    return (
        f"{secret}\n{key.name} ({key.id}): {_may(key)}.\nKeep it now: it is shown this once, and only a hash is kept."
    )


def listed(keys: Sequence[ApiKey]) -> str:
    """All keys."""
    if not keys:
        return "no key was made yet: requests from this machine need none"
    rows = [[k.name, k.id, f"…{k.hint}", _may(k), k.created_at[:10], _state(k)] for k in keys]
    return table(["name", "id", "key", "may", "made", "state"], rows)


def revoked(key: ApiKey) -> str:
    """A key that is no more in force."""
    return f"{key.name} ({key.id}) is revoked; a running server knows it within a second"


def audited(entries: Sequence[Entry]) -> str:
    """The log, a line for each act."""
    if not entries:
        return "nothing is noted yet"
    rows = [[e.at[:19] + "Z", e.actor, e.action, e.subject, _detail(e)] for e in entries]
    return table(["when", "who", "what", "on", "with"], rows)


def _may(key: ApiKey) -> str:
    limit = f", {key.per_minute} a minute" if key.per_minute else ""
    return f"{', '.join(key.scopes)} on {', '.join(key.tasks) if key.tasks else 'everything'}{limit}"


def _state(key: ApiKey) -> str:
    if key.revoked_at:
        return f"revoked {key.revoked_at[:10]}"
    if key.expires_at:
        return f"{'until' if key.in_force else 'expired'} {key.expires_at[:10]}"
    return "in force"


def _detail(entry: Entry) -> str:
    return ", ".join(f"{name}: {value}" for name, value in entry.detail.items() if value not in (None, "", False))
