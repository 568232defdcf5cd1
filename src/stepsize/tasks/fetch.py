"""Downloads that can be broken off, resumed and trusted."""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from stepsize.errors import DataError
from stepsize.tasks.filelock import locked

_CHUNK = 1 << 16
_RETRY_STATUSES = frozenset({408, 425, 429})  # and every 5xx: the server asks to come back
_LOG = logging.getLogger("stepsize.tasks")


class _BrokenError(Exception):
    """A transfer that failed in a way that another attempt may mend."""


def content_sha256(path: Path) -> str | None:
    """The SHA-256 of a file's content, decompressed if it is a gzip file.

    None when the file is absent, cannot be read, or is a damaged gzip file.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            with gzip.GzipFile(fileobj=file) if packed else nullcontext(file) as stream:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
    except (OSError, EOFError, zlib.error):
        return None
    return digest.hexdigest()


def fetch(
    url: str,
    target: Path,
    sha256: str,
    *,
    timeout: float = 30.0,
    attempts: int = 4,
    pause: float = 0.5,
    digest: Callable[[Path], str | None] = content_sha256,
) -> Path:
    """Make sure that ``target`` holds what ``url`` serves, and return it.

    A file that is already there and has the checksum is used as it is. Otherwise the download
    goes to ``<target>.part``, survives being broken off, and gets its final name in one step once
    its checksum is right; so ``target`` is never half a file. Processes that want the same file
    take turns, and all but the first find it there.

    Args:
        url: an ``http`` or ``https`` address.
        target: where the file belongs; its folder is created.
        sha256: the SHA-256 of the content: of the decompressed bytes for a gzip file.
        timeout: seconds that the server may stay silent.
        attempts: how often to try without receiving anything new before giving up.
        pause: seconds before the second attempt; doubled for each one after.
        digest: what computes the checksum of a file, None where it cannot; for files of which only
            the content is known.

    Raises:
        DataError: no connection, a refusal, a wrong checksum, or a folder that cannot be written.
    """
    if not url.startswith(("http://", "https://")):
        raise DataError(f"Only http and https addresses can be fetched, got {url!r}.")
    if digest(target) == sha256:
        return target
    with _told_about_folder(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target.parent / ".lock"):
            if digest(target) == sha256:  # another process was faster
                return target
            _LOG.info("Downloading %s to %s", url, target)
            part = target.with_name(target.name + ".part")
            _download(url, part, sha256, digest, timeout, attempts, pause)
            os.replace(part, target)
    return target


@contextmanager
def _told_about_folder(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{target} cannot be written ({error.strerror or error}). Set STEPSIZE_CACHE to a "
            "folder that can."
        ) from error


def _download(
    url: str,
    part: Path,
    sha256: str,
    digest: Callable[[Path], str | None],
    timeout: float,
    attempts: int,
    pause: float,
) -> None:
    """Leave the verified file at ``part``, or nothing."""
    for _ in range(2):
        resumed = _complete(url, part, timeout, attempts, pause)
        if digest(part) == sha256:
            return
        part.unlink()
        if not resumed:
            break
        # The two halves may be of two versions of the file; one fresh start tells.
        _LOG.warning("%s changed while it was downloaded; starting over", url)
    raise DataError(
        f"What {url} serves is not the expected file: its checksum is wrong. It was deleted."
    )


def _complete(url: str, part: Path, timeout: float, attempts: int, pause: float) -> bool:
    """Try until ``part`` is whole; return whether it was put together from several answers."""
    failures = 0
    while True:
        before = _size(part)
        try:
            return _transfer(url, part, before, timeout)
        except _BrokenError as error:
            failures = 1 if _size(part) > before else failures + 1
            if failures >= attempts:
                raise DataError(f"{url} could not be fetched: {error}.") from error
            time.sleep(pause * 2 ** (failures - 1))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _transfer(url: str, part: Path, have: int, timeout: float) -> bool:
    """Ask once for what is missing; return whether the answer continues what was there."""
    headers = {"User-Agent": "stepsize", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response: HTTPResponse = urlopen(Request(url, headers=headers), timeout=timeout)
    except HTTPError as error:
        with error:
            return _refused(error, part, have)
    except (OSError, HTTPException) as error:  # URLError is an OSError
        raise _BrokenError(f"{getattr(error, 'reason', None) or error!r}") from error
    with response:
        resumed = response.status == 206
        if resumed and not _starts_at(response, have):
            part.unlink(missing_ok=True)
            raise _BrokenError("the server answered with another part of the file")
        with part.open("ab" if resumed else "wb") as file:
            for chunk in _chunks(response):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    return resumed


def _refused(error: HTTPError, part: Path, have: int) -> bool:
    if error.code == 416 and have:  # nothing lies beyond what is here
        if error.headers.get("Content-Range", "").strip() == f"bytes */{have}":
            return True
        part.unlink()
        raise _BrokenError("the file on the server is shorter than what was here") from error
    if error.code in _RETRY_STATUSES or error.code >= 500:
        raise _BrokenError(f"the server answered {error.code} {error.reason}") from error
    raise DataError(f"{error.url} answered {error.code} {error.reason}.") from error


def _starts_at(response: HTTPResponse, have: int) -> bool:
    span = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return span is not None and int(span[1]) == have


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    """The body, piece by piece as it arrives, so that a break loses nothing that came before."""
    announced = response.headers.get("Content-Length")
    missing = int(announced) if announced and announced.isdecimal() else None
    while missing != 0:
        try:
            chunk = response.read1(_CHUNK)
        except (OSError, HTTPException) as error:
            raise _BrokenError(f"the connection broke off: {error!r}") from error
        if not chunk:
            if missing:
                raise _BrokenError(f"the connection broke off, {missing} bytes short")
            return
        if missing is not None:
            missing -= len(chunk)
        yield chunk
