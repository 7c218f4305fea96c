"""The only package that touches a workspace's files and database."""

from inhouse.store.blobs import Blobs
from inhouse.store.paths import Paths, disk_guard, replacing, sha256_of, write_bytes
from inhouse.store.settings import Settings, is_loopback, load_settings, require_outbound
from inhouse.store.workspace import Workspace, check_name, is_name

__all__ = [
    "Blobs",
    "Paths",
    "Settings",
    "Workspace",
    "check_name",
    "disk_guard",
    "is_loopback",
    "is_name",
    "load_settings",
    "replacing",
    "require_outbound",
    "sha256_of",
    "write_bytes",
]
