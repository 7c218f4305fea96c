"""Which placeholder stands for what: a map that only the owner of its key can read.

It lies in the task's folder, encrypted (AES-256-GCM). The key never lies in the workspace, so that whoever is given the
workspace cannot undo the masking: it comes from `INHOUSE_MASK_KEY`, or from a file of the user's own.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inhouse.errors import ConfigError, InputError
from inhouse.store.paths import write_bytes
from inhouse.store.settings import KEY_VARIABLE

_MAGIC = b"inhouse-mask-1\n"
_SALT, _NONCE = 16, 12
# What scrypt takes to make a key out of a word: 64 MiB and a fifth of a second (RFC 7914; OWASP's advice).
_SCRYPT = {"n": 2**16, "r": 8, "p": 1}


@dataclass(frozen=True)
class MaskKey:
    """What the map is encrypted with.

    Attributes:
        secret: the key as it was given.
        source: where it came from, for a message.
        made: whether it was made just now.
    """

    secret: bytes
    source: str
    made: bool = False


def key_file(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the key lies that is used when `INHOUSE_MASK_KEY` is not set."""
    return Path(environment.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "inhouse" / "mask.key"


def mask_key(workspace: Path, environment: Mapping[str, str] = os.environ, *, make: bool = True) -> MaskKey:
    """The key of `INHOUSE_MASK_KEY`, else of the key file.

    Args:
        make: whether the key file is made, for its owner alone, if it is not there.

    Raises:
        ConfigError: the key file would lie in the workspace, or is empty, or cannot be read or made, or is not there.
    """
    if given := environment.get(KEY_VARIABLE):
        return MaskKey(given.encode(), KEY_VARIABLE)
    path = key_file(environment)
    if path.resolve().is_relative_to(workspace.resolve()):
        raise ConfigError(
            f"the key of the masks would lie in the workspace itself, in {path}",
            f"set {KEY_VARIABLE}, or XDG_CONFIG_HOME to a folder elsewhere",
        )
    made = not path.exists()
    if made and not make:
        raise ConfigError(
            "there is no key to read the map of masks with",
            f"restore it from a backup, or set {KEY_VARIABLE}",
            file=path,
        )
    try:
        if made:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_urlsafe(32).encode() + b"\n")
        secret = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(
            f"the key file cannot be used: {error}", f"mend it, or set {KEY_VARIABLE}", file=path
        ) from error
    if not secret:
        raise ConfigError("the key file is empty", f"restore it from a backup, or set {KEY_VARIABLE}", file=path)
    return MaskKey(secret, str(path), made)


def read_map(path: Path, key: MaskKey) -> dict[str, str]:
    """The map in a file; empty where there is none.

    Raises:
        InputError: the file was written with another key, or is damaged.
    """
    if not path.is_file():
        return {}
    plain = unseal(path.read_bytes(), key, _MAGIC)
    if plain is None:
        raise InputError(
            f"the map of masks cannot be read with the key of {key.source}: it is another key, or the file is damaged",
            f"set {KEY_VARIABLE} to the key that it was made with, or drop the map: delete the file (`clean --no-map` "
            "does so too); then nobody can tell any more what a placeholder stands for",
            file=path,
        )
    return {str(original): str(mask) for original, mask in json.loads(plain).items()}


def write_map(path: Path, key: MaskKey, originals: Mapping[str, str]) -> None:
    """Write the map, whole or not at all, with a salt and a nonce of its own.

    Raises:
        DiskFull
    """
    plain = json.dumps(dict(originals), ensure_ascii=False).encode("utf-8", "surrogatepass")
    write_bytes(path, seal(plain, key, _MAGIC))


def seal(plain: bytes, key: MaskKey, magic: bytes) -> bytes:
    """Bytes that only the owner of the key can read, behind a `magic` that says what they are."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
    return magic + salt + nonce + AESGCM(_derived(key, salt)).encrypt(nonce, plain, magic)


def unseal(sealed: bytes, key: MaskKey, magic: bytes) -> bytes | None:
    """What was sealed; None: with another key, or it is damaged."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    head = len(magic) + _SALT + _NONCE
    if not sealed.startswith(magic) or len(sealed) <= head:
        return None
    salt, nonce = sealed[len(magic) : head - _NONCE], sealed[head - _NONCE : head]
    try:
        return AESGCM(_derived(key, salt)).decrypt(nonce, sealed[head:], magic)
    except InvalidTag:
        return None


def _derived(key: MaskKey, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(salt=salt, length=32, **_SCRYPT).derive(key.secret)
