"""Where data are looked for, as the environment has it."""

from pathlib import Path

import pytest

from stepsize.errors import DataError
from stepsize.tasks import cache_dir, data_dir

VARIABLES = ("STEPSIZE_DATA", "STEPSIZE_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA")


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr("stepsize.tasks.places.sys.platform", "linux")
    return tmp_path


def test_the_home_folder_comes_last(home):
    assert cache_dir() == home / ".cache" / "stepsize"
    assert data_dir("x") == home / ".cache" / "stepsize" / "data" / "x"


def test_xdg_comes_before_home(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "stepsize"


def test_a_relative_xdg_is_ignored(monkeypatch, home):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_dir() == home / ".cache" / "stepsize"


def test_our_own_variable_comes_before_all(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("STEPSIZE_CACHE", str(tmp_path / "own"))
    assert cache_dir() == tmp_path / "own"


def test_windows_has_a_place_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert tmp_path / "stepsize" != cache_dir()
    monkeypatch.setattr("stepsize.tasks.places.sys.platform", "win32")
    assert cache_dir() == tmp_path / "stepsize" / "Cache"


def test_no_home_at_all_names_the_variable(monkeypatch):
    def nowhere():
        raise RuntimeError

    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.raises(DataError, match="STEPSIZE_CACHE"):
        cache_dir()


@pytest.mark.parametrize("value", ["", None])
def test_an_empty_variable_is_unset(monkeypatch, home, value):
    if value is not None:
        monkeypatch.setenv("STEPSIZE_DATA", value)
        monkeypatch.setenv("STEPSIZE_CACHE", value)
    assert data_dir("x").is_relative_to(home)


def test_a_named_data_folder_wins(monkeypatch, tmp_path):
    monkeypatch.setenv("STEPSIZE_DATA", str(tmp_path / "mine"))
    monkeypatch.setenv("STEPSIZE_CACHE", str(tmp_path / "own"))
    assert data_dir("fashion-mnist") == tmp_path / "mine" / "data" / "fashion-mnist"
