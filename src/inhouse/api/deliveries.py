"""Messages to webhook endpoints, signed by the Standard Webhooks scheme, and sent again until they arrive."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import ipaddress
import logging
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError

from inhouse.core.json_schema import compact
from inhouse.errors import InhouseError, InputError, NotFound
from inhouse.store import Workspace, database, is_loopback, jobs, require_outbound, webhooks
from inhouse.store.jobs import Job
from inhouse.store.webhooks import Endpoint

# From looking the name up to the head of the answer, however slowly it comes.
TIMEOUT_SECONDS = 15.0
POLL_SECONDS = 1.0
# How long a server that ends waits for the message that is being sent; one that it leaves is sent again.
CLOSE_SECONDS = 5.0
# When a message is sent again that did not arrive: seconds after each attempt, three days in all.
DELAYS = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 64_800, 79_200)
GONE = 410

_log = logging.getLogger("inhouse")


def check_url(workspace: Workspace, url: str) -> None:
    """Refuse an address that no message may go to.

    Raises:
        InputError: it is none, or one that others could read along to.
        OutboundForbidden: it is not on this machine, and INHOUSE_OFFLINE=1.
    """
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not (url.isascii() and url.isprintable() and " " not in url):
        host = None
    if not host or parts.scheme not in ("https", "http") or parts.username or parts.password or parts.fragment:
        raise InputError(f"{url[:200]!r} is no URL that a message can be sent to", "give one such as https://HOST/PATH")
    if parts.scheme == "http" and not is_loopback(host):
        raise InputError(f"a message to {url[:200]!r} could be read on its way", "give a URL that begins with https://")
    if not is_loopback(host):
        require_outbound(workspace.settings, "a webhook", host)


def send(workspace: Workspace, endpoint: Endpoint, event: Mapping[str, Any]) -> int:
    """Send a message once; the status of the answer. No redirection is followed.

    Raises:
        InputError, OutboundForbidden: it may not be sent there, or cannot be signed.
        NotFound: the endpoint is gone.
        OSError, http.client.HTTPException: it did not arrive, or nobody said so within `TIMEOUT_SECONDS`.
    """
    check_url(workspace, endpoint.url)
    parts, body = urlsplit(endpoint.url), compact(event).encode("utf-8")
    head = {
        "content-type": "application/json",
        "user-agent": "inhouse-webhooks",
        "webhook-id": event["id"],
        "webhook-timestamp": str(int(time.time())),
    }
    secrets = webhooks.secrets_of(workspace, endpoint.id)
    head["webhook-signature"] = signature(head["webhook-id"], head["webhook-timestamp"], body, secrets)
    connection = _Connection(parts.hostname or "", parts.port, secure=parts.scheme == "https")
    clock = threading.Timer(TIMEOUT_SECONDS, connection.abort)
    clock.start()
    try:
        connection.request("POST", f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}", body, head)
        status = connection.getresponse().status
        if connection.late:  # a head that was cut off there looks whole
            raise _too_late()
        return status
    except (OSError, http.client.HTTPException) as error:
        if connection.late:
            raise _too_late() from error
        raise
    finally:
        clock.cancel()
        connection.close()


def signature(message: str, timestamp: str, body: bytes, secrets: Sequence[bytes]) -> str:
    """The header `webhook-signature`: one for each secret."""
    signed = f"{message}.{timestamp}.".encode() + body
    digests = (hmac.new(secret, signed, hashlib.sha256).digest() for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


class _Connection(http.client.HTTPConnection):
    """A connection to the very addresses that were looked at, so that a name cannot lead elsewhere meanwhile."""

    def __init__(self, host: str, port: int | None, *, secure: bool) -> None:
        self._context = ssl.create_default_context() if secure else None
        self._deadline, self.late = time.monotonic() + TIMEOUT_SECONDS, False
        super().__init__(host, port or (443 if secure else 80), timeout=TIMEOUT_SECONDS)

    def abort(self) -> None:
        """End whatever waits for the other side, as its time is over. For another thread."""
        self.late = True
        if self.sock is not None:
            with suppress(OSError):
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # below TLS, which would say good-bye and wait

    def connect(self) -> None:
        """Look the name up, and take the first address that a message may go to and that answers.

        Raises:
            InputError: there is none that it may go to.
            OSError: none answers.
        """
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except UnicodeError as error:
            raise InputError(f"{self.host[:100]!r} is no name of a host") from error
        addresses = dict.fromkeys(where for one in found if _may_go_to(where := str(one[4][0]), self.host))
        if not addresses:
            raise InputError(f"{self.host} is at no address that a message may go to")
        self.sock = self._reached(list(addresses))
        if self._context is not None:
            self.sock = self._context.wrap_socket(
                self.sock, server_hostname=self.host, do_handshake_on_connect=False
            )  # the handshake waits for the other side, so `abort` must find it
            self.sock.do_handshake()
        if self.late:
            raise _too_late()

    def _reached(self, addresses: Sequence[str]) -> socket.socket:
        """A connection to the first address that answers; each has its part of the time that is left."""
        for place, address in enumerate(addresses):
            left = self._deadline - time.monotonic()
            if left <= 0:
                break
            try:
                reached = socket.create_connection((address, self.port), left / (len(addresses) - place))
            except OSError:
                if place == len(addresses) - 1:
                    raise
            else:
                reached.settimeout(TIMEOUT_SECONDS)
                return reached
        raise _too_late()


def _too_late() -> TimeoutError:
    return TimeoutError(f"no answer within {TIMEOUT_SECONDS:g} s")


def _may_go_to(address: str, host: str) -> bool:
    """This machine only by its own name; never what answers to any machine of a network, as a cloud's metadata does."""
    found = ipaddress.ip_address(address.partition("%")[0])
    found = getattr(found, "ipv4_mapped", None) or found
    if found.is_loopback:
        return is_loopback(host)
    return not (found.is_link_local or found.is_multicast or found.is_unspecified or found.is_reserved)


class Deliverer:
    """Sends the messages that wait in the queue, one after another, in a thread of its own."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace, self._owner = workspace, jobs.new_owner(workspace)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="inhouse-webhooks", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End, after the message that is being sent where that does not take long."""
        self._stopped.set()
        self._thread.join(CLOSE_SECONDS)

    def _work(self) -> None:
        while not self._stopped.is_set():
            try:
                job = jobs.lease(self._workspace, self._owner, ["webhook"])
                if job is not None:
                    self._deliver(job)
                    continue
            except (InhouseError, SQLAlchemyError) as error:
                _log.warning("messages to webhooks wait: %s", str(error).splitlines()[0])
            self._stopped.wait(POLL_SECONDS)

    def _deliver(self, job: Job) -> None:
        try:
            endpoint = webhooks.find(self._workspace, job.request["endpoint"])
        except NotFound:
            jobs.finish(self._workspace, job.id, "cancelled", owner=self._owner)
            return
        status, reason = 0, ""
        try:
            status = send(self._workspace, endpoint, job.request["event"])
        except (InhouseError, OSError, http.client.HTTPException) as error:
            reason = error.what if isinstance(error, InhouseError) else f"{type(error).__name__}: {error}"
        if 200 <= status < 300:
            jobs.finish(self._workspace, job.id, "succeeded", owner=self._owner)
            return
        told = {"code": "not_delivered", "message": reason or f"the answer was {status}", "param": None}
        attempts = job.attempts + 1
        if status == GONE or attempts > len(DELAYS):
            _log.warning("a message to the webhook endpoint %s was given up: %s", endpoint.id, told["message"])
            jobs.finish(self._workspace, job.id, "failed", owner=self._owner, attempts=attempts, error=told)
            return
        again = database.from_now(DELAYS[attempts - 1])
        jobs.release(self._workspace, job.id, self._owner, attempts=attempts, not_before=again, error=told)
