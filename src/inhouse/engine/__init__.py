"""Text in and out of models. Nothing here is imported before it is needed: torch and openvino are heavy."""

from inhouse.engine.bases import (
    ENCODER,
    Base,
    BaseSpec,
    catalogue,
    find_spec,
    get_base,
    is_here,
    known_bases,
    location,
    outlined_base,
    require_base,
    require_kind,
    room_to_bring,
    served_file,
)
from inhouse.engine.protocol import Engine, Generation, StreamingEngine

__all__ = [
    "ENCODER",
    "Base",
    "BaseSpec",
    "Engine",
    "Generation",
    "StreamingEngine",
    "catalogue",
    "find_spec",
    "get_base",
    "is_here",
    "known_bases",
    "location",
    "outlined_base",
    "require_base",
    "require_kind",
    "room_to_bring",
    "served_file",
]
