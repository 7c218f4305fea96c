"""`response_format`: what form the caller wants an answer in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inhouse.api.errors import ApiError
from inhouse.api.shapes.wishes import answers_of, not_supported
from inhouse.core import ModelVersion
from inhouse.core.json_schema import check_wished

_PARAM = "response_format"


def wished_schema(wanted: Mapping[str, Any] | None, version: ModelVersion) -> dict[str, Any] | None:
    """The JSON Schema that a text is to be held to, `{}` for any object; None where nothing is wished for beyond what
    the version does anyway.

    Raises:
        ApiError: the version does not answer so, or no grammar can hold it to that.
    """
    kind, schema = _read(wanted or {})
    if version.kind != "generate":
        of_task = kind == "text" or (version.kind == "extract" and (schema == {} or schema == version.json_schema))
        if not of_task:
            raise not_supported(_PARAM, answers_of(version))
        return None
    if schema and (fault := check_wished(schema)):
        raise ApiError(400, fault, code="invalid_value", param=_PARAM)
    return schema


def _read(wanted: Mapping[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """The type, and the schema that it means."""
    kind = wanted.get("type", "text")
    if kind == "text":
        return kind, None
    if kind == "json_object":
        return kind, {}
    if kind != "json_schema":
        what = f"`type` is {str(kind)[:40]!r}: it can be text, json_object or json_schema"
        raise ApiError(400, what, code="invalid_value", param=_PARAM)
    told = wanted.get("json_schema")
    schema = told.get("schema") if isinstance(told, Mapping) else None
    if not isinstance(schema, dict) or not schema:
        raise ApiError(400, "`json_schema.schema` is missing", code="invalid_value", param=_PARAM)
    return kind, schema
