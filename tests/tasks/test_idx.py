"""The IDX reader undoes a writer, and refuses everything that is not exactly one IDX file."""

import contextlib
import gzip
import hashlib
import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.errors import DataError
from stepsize.tasks.idx import parse_idx, read_idx

TYPES = {8: "u1", 9: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def write_idx(code, numbers):
    header = bytes([0, 0, code, numbers.ndim]) + struct.pack(f">{numbers.ndim}I", *numbers.shape)
    return header + numbers.astype(TYPES[code]).tobytes()


@st.composite
def idx_files(draw):
    code = draw(st.sampled_from(sorted(TYPES)))
    shape = tuple(draw(st.lists(st.integers(0, 4), min_size=1, max_size=4)))
    width = np.dtype(TYPES[code]).itemsize
    size = math.prod(shape) * width
    data = draw(st.binary(min_size=size, max_size=size))
    return code, np.frombuffer(data, TYPES[code]).reshape(shape)


@given(idx_files())
def test_round_trip(file):
    code, numbers = file
    got = parse_idx(write_idx(code, numbers))
    assert got.shape == numbers.shape
    expected = numbers.astype(numbers.dtype.newbyteorder("="))
    assert got.numpy().dtype == expected.dtype
    assert got.numpy().tobytes() == expected.tobytes()  # bytes, so that NaN equals itself


@settings(deadline=None)  # the first example imports torch
@given(idx_files())
def test_torch_and_numpy_agree(file):
    torch = pytest.importorskip("torch")
    got = parse_idx(write_idx(*file))
    assert got.torch().numpy().dtype == got.numpy().dtype
    assert torch.equal(got.torch().nan_to_num(), torch.from_numpy(got.numpy()).nan_to_num())


@given(idx_files(), st.data())
def test_truncation_is_refused(file, data):
    content = write_idx(*file)
    with pytest.raises(DataError):
        parse_idx(content[: data.draw(st.integers(0, len(content) - 1))])


@given(idx_files(), st.binary(min_size=1, max_size=9))
def test_trailing_bytes_are_refused(file, more):
    with pytest.raises(DataError):
        parse_idx(write_idx(*file) + more)


@given(idx_files(), st.integers(0, 2), st.integers(0, 255))
def test_a_wrong_magic_number_is_refused(file, place, byte):
    content = bytearray(write_idx(*file))
    is_good = byte in TYPES if place == 2 else byte == 0
    if is_good:
        return
    content[place] = byte
    with pytest.raises(DataError, match="not an IDX file"):
        parse_idx(bytes(content))


@given(st.binary(max_size=64))
def test_no_content_raises_anything_else(content):
    with contextlib.suppress(DataError):
        parse_idx(content)


def test_a_header_that_promises_the_moon_costs_nothing():
    with pytest.raises(DataError):
        parse_idx(bytes([0, 0, 0x0E, 4]) + b"\xff" * 16)


def test_a_scalar_is_not_an_array():
    with pytest.raises(DataError):
        parse_idx(bytes([0, 0, 8, 0, 7]))


CONTENT = write_idx(8, np.arange(12).reshape(3, 4))


@pytest.mark.parametrize("packed", [CONTENT, gzip.compress(CONTENT)], ids=["plain", "gzip"])
def test_files_may_be_compressed(tmp_path, packed):
    (tmp_path / "file").write_bytes(packed)
    got = read_idx(tmp_path / "file", hashlib.sha256(CONTENT).hexdigest())
    assert got.numpy().tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_every_cut_of_a_compressed_file_is_refused(tmp_path):
    packed = gzip.compress(CONTENT)
    for length in range(len(packed)):
        (tmp_path / "file").write_bytes(packed[:length])
        with pytest.raises(DataError, match="file"):
            read_idx(tmp_path / "file")


def test_another_file_is_refused_by_its_checksum(tmp_path):
    (tmp_path / "file").write_bytes(gzip.compress(CONTENT))
    with pytest.raises(DataError, match="SHA-256"):
        read_idx(tmp_path / "file", "0" * 64)


def test_a_missing_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="absent"):
        read_idx(tmp_path / "absent")


def test_the_tensor_is_a_copy():
    pytest.importorskip("torch")
    array = parse_idx(CONTENT)
    array.torch().zero_()
    assert array.torch().sum() == 66
