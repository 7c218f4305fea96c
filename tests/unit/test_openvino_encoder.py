"""Sentence encoders in OpenVINO: torch's vectors, without torch once they were made."""

from __future__ import annotations

import shutil
import subprocess
import sys
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import many_intents, write_encoder

from inhouse.engine import openvino_encoder
from inhouse.engine.encoder import SentenceEncoder
from inhouse.engine.openvino_encoder import OpenVinoEncoder, cheapest_cuts
from inhouse.errors import EngineFault, ModelUnavailable

TEXTS = ["", "pin", *(row["text"] for row in many_intents(2)), "where is my card " * 40]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """An encoder whose OpenVINO form was made."""
    folder = write_encoder(tmp_path_factory.mktemp("made") / "small")
    OpenVinoEncoder(folder)
    return folder


@pytest.mark.parametrize("family", ["bert", "distilbert", "xlm-roberta", "modernbert"])
def test_the_vectors_are_torch_s_in_every_family(family, tmp_path):
    folder = write_encoder(tmp_path / family, family)
    found, right = OpenVinoEncoder(folder, threads=1), SentenceEncoder(folder)
    np.testing.assert_allclose(found.embed(TEXTS), right.embed(TEXTS), atol=1e-5)
    assert (found.counts(TEXTS), found.longest) == (right.counts(TEXTS), right.longest)
    assert np.allclose(np.linalg.norm(found.embed(TEXTS), axis=1), 1)
    assert found.embed([]).shape == right.embed(["x"])[:0].shape


def test_the_real_encoder_too(encoder, tmp_path):
    folder = tmp_path / "encoder"
    folder.mkdir()
    for file in encoder.resolve().glob("*.*"):  # without what was made of it before
        if file.suffix in (".json", ".safetensors"):
            (folder / file.name).symlink_to(file)
    apart = np.abs(OpenVinoEncoder(folder).embed(TEXTS) - SentenceEncoder(folder).embed(TEXTS))
    assert apart.max() < 1e-5


def test_it_is_made_once_and_opens_without_torch_after_that(folder):
    before = (folder / "vectors.xml").stat().st_mtime_ns
    assert sorted(file.name for file in folder.glob(".part-*")) == []
    code = (
        "import sys; from pathlib import Path; from inhouse.engine.openvino_encoder import OpenVinoEncoder;"
        "print(OpenVinoEncoder(Path(sys.argv[1])).embed(['new pin'])[0, 0], 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    number, torch = done.stdout.split()
    assert (float(number), torch) == (
        pytest.approx(SentenceEncoder(folder).embed(["new pin"])[0, 0], abs=1e-5),
        "False",
    )
    assert (folder / "vectors.xml").stat().st_mtime_ns == before


def test_what_gives_other_vectors_is_not_kept(folder, tmp_path, monkeypatch):
    other = tmp_path / "other"
    shutil.copytree(folder, other, ignore=shutil.ignore_patterns("vectors.*"))

    from inhouse.engine.encoder_model import PooledEncoder, load_encoder
    from inhouse.engine.encoder_model import write_openvino as right

    def another(_encoder: object, _pad: int, file: Path, *, half: bool) -> None:
        right(PooledEncoder(load_encoder(folder), "cls"), 0, file, half=half)  # it takes the mean

    monkeypatch.setattr("inhouse.engine.encoder_model.write_openvino", another)
    with pytest.raises(EngineFault, match="other vectors in OpenVINO"):
        OpenVinoEncoder(other)
    assert sorted(file.name for file in other.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]


@pytest.mark.parametrize("name", ["vectors.xml", "vectors.bin"])
def test_a_form_that_is_not_whole_says_what_to_do(name, folder, tmp_path):
    broken = Path(shutil.copytree(folder, tmp_path / "broken"))
    (broken / name).write_bytes((broken / name).read_bytes()[:100])
    if name == "vectors.bin":
        (broken / name).unlink()
    with pytest.raises(ModelUnavailable, match=r"delete .*vectors\.xml") as error:
        OpenVinoEncoder(broken)
    (Path(str(error.value.file))).unlink()
    assert OpenVinoEncoder(broken).embed(["pin"]).shape == (1, 32)  # made again


def test_a_maker_that_is_killed_leaves_no_half_form(folder, tmp_path, monkeypatch):
    other = tmp_path / "other"
    shutil.copytree(folder, other, ignore=shutil.ignore_patterns("vectors.*"))
    right = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if target.suffix == ".xml":
            raise KeyboardInterrupt
        return right(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            OpenVinoEncoder(other)
    assert not (other / openvino_encoder._KEPT).exists()
    assert OpenVinoEncoder(other).embed(["pin"]).shape == (1, 32)


def test_texts_are_cut_into_groups_where_padding_and_calls_cost_least_together():
    assert cheapest_cuts([]) == [0]
    assert cheapest_cuts([5]) == [0, 1]
    assert cheapest_cuts([10] * 30) == [0, 30]  # nothing is padded
    assert cheapest_cuts([3, 4, 60, 61]) == [0, 2, 4]  # padding two short ones costs more than a call
    assert max(np.diff(cheapest_cuts([256] * 40))) == 16  # more are too many at once
    lengths = sorted(np.random.default_rng(0).integers(3, 120, 9).tolist())
    every = [[0, *inner, 9] for count in range(9) for inner in combinations(range(1, 9), count)]
    assert _cost(lengths, cheapest_cuts(lengths)) == min(_cost(lengths, cuts) for cuts in every)


def _cost(lengths: list[int], cuts: list[int]) -> int:
    return sum(openvino_encoder._CALL + (end - start) * lengths[end - 1] for start, end in pairwise(cuts))
