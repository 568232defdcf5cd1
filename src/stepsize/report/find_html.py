"""The page of a ``find``: one file with everything in it, for a browser without a network."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stepsize.records import FindResult
from stepsize.report.atomic import write_atomically
from stepsize.report.axes import Tick, rate_ticks
from stepsize.report.find_view import FindView, view_of
from stepsize.report.marks import lay_out
from stepsize.report.page import build, code, items, section, short, table, text
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
    """The whole page. The same result gives the same page, byte for byte."""
    view = view_of(result)
    return build(
        "find",
        title=view.title,
        data=_data(view),
        scripts=("find.js",),
        heading=text(view.title),
        answer=_answer(result),
        key=_key(view),
        sparkline=sparkline(view, 640, 240),
        sections="\n".join(_sections(result)),
    )


def fragment(result: FindResult) -> str:
    """A few lines of HTML for a notebook: the answer and a small picture, no script.

    >>> from stepsize.records import Curve, FindResult, Suggestion
    >>> "<script" in fragment(FindResult(Suggestion("flat", "no fall"), Curve((0.1,), (2.0,))))
    False
    """
    view = view_of(result)
    return (
        f"<div><strong>{text(view.title)}</strong><br>{sparkline(view)}"
        f"<div>{text(result.reason)}</div><small>{text(view.cost)}</small></div>"
    )


def _answer(result: FindResult) -> str:
    about = f"Learning rate for {result.task}" if result.task else "Learning rate"
    lines = [f"<h1>{text(about)}</h1>"]
    if result.lr is None:
        lines.append('<p class="answer none">No rate suggested</p>')
        lines.append(f'<p class="interval">{text(VERDICT_WORDS[result.verdict])}</p>')
    elif result.interval is None:
        lines.append(f'<p class="answer">{rate_text(result.lr)}</p>')
    else:
        rate, low, high = interval_texts(result.lr, result.interval)
        lines.append(f'<p class="answer">{rate}</p>')
        lines.append(f'<p class="interval">95 % interval {low} to {high}</p>')
    lines.append(f"<p>{text(result.reason)}</p>")
    lines.append(f'<p class="soft">{text(result.verdict)} · {text(cost_text(result))}</p>')
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
    return text("; ".join(parts).capitalize() + ".")


def _sections(result: FindResult) -> Iterable[str]:
    yield '<div class="columns">'
    yield section("What each rule says", _rules_table(result))
    if result.lr is not None:
        yield section("Use it in PyTorch", code(_snippet(result)))
    settings = [(name, value) for name, value in result.settings.items() if name != "command"]
    if settings:
        rows = [(text(name), text(setting_text(value))) for name, value in settings]
        yield section("What was run", table(("setting", "value"), rows))
    if result.settings.get("command"):
        yield section("Run it again", code(plain_text(result.settings["command"])))
    if result.notes:
        yield section("Worth knowing", items(result.notes))
    yield "</div>"
    yield f"<details><summary>All points</summary>{_points_table(result)}</details>"


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
        row: tuple[str, ...] = (text(name), "no answer" if rate is None else f"{rate:.4g}")
        if result.lr is not None:
            row += ("–" if rate is None else f"{rate / result.lr:.2g}",)
        rows.append(row)
    if result.lr is not None:
        return table(("rule", "rate", "times ours"), rows, numbers=frozenset({1, 2}), first=ours)
    warning = (
        '<p class="soft">These rules answer whatever the curve looks like. '
        "Why no rate is suggested holds for theirs too.</p>"
    )
    return warning + table(("rule", "rate"), rows, numbers=frozenset({1}))


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
    return table(("rate", "loss", "smoothed", "updates"), rows, numbers=frozenset(range(4)))


def _data(view: FindView) -> dict[str, Any]:
    """What find.js draws, as JSON data."""
    # uPlot wants ascending rates; a curve recorded elsewhere may not have them.
    order = sorted(range(len(view.rates)), key=lambda i: view.rates[i])
    lost = [foot for foot, rate in view.ladder if rate >= (view.diverges_from or float("inf"))]
    return {
        "x": view.x,
        "y": view.y,
        "xTicks": _pairs(view.x_ticks),
        "yTicks": _pairs(view.y_ticks),
        "yLabel": view.y_label,
        "rates": [short(view.rates[i]) for i in order],
        "losses": [short(view.losses[i]) for i in order],
        "line": [short(view.line[i]) for i in order],
        "repeats": [
            [short(dict(zip(*repeat, strict=True)).get(view.rates[i])) for i in order]
            for repeat in view.repeats
        ],
        "above": [short(rate) for rate in view.above],
        "below": [short(rate) for rate in view.below],
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
        "ladder": [short(rate) for _, rate in view.ladder],
        "ladderTicks": _pairs(view.ladder_ticks),
        "ladderRateTicks": _pairs(rate_ticks(*view.x, most=4)),
    }


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
