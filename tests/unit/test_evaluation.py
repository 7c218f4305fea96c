"""What an evaluation says: one kept earlier is still read, and one with everything in it meets the contract."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from evaluations import PLAIN, WHOLE
from pydantic import ValidationError

from inhouse.core import Evaluation

CONTRACT = json.loads((Path(__file__).parents[1] / "contracts" / "evaluation.schema.json").read_text("utf-8"))
# What an evaluation and its contenders said when there was no more to say.
FIRST = set(CONTRACT["properties"]) | {"model_version", "validation_examples", "against_champion", "warnings"}
FIRST_OF_CONTENDER = {"name", "model", "metrics", "seconds", "requests_per_second", "prompt_tokens", "answer_tokens"}


@pytest.mark.parametrize("evaluation", [PLAIN, WHOLE], ids=["plain", "whole"])
def test_an_evaluation_meets_the_contract_and_comes_back_as_it_was(evaluation: Evaluation) -> None:
    kept = evaluation.model_dump_json()
    jsonschema.validate(json.loads(kept), CONTRACT)
    assert Evaluation.model_validate_json(kept) == evaluation


def test_an_evaluation_that_was_kept_earlier_is_read() -> None:
    kept = {key: value for key, value in PLAIN.model_dump(mode="json").items() if key in FIRST}
    kept["contenders"] = [{k: v for k, v in c.items() if k in FIRST_OF_CONTENDER} for c in kept["contenders"]]
    assert not set(kept) & {"comparisons", "reviews", "files"}
    assert Evaluation.model_validate(kept) == PLAIN
    with pytest.raises(ValidationError, match="unknown"):
        Evaluation.model_validate({**kept, "unknown": 1})
