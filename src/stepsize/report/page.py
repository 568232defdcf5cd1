"""What every offline page is made of: one file, its scripts and styles allowed by their hash."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from stepsize.report.wording import plain_text, setting_text

#: Settings that have a place of their own.
_ELSEWHERE = ("command",)


def build(
    name: str,
    *,
    title: str,
    data: Any = None,
    scripts: Sequence[str],
    style: str = "",
    **parts: str,
) -> str:
    """The whole page: the body of ``<name>.html`` with its ``parts`` in the frame of ``page.html``.

    Scripts and styles are allowed by their hash only, so nothing that a text from a user smuggles
    in could run, and nothing is loaded from anywhere.

    Args:
        name: of the page; its data is in the element ``<name>-data``.
        title: of the page.
        data: what the scripts draw, as JSON data; None for a page that is drawn already.
        scripts: files to inline; what draws comes after the library and ``page.js``.
        style: rules beyond ``page.css`` and ``<name>.css``.
        parts: what fills the body, markup already escaped.
    """
    library = "" if data is None else asset("vendor/uplot.min.css")
    styles = library + asset("page.css") + asset(f"{name}.css") + style
    codes = ["".join(map(asset, scripts))]
    element = ""
    if data is not None:
        codes = [asset("vendor/uplot.min.js"), asset("page.js") + codes[0]]
        kind = 'type="application/json"'
        element = f'<script {kind} id="{name}-data">{_json(data)}</script>\n'
    policy = (
        f"default-src 'none'; script-src {' '.join(map(_hash, codes))}; "
        f"style-src {_hash(styles)}; img-src data:; base-uri 'none'; form-action 'none'"
    )
    return Template(asset("page.html")).substitute(
        policy=policy,
        title=text(title),
        style=styles,
        body=Template(asset(f"{name}.html")).substitute(parts),
        scripts=element + "\n".join(f"<script>{code}</script>" for code in codes),
    )


def asset(name: str) -> str:
    """The content of a file beside this one."""
    return files("stepsize.report").joinpath(name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"


def _json(data: Any) -> str:
    """JSON that no HTML parser mistakes for markup."""
    content = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return content.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")


def text(value: object) -> str:
    """Any text as one escaped line.

    >>> text('<b title="x">')
    '&lt;b title=&quot;x&quot;&gt;'
    """
    return escape(plain_text(value))


def section(title: str, body: str) -> str:
    """A part of the page under a heading."""
    return f"<section><h2>{title}</h2>{body}</section>"


def code(lines: str) -> str:
    """Something to copy; ``lines`` are escaped here."""
    return f"<pre><code>{escape(lines)}</code></pre>"


def items(lines: Iterable[str]) -> str:
    """A list of sentences, escaped here."""
    return f"<ul>{''.join(f'<li>{text(line)}</li>' for line in lines)}</ul>"


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers: frozenset[int] = frozenset(),
    first: str = "",
) -> str:
    """A table of escaped cells; columns whose index is in ``numbers`` are set to the right.

    >>> table(("rule",), [("valley",)]).count("<tr>")
    2
    """
    kinds = [' class="number"' if i in numbers else "" for i in range(len(head))]
    cells = "".join(f"<th{kind}>{cell}</th>" for kind, cell in zip(kinds, head, strict=True))
    lines = []
    for row in rows:
        rest = zip(kinds[1:], row[1:], strict=True)
        columns = "".join(f"<td{kind}>{cell}</td>" for kind, cell in rest)
        lines.append(f'<tr><th scope="row"{kinds[0]}>{row[0]}</th>{columns}</tr>')
    body = first + "\n".join(lines)
    return (
        f'<div class="scroll"><table><thead><tr>{cells}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def short(value: float | None) -> float | None:
    """Seven digits: more than a screen shows, a third of the bytes.

    >>> short(0.1234567891), short(None)
    (0.1234568, None)
    """
    return None if value is None else float(f"{value:.7g}")


def facts(settings: Mapping[str, Any]) -> str:
    """How it was run, one row for each setting; nested ones are listed."""
    rows = [
        (text(name.replace("_", " ")), _fact(value))
        for name, value in settings.items()
        if name not in _ELSEWHERE
    ]
    return table(("setting", "value"), rows) if rows else ""


def _fact(value: Any) -> str:
    if isinstance(value, Mapping) and value:
        return "<br>".join(
            f'<span class="soft">{text(name)}</span> {text(setting_text(each))}'
            for name, each in value.items()
        )
    return text(setting_text(value))
