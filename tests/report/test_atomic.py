import os
import stat

import pytest

from stepsize.errors import OutputError
from stepsize.report.atomic import write_all, write_atomically


def test_writes_and_overwrites(tmp_path):
    path = tmp_path / "find.json"
    for content in (b"old", b"new"):
        assert write_atomically(path, content) == path
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["find.json"]


@pytest.mark.parametrize("failing", ["replace", "fsync"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_keeps_the_old_file_and_leaves_nothing_behind(
    tmp_path, monkeypatch, failing, error
):
    path = tmp_path / "find.json"
    path.write_bytes(b"old")

    def fail(*_):
        raise error

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OutputError if isinstance(error, OSError) else KeyboardInterrupt):
        write_atomically(path, b"new")
    assert os.listdir(tmp_path) == ["find.json"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("name", ["missing/find.json", "a\0b", "x" * 300, "."])
def test_a_place_that_cannot_be_written_is_named(tmp_path, name):
    path = os.path.join(tmp_path, name)
    with pytest.raises(OutputError) as caught:
        write_atomically(path, b"")
    assert str(tmp_path) in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_long_name_that_the_file_system_takes_is_taken(tmp_path):
    write_atomically(tmp_path / ("x" * 255), b"1")


def test_permissions_follow_the_umask_then_the_old_file(tmp_path):
    path = tmp_path / "find.json"
    before = os.umask(0o022)
    try:
        write_atomically(path, b"1")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    path.chmod(0o640)
    write_atomically(path, b"2")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_symbolic_link_stays_one(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_files_that_belong_together_are_all_old_when_one_cannot_be_written(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "b").mkdir()  # not a regular file
    with pytest.raises(OutputError):
        write_all({tmp_path / "a": b"new", tmp_path / "b": b"new"})
    assert (tmp_path / "a").read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_files_that_belong_together_follow_links_and_keep_modes(tmp_path):
    real = tmp_path / "real"
    real.write_bytes(b"old")
    real.chmod(0o640)
    (tmp_path / "link").symlink_to(real)
    write_all({tmp_path / "link": b"new", tmp_path / "other": b"new"})
    assert (tmp_path / "link").is_symlink()
    assert real.read_bytes() == (tmp_path / "other").read_bytes() == b"new"
    assert real.stat().st_mode & 0o777 == 0o640
