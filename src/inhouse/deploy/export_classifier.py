"""A fine-tuned encoder as files for other programs: OpenVINO, a tokenizer, the head's numbers, and a script."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

from inhouse.core import ModelVersion
from inhouse.deploy.export_check import CHECK_NOTE
from inhouse.deploy.version_files import CLASSIFIER
from inhouse.engine import find_spec
from inhouse.engine.classifier import HEAD, IR, META, TOKENIZER, WEIGHTS
from inhouse.errors import ModelUnavailable
from inhouse.store import Workspace

TARGET = "openvino"
_SCRIPT = "classify.py"


def write_openvino_folder(workspace: Workspace, version: ModelVersion, folder: Path, place: str) -> tuple[str, ...]:
    """Fill `folder` with what answers as the served file does; give back what to do next.

    Args:
        place: where the folder will lie.

    Raises:
        NotFound: the served file is gone.
    """
    with zipfile.ZipFile(workspace.blobs.path(version.file_sha256, CLASSIFIER)) as archive:
        for name in (IR, WEIGHTS, TOKENIZER, *HEAD):
            (folder / name).write_bytes(archive.read(name))
        meta = {**json.loads(archive.read(META)), "exact": version.exact}
    (folder / META).write_text(json.dumps(meta, indent=1), "utf-8")
    shutil.copyfile(Path(__file__).with_name(_SCRIPT), folder / _SCRIPT)
    following = (
        "pip install openvino tokenizers safetensors scikit-learn",
        f'python {place}/{_SCRIPT} "a text"',
        f"or in Python, with {place} on the path: from classify import Classifier; Classifier({place!r})([text])",
    )
    (folder / "README.md").write_text(_readme(version, following), "utf-8")
    return following


def _asks_a_person(version: ModelVersion) -> str:
    """From which of the model's own probabilities on no person need look."""
    if version.threshold > 1:
        return "No probability was shown to be enough: let a person look at every answer."
    own = version.calibrator.before(version.threshold) if version.calibrator else version.threshold
    return f"inhouse asks a person about answers below {own:.6g}."


def _readme(version: ModelVersion, following: tuple[str, ...]) -> str:
    """What the folder is, how to use it, and what to send."""
    recipe, steps = version.lineage["recipe"], "\n".join(f"    {line}" for line in following)
    several = f"one line `field: value` for each of {', '.join(version.fields)}, in this order"
    asked = "the text" if len(version.fields) == 1 else several
    try:
        licence = find_spec(recipe["base_model"]).licence
    except ModelUnavailable:  # a folder that is gone since
        licence = ""
    return f"""# {version.name}, exported by inhouse (--to {TARGET})

Use it:

{steps}

A text goes in as {asked}; one of {len(version.labels)} labels comes out, with its probability as the model has it.
{_asks_a_person(version)}

- `encoder.xml`, `encoder.bin`: two sentence encoders in one OpenVINO model, the tuned one and the one it came from;
  `input_ids` and `attention_mask` [texts, tokens] in, `vectors` [texts, 2 x width] of unit length out
- `tokenizer.json`: for Hugging Face tokenizers
- `head.safetensors`, `head.json`: the linear classifiers, their n-grams, and the labels in the order of their rows.
  The n-grams are **groups of one or two words and of two to four letters of the training texts, in clear**: such as
  are in two texts at least, without numbers of two digits or more. Names that several texts hold are among them; give
  the folder to nobody who may not know them
- `meta.json`: the most tokens of a text, what fills short ones up, the prefix of every text
- `classify.py`: puts these together

Where it comes from:

- encoder: {recipe["base_model"]} (sha256 {recipe["base_sha256"]}), licence {licence or "its own"}
- trained on: dataset version {version.lineage.get("dataset", "?")}, run {version.run}
- served file: sha256 {version.file_sha256}

{CHECK_NOTE}
"""
