"""TLS by files: looked at before the server starts, so that what is wrong with them is told then."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from inhouse.errors import InputError, UsageError
from inhouse.store import Workspace


@dataclass(frozen=True)
class TlsFiles:
    """A certificate with its chain, and its key."""

    certificate: Path
    key: Path


def tls_files(workspace: Workspace, certificate: Path | None, key: Path | None) -> TlsFiles | None:
    """The files that the caller names, or those of the settings; None where there are none.

    Raises:
        UsageError: one of them without the other.
        InputError: they cannot be read, are not PEM, do not belong together, or the key has a passphrase.
    """
    if certificate is None and key is None:
        settings, root = workspace.settings.serve, workspace.paths.root
        certificate = root / settings.tls_cert if settings.tls_cert else None
        key = root / settings.tls_key if settings.tls_key else None
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        given, missing = ("a key", "certificate") if certificate is None else ("a certificate", "key")
        raise UsageError(f"TLS was given {given} without its {missing}", "give --tls-cert and --tls-key, or neither")
    files = TlsFiles(certificate, key)
    _require_usable(files)
    return files


def _require_usable(files: TlsFiles) -> None:
    for file in (files.certificate, files.key):
        try:
            file.read_bytes()
        except OSError as error:
            raise InputError(f"the file cannot be read: {error.strerror}", "name another one", file=file) from error

    def no_passphrase() -> str:
        raise InputError("the key has a passphrase, and nobody is there to type it", _UNLOCK, file=files.key)

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key, no_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            what, remedy = f"the key {files.key} is not that of this certificate", "give the two that belong together"
        else:
            what = f"no certificate and key as PEM: {error.reason or error}, with the key {files.key}"
            remedy = "give a certificate with its chain, and its key, both as PEM"
        raise InputError(what, remedy, file=files.certificate) from error


_UNLOCK = "write one without: openssl pkey -in KEY -out KEY.pem, readable by the server's user alone"
