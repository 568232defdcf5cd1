"""Engines by name."""

import pytest

from stepsize.engines import EngineChoice
from stepsize.errors import InputError


@pytest.mark.parametrize(
    "text",
    [
        "auto",
        "serial",
        "fused",
        "processes",
        "processes:3",
        "dask://10.0.0.1:8786",
        "dask://tls://h:1",
    ],
)
def test_a_name_is_read_and_written(text):
    choice = EngineChoice.of(text)
    assert str(choice) == text
    assert EngineChoice.of(choice) is choice


@pytest.mark.parametrize(
    "text",
    [
        "",
        "threads",
        "processes:0",
        "processes:two",
        "serial:2",
        "dask",
        "dask://head",
        "dask://",
        3,
    ],
)
def test_what_is_no_engine_is_refused(text):
    with pytest.raises(InputError):
        EngineChoice.of(text)
