"""Some broken files of every format; `make fuzz` reads them by the thousand."""

from __future__ import annotations

import pytest
from fuzz.sources import SEEDS, check, files, seeds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inhouse.sources import ReadOptions


@pytest.mark.parametrize("extension", SEEDS)
def test_whole_files_are_read(tmp_path, extension):
    for number, data in enumerate(seeds(extension)):
        path = tmp_path / f"{number}.{extension}"
        path.write_bytes(data)
        assert check(path, ReadOptions())


@pytest.mark.parametrize("extension", SEEDS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_broken_files_give_rows_or_an_error_of_ours(tmp_path, extension, data):
    path = tmp_path / f"d.{extension}"
    path.write_bytes(data.draw(files(extension)))
    check(path, ReadOptions())
