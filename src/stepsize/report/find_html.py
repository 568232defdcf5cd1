"""The page of a ``find``: one file with everything in it, for a browser without a network."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from stepsize.records import FindResult
from stepsize.report.atomic import write_atomically
from stepsize.report.axes import Tick, rate_ticks
from stepsize.report.find_view import FindView, view_of
from stepsize.report.marks import lay_out
from stepsize.report.sparkline import sparkline
from stepsize.report.wording import (
    VERDICT_WORDS,
    clr_text,
    cost_text,
    interval_texts,
    loss_text,
    plain_text,
    rate_text,
    setting_text,
)

#: Widths of the loss chart, in characters, for which rows of marks are laid out; the page takes the
#: widest that fits.
_COLUMNS = (28, 36, 46, 58, 72, 90, 115)
_CAPTION = "other rules:"


def save(result: FindResult, path: str | Path) -> Path:
    """Write the page of ``result`` to ``path`` and return the path.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    return write_atomically(path, render(result).encode("utf-8"))


def render(result: FindResult) -> str:
    """The whole page. The same result gives the same page, byte for byte.

    Scripts and styles are allowed by their hash only, so nothing that a task's name or a note
    smuggles in could run, and nothing is loaded from anywhere.
    """
    view = view_of(result)
    style = _asset("vendor/uplot.min.css") + _asset("find.css")
    library, script = _asset("vendor/uplot.min.js"), _asset("find.js")
    policy = (
        f"default-src 'none'; script-src {_hash(library)} {_hash(script)}; "
        f"style-src {_hash(style)}; img-src data:; base-uri 'none'; form-action 'none'"
    )
    return Template(_asset("find.html")).substitute(
        policy=policy,
        title=_text(view.title),
        style=style,
        answer=_answer(result),
        key=_key(view),
        sparkline=sparkline(view, 640, 240),
        sections="\n".join(_sections(result)),
        data=_data(view),
        library=library,
        script=script,
    )


def fragment(result: FindResult) -> str:
    """A few lines of HTML for a notebook: the answer and a small picture, no script.

    >>> from stepsize.records import Curve, FindResult, Suggestion
    >>> "<script" in fragment(FindResult(Suggestion("flat", "no fall"), Curve((0.1,), (2.0,))))
    False
    """
    view = view_of(result)
    return (
        f"<div><strong>{_text(view.title)}</strong><br>{sparkline(view)}"
        f"<div>{_text(result.reason)}</div><small>{_text(view.cost)}</small></div>"
    )


def _asset(name: str) -> str:
    return files("stepsize.report").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _text(value: object) -> str:
    return escape(plain_text(value))


def _answer(result: FindResult) -> str:
    about = f"Learning rate for {result.task}" if result.task else "Learning rate"
    lines = [f"<h1>{_text(about)}</h1>"]
    if result.lr is None:
        lines.append('<p class="answer none">No rate suggested</p>')
        lines.append(f'<p class="interval">{_text(VERDICT_WORDS[result.verdict])}</p>')
    elif result.interval is None:
        lines.append(f'<p class="answer">{rate_text(result.lr)}</p>')
    else:
        rate, low, high = interval_texts(result.lr, result.interval)
        lines.append(f'<p class="answer">{rate}</p>')
        lines.append(f'<p class="interval">95 % interval {low} to {high}</p>')
    lines.append(f"<p>{_text(result.reason)}</p>")
    lines.append(f'<p class="soft">{_text(result.verdict)} · {_text(cost_text(result))}</p>')
    return "<header>\n" + "\n".join(lines) + "\n</header>"


def _key(view: FindView) -> str:
    parts = ["dots: the loss as measured", "line: smoothed"]
    if view.repeats:
        parts.append("thin lines: each repeat")
    if view.lr is not None:
        parts.append("vertical line and band: the suggestion with its interval")
    if view.marks:
        parts.append("diamonds: other rules")
    if view.above or view.below:
        parts.append("arrowheads: points beyond the picture")
    return _text("; ".join(parts).capitalize() + ".")


def _sections(result: FindResult) -> Iterable[str]:
    yield '<div class="columns">'
    yield _section("What each rule says", _rules_table(result))
    if result.lr is not None:
        yield _section("Use it in PyTorch", _code(_snippet(result)))
    settings = [(name, value) for name, value in result.settings.items() if name != "command"]
    if settings:
        rows = [(_text(name), _text(setting_text(value))) for name, value in settings]
        yield _section("What was run", _table(("setting", "value"), rows))
    if result.settings.get("command"):
        yield _section("Run it again", _code(plain_text(result.settings["command"])))
    if result.notes:
        notes = "".join(f"<li>{_text(note)}</li>" for note in result.notes)
        yield _section("Worth knowing", f"<ul>{notes}</ul>")
    yield "</div>"
    yield f"<details><summary>All points</summary>{_points_table(result)}</details>"


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>"


def _code(text: str) -> str:
    return f"<pre><code>{escape(text)}</code></pre>"


def _table(
    head: tuple[str, ...],
    rows: Iterable[tuple[str, ...]],
    numbers: frozenset[int] = frozenset(),
    first: str = "",
) -> str:
    """A table of escaped cells; columns whose index is in ``numbers`` are set to the right."""
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


def _rules_table(result: FindResult) -> str:
    ours = ""
    if result.lr is not None:
        ours = (
            '<tr class="ours"><th scope="row">the suggestion</th>'
            f'<td class="number">{result.lr:.4g}</td><td class="number">1</td></tr>'
        )
        if result.clr is not None:
            ours += "".join(
                f'<tr class="ours"><th scope="row">cyclical {name}</th><td class="number">'
                f'{rate:.4g}</td><td class="number">{rate / result.lr:.2g}</td></tr>'
                for name, rate in result.clr._asdict().items()
            )
    rows: list[tuple[str, ...]] = []
    known_first = sorted(result.rules.items(), key=lambda pair: (pair[1] is None, pair[1] or 0.0))
    for name, rate in known_first:
        row: tuple[str, ...] = (_text(name), "no answer" if rate is None else f"{rate:.4g}")
        if result.lr is not None:
            row += ("–" if rate is None else f"{rate / result.lr:.2g}",)
        rows.append(row)
    if result.lr is not None:
        return _table(("rule", "rate", "times ours"), rows, numbers=frozenset({1, 2}), first=ours)
    warning = (
        '<p class="soft">These rules answer whatever the curve looks like. '
        "Why no rate is suggested holds for theirs too.</p>"
    )
    return warning + _table(("rule", "rate"), rows, numbers=frozenset({1}))


def _snippet(result: FindResult) -> str:
    """PyTorch code that uses the answer, in lines short enough for a telephone."""
    code = (
        f"for group in optimizer.param_groups:\n    group['lr'] = {rate_text(result.lr or 0.0, 3)}"
    )
    if len(result.group_ratios) > 1:
        code = (
            f"rates = {_group_rates(result, result.lr or 0.0)}  # one per group\n"
            "groups = optimizer.param_groups\n"
            "for group, rate in zip(groups, rates):\n    group['lr'] = rate"
        )
    if result.clr is not None:
        code += (
            "\n\n# or between the cyclical bounds:\n"
            "from torch.optim.lr_scheduler import CyclicLR\n"
            "scheduler = CyclicLR(\n    optimizer,\n"
            f"    base_lr={_group_rates(result, result.clr.base_lr)},\n"
            f"    max_lr={_group_rates(result, result.clr.max_lr)},\n"
            "    cycle_momentum=False,\n)"
        )
    return code


def _group_rates(result: FindResult, rate: float) -> str:
    """The rate of every parameter group, their ratios kept; one number where there is one group."""
    texts = [rate_text(ratio * rate, 3) for ratio in result.group_ratios]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def _points_table(result: FindResult) -> str:
    curve = result.curve
    smoothed = (*result.smoothed, *(float("inf"),) * len(curve))[: len(curve)]
    rows = [
        (f"{rate:.6g}", loss_text(loss), loss_text(line).replace("diverged", "–"), str(updates))
        for rate, loss, line, updates in zip(
            curve.lr, curve.loss, smoothed, curve.updates, strict=True
        )
    ]
    return _table(("rate", "loss", "smoothed", "updates"), rows, numbers=frozenset(range(4)))


def _data(view: FindView) -> str:
    """What find.js draws, as JSON that no HTML parser mistakes for markup."""
    # uPlot wants ascending rates; a curve recorded elsewhere may not have them.
    order = sorted(range(len(view.rates)), key=lambda i: view.rates[i])
    lost = [foot for foot, rate in view.ladder if rate >= (view.diverges_from or float("inf"))]
    content = {
        "x": view.x,
        "y": view.y,
        "xTicks": _pairs(view.x_ticks),
        "yTicks": _pairs(view.y_ticks),
        "yLabel": view.y_label,
        "rates": [_short(view.rates[i]) for i in order],
        "losses": [_short(view.losses[i]) for i in order],
        "line": [_short(view.line[i]) for i in order],
        "repeats": [
            [_short(dict(zip(*repeat, strict=True)).get(view.rates[i])) for i in order]
            for repeat in view.repeats
        ],
        "above": [_short(rate) for rate in view.above],
        "below": [_short(rate) for rate in view.below],
        "lr": view.lr,
        "lrHeight": None if view.lr is None else view.line_at(view.lr),
        "answer": view.answer,
        "interval": view.interval,
        "clr": view.clr,
        "clrLabel": "" if view.clr is None else clr_text(view.clr),
        "divergesFrom": view.diverges_from,
        "lostUpdate": lost[0] if lost else None,
        "empty": view.empty,
        "caption": _CAPTION,
        "marks": [{"rate": mark.rate, "height": view.line_at(mark.rate)} for mark in view.marks],
        "layouts": [_layout(view, columns) for columns in _COLUMNS],
        "feet": [foot for foot, _ in view.ladder],
        "ladder": [_short(rate) for _, rate in view.ladder],
        "ladderTicks": _pairs(view.ladder_ticks),
        "ladderRateTicks": _pairs(rate_ticks(*view.x, most=4)),
    }
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")


def _layout(view: FindView, columns: int) -> dict[str, Any]:
    placed = lay_out(view.marks, columns, reserved=len(_CAPTION))
    return {
        "columns": columns,
        "marks": [
            {"rate": one.mark.rate, "label": one.label, "row": one.row, "left": one.left}
            for one in placed
        ],
    }


def _pairs(ticks: Iterable[Tick]) -> list[tuple[float, str]]:
    return [(tick.value, tick.text) for tick in ticks]


def _short(value: float | None) -> float | None:
    """Seven digits: more than a screen shows, a third of the bytes."""
    return None if value is None else float(f"{value:.7g}")
