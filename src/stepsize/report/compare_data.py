"""What the page of a comparison draws, packed: the curves of all arms as the scripts read them."""

from __future__ import annotations

import math
import struct
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from stepsize.report.compare_panels import Panel, Series, Style
from stepsize.report.compare_traces import Column, TracePanel
from stepsize.report.compare_view import CompareView
from stepsize.report.page import short
from stepsize.report.schedule_view import Axis, value_axis
from stepsize.report.wording import plain_text

#: Larger numbers have no place in 32 bits.
_LARGEST = 3e38


def data_of(view: CompareView, traced: TracePanel | None) -> dict[str, Any]:
    """The arms, and one panel after another.

    With ``traced`` the training loss and the rates are those of the updates as they were made;
    without it they are the means of epochs and the schedules' values.
    """
    panels = [_metric(panel, view) for panel in shown_panels(view, traced)]
    if traced is not None:
        panels.append(_traced(traced, view))
    panels.append(_rates(view, traced))
    return {
        "epochs": view.epochs,
        "updates": view.updates,
        "arms": [_arm(row.arm, row.style) for row in view.rows],
        "panels": panels,
    }


def shown_panels(view: CompareView, traced: TracePanel | None) -> list[Panel]:
    """The metrics that have a chart: the training loss of the epochs gives way to the updates'."""
    return [p for p in view.panels if traced is None or p.metric != "train_loss"]


def _arm(name: str, style: Style) -> dict[str, Any]:
    return {
        "name": plain_text(name),
        "colours": [style.colour, style.dark],
        "dash": style.dash,
        "strong": style.strong,
    }


def _metric(panel: Panel, view: CompareView) -> dict[str, Any]:
    per_epoch = view.updates / view.epochs
    return {
        "kind": "epochs",
        "label": panel.label,
        "higher": panel.higher,
        "toggle": "" if panel.higher else "loss",
        "axis": _axis(panel.axis),
        "x": [short(epoch * per_epoch) for epoch in panel.epochs],
        "arms": [_series(one, numbers) for one in panel.series],
    }


def _traced(traced: TracePanel, view: CompareView) -> dict[str, Any]:
    return {
        "kind": "buckets",
        "label": "training loss",
        "higher": False,
        "toggle": "loss",
        "axis": _axis(traced.axis),
        "width": traced.width,
        "updates": traced.updates,
        "arms": [_series(one, packed) for one in traced.series],
    }


def _series(one: Series, pack: Callable[[Sequence[float | None]], Any]) -> dict[str, Any]:
    """One arm; a single run is its own mean."""
    runs = [
        {"seed": run.seed, "lost": run.status == "diverged", "values": pack(run.values)}
        for run in one.runs
        if any(value is not None for value in run.values)
    ]
    return {
        "mean": pack(one.mean),
        "low": pack(one.low) if _known(one.low) else None,
        "high": pack(one.high) if _known(one.high) else None,
        "runs": runs,
    }


def _known(column: Iterable[float | None]) -> bool:
    return any(value is not None for value in column)


def _rates(view: CompareView, traced: TracePanel | None) -> dict[str, Any]:
    """The rates as they were where they are known, elsewhere the schedule's own."""
    curves = {curve.arm: curve.points for curve in view.rates.curves}
    made = {} if traced is None else traced.rates
    arms: list[dict[str, Any] | None] = []
    for row in view.rows:
        if row.arm in made:
            low, high = made[row.arm]
            arms.append({"low": packed(low), "high": packed(high)})
        elif row.arm in curves:
            updates, rates = zip(*curves[row.arm], strict=True)
            arms.append({"x": updates, "values": numbers(rates)})
        else:
            arms.append(None)
    return {
        "kind": "rates",
        "label": "learning rate",
        "higher": True,
        "toggle": "rate",
        "axis": _axis(_rates_axis(view.rates.axis, made)),
        "made": bool(made),
        "width": 1 if traced is None else traced.width,
        "updates": view.updates if traced is None else traced.updates,
        "arms": arms,
    }


def _rates_axis(axis: Axis, made: Mapping[str, tuple[Column, Column]]) -> Axis:
    """The schedules' axis, unless rates were higher than they say."""
    peaks = [rate for _, high in made.values() for rate in high if rate is not None]
    if not peaks or max(peaks) <= axis.high * 1.001:
        return axis
    return value_axis([axis.low, max(peaks)], log=axis.log, most=6)


def _axis(axis: Axis) -> dict[str, Any]:
    ticks = [(tick.value, tick.text) for tick in axis.ticks]
    return {"low": axis.low, "high": axis.high, "log": axis.log, "ticks": ticks}


def numbers(column: Iterable[float | None]) -> list[float | None]:
    """A column as JSON."""
    return [short(value) for value in column]


def packed(column: Sequence[float | None]) -> str:
    """A column as 32-bit numbers in base64; what is missing is NaN.

    >>> packed([1.0, None])
    'AACAPwAAwH8='
    """
    known = (math.nan if value is None or not abs(value) < _LARGEST else value for value in column)
    return b64encode(struct.pack(f"<{len(column)}f", *known)).decode("ascii")
