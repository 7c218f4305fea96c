"""Running the application."""

from __future__ import annotations

import socket
from pathlib import Path
from types import FrameType

import uvicorn

from inhouse.api.app import make_app
from inhouse.api.draining import Drain
from inhouse.api.middleware import ANY_HOST
from inhouse.api.telemetry import json_logging
from inhouse.api.tls import tls_files
from inhouse.core import Reporter
from inhouse.deploy import Runtime
from inhouse.errors import InputError
from inhouse.pipeline.jobs.keeper import workers_started
from inhouse.store import Workspace, is_loopback, keys

# What a request that had its time gets to tell its client so, and to keep its Trace.
LAST_SECONDS = 5


def serve(
    workspace: Workspace,
    reporter: Reporter,
    *,
    host: str = "",
    port: int | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
) -> None:
    """Serve the workspace until interrupted.

    Args:
        host, port: instead of those in the settings; port 0 takes a free one.
        tls_cert, tls_key: PEM files, instead of those in the settings.

    Raises:
        NotFound: the folder is no workspace.
        InputError: the address cannot be used, or is reached from other machines while no key is in force, or the
            TLS files cannot be used.
        UsageError: one TLS file without the other.
    """
    workspace.require()
    settings = workspace.settings.serve
    host = host or settings.host
    tls = tls_files(workspace, tls_cert, tls_key)
    listener = _bound(host, settings.port if port is None else port)
    written = f"[{host}]" if ":" in host else host
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]", written.lower())
    if not is_loopback(listener.getsockname()[0]):  # what a name stands for, and "" for every address
        _require_key(workspace, host, listener)
        if tls is None:
            reporter.warn(
                f"{host} can be reached from other machines, and keys and texts travel in clear: see --tls-cert"
            )
        hosts = (ANY_HOST,)
    listener.listen(2048)  # at once: a client that comes before the server is ready waits
    app = make_app(workspace, hosts)
    kind = "http" if tls is None else "https"
    reporter.say(f"serving on {kind}://{written}:{listener.getsockname()[1]}/v1  (stop with Ctrl-C)")
    config = uvicorn.Config(
        app,
        log_config=json_logging() if settings.log == "json" else uvicorn.config.LOGGING_CONFIG,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=LAST_SECONDS,
        ssl_certfile=None if tls is None else tls.certificate,
        ssl_keyfile=None if tls is None else tls.key,
    )
    with workers_started(workspace):
        Draining(config, app.state.drain, app.state.runtime).run(sockets=[listener])


class Draining(uvicorn.Server):
    """Told to stop, it lets the requests under way end before it closes its door; told again, it stops at once."""

    def __init__(self, config: uvicorn.Config, drain: Drain, runtime: Runtime) -> None:
        super().__init__(config)
        self._drain, self._runtime = drain, runtime

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """See `uvicorn.Server`: a signal came."""
        if self._drain.begun:
            super().handle_exit(sig, frame)
            return
        self._captured_signals.append(sig)
        self._drain.begin()

    async def on_tick(self, counter: int) -> bool:
        """See `uvicorn.Server`: called ten times a second; whether the door is to be closed."""
        if self._drain.late:
            self._runtime.stop()
        self.should_exit = self.should_exit or self._drain.done or self._drain.late
        return await super().on_tick(counter)


def _require_key(workspace: Workspace, host: str, listener: socket.socket) -> None:
    """Whoever reaches the server could use it without one."""
    if not any(key.in_force for key in keys.every(workspace)):
        listener.close()
        raise InputError(
            f"{host} can be reached from other machines, and no access key is in force",
            "make one first: inhouse keys create NAME; or listen on 127.0.0.1",
        )


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise InputError(
            f"cannot listen on {host}:{port}: {error}", "name another one with --port (0 takes a free one)"
        ) from error
    return listener
