"""Requests made of the OpenAPI document, right and wrong ones: none may break the server, and all answers are as it says.

`FUZZ_EXAMPLES` sets how many for each operation: `make fuzz-api` takes many, the suite a few.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_schema_conformance,
    status_code_conformance,
)
from servers import start

from inhouse.api.routes import ROUTERS
from inhouse.store import Workspace, keys

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    ignored_auth,
]
MODELS = ("intents", "intents@1", "tiny")


@pytest.fixture(scope="module")
def served(trained, environment, tmp_path_factory):
    """A server that wants a key, and the key."""
    folder = Path(shutil.copytree(trained, tmp_path_factory.mktemp("fuzz") / "workspace"))
    workspace = Workspace(folder)
    _, secret = keys.create(workspace, "fuzz", scopes=["admin"])
    workspace.close()
    server = start(folder, environment)
    yield server, {"Authorization": f"Bearer {secret}"}
    server.kill()


@pytest.fixture(scope="module")
def document(served):
    server, head = served
    return schemathesis.openapi.from_url(f"{server.url.removesuffix('/v1')}/openapi.json", headers=head)


OPERATIONS = [
    (method, re.sub(":path", "", route.path), mode)
    for router in ROUTERS
    for route in router.routes
    for method in sorted(route.methods)
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or method == "POST" or route.dependant.query_params  # else nothing can be wrong
]


@pytest.mark.parametrize(("method", "path", "mode"), OPERATIONS, ids=lambda part: getattr(part, "value", part))
def test_no_request_breaks_the_server(method, path, mode, document, served):
    _, head = served
    sent = []

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES < 100)
    @given(document[path][method].as_strategy(generation_mode=mode))
    def ask(case):
        if isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
            case.body["model"] = MODELS[len(case.body["model"]) % len(MODELS)]  # no guess finds one
            case.body["max_tokens"] = 4  # a base would write a thousand
        sent.append(case)
        case.call_and_validate(headers=head, checks=CHECKS)

    ask()
    assert sent


def test_the_document_tells_the_shape_of_refusals(served):
    server, head = served
    _, _, told = server.raw("GET", "/openapi.json", headers=head)
    for path, methods in told["paths"].items():
        for operation in methods.values():
            assert set(operation["responses"]) == {"200", "default"}, path
    assert server.raw("GET", "/openapi.json")[0] == 401
