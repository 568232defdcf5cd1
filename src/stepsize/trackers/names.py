"""Names that users choose, made fit for another tool: no path, no control characters, not long."""

from __future__ import annotations

import hashlib
import re

#: What stays in a name of a file or folder; ``/``, ``\\`` and ``:`` are not among them.
FILE = r"A-Za-z0-9_.,=%+()~ -"
#: What stays where a tool allows the least.
PLAIN = r"A-Za-z0-9_-"


def fit(text: str, allowed: str = FILE, longest: int = 80) -> str:
    """``text`` with ``_`` for what is not allowed, and an end that tells it from its likes.

    Names that are fit already stay as they are; all others end with a digest, so that two
    different names never become the same.

    Args:
        text: any text.
        allowed: the inside of a regular expression's ``[...]``.
        longest: in characters.

    >>> fit("cosine(0.1)"), fit("../../etc"), fit("a" * 500, longest=12)
    ('cosine(0.1)', '_.._etc~74ccf3', 'aaaaa~69206a')
    """
    fitting = re.sub(rf"[^{allowed}]", "_", text).strip(". ")
    if fitting == text and 0 < len(text) <= longest:
        return text
    mark = "~" if "~" in allowed else "-"
    digest = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:6]
    return f"{fitting[: longest - 7]}{mark}{digest}"


def line(text: str, longest: int = 250) -> str:
    r"""``text`` in one line without control characters, cut where it is too long.

    >>> line("a\nb\0c"), line("abcdef", longest=4)
    ('a b c', 'abc…')
    """
    printable = "".join(c if c.isprintable() else " " for c in text)
    return printable if len(printable) <= longest else f"{printable[: longest - 1]}…"
