"""The page of a comparison: one file with everything in it, for a browser without a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

from stepsize.records import Comparison, Trace
from stepsize.report import compare_tables as tables
from stepsize.report.atomic import write_atomically
from stepsize.report.compare_data import data_of, shown_panels
from stepsize.report.compare_svg import metric_chart, rate_chart, swatch, zero_of
from stepsize.report.compare_traces import TracePanel, trace_panel
from stepsize.report.compare_view import CompareView, view_of
from stepsize.report.page import build, code, facts, items, section, text
from stepsize.report.wording import count_text, plain_text, sentence

_SCRIPTS = ("compare_data.js", "compare_chart.js", "compare_panel.js", "compare.js")
#: A longer list of runs is folded away.
_MOST_OPEN_RUNS = 12


def save(
    comparison: Comparison, path: str | Path, traces: Mapping[str, Trace] | None = None
) -> Path:
    """Write the page of ``comparison`` to ``path`` and return the path.

    Args:
        comparison: what to show.
        path: where to.
        traces: the updates of its runs by the run's key, as :func:`render` takes them.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    return write_atomically(path, render(comparison, traces).encode("utf-8"))


def render(comparison: Comparison, traces: Mapping[str, Trace] | None = None) -> str:
    """The whole page. The same input gives the same page, byte for byte.

    Args:
        comparison: what to show.
        traces: the updates of its runs by the run's key. Without them the training loss is that
            of the epochs, and the rates are the schedules' values.
    """
    view = view_of(comparison)
    answer, sections = answer_of(comparison, view), _sections(comparison, view)
    return page_of(comparison, view, traces or {}, answer=answer, sections=sections)


def page_of(
    comparison: Comparison,
    view: CompareView,
    traces: Mapping[str, Trace],
    *,
    answer: str,
    sections: Iterable[str],
    style: str = "",
) -> str:
    """The page of a comparison with its curves, around them what the caller makes of it.

    Args:
        comparison: what to show.
        view: of it.
        traces: as for :func:`render`.
        answer: what stands at the top, as markup.
        sections: what comes after the curves, as markup.
        style: rules beyond those of a comparison's page.
    """
    traced = trace_panel(comparison, traces)
    data = data_of(view, traced)
    return build(
        "compare",
        title=view.title,
        data=data,
        scripts=_SCRIPTS,
        style=_style(view) + style,
        heading=text(view.title),
        answer=answer,
        facts=text(f"{view.method} {view.cost}."),
        key=text(_key(view, traced)),
        arms=text(sentence(f"{view.noun}s")),
        legend="\n".join(_legend(view)),
        columns="three" if (len(data["panels"]) - 1) % 3 == 0 else "",
        panels="\n".join(_panels(view, traced)),
        remarks=f'<p class="key">{text(" ".join(_remarks(view, traced)))}</p>',
        sections="\n".join(sections),
    )


def fragment(comparison: Comparison) -> str:
    """A few lines of HTML for a notebook: the headline and the ranking, no script.

    >>> "<table>" in fragment(Comparison("digits", 1, 10, (0,), "val_loss", (), ()))
    False
    """
    return fragment_of(view_of(comparison))


def fragment_of(view: CompareView) -> str:
    """The same of a view."""
    rows = [
        f"<tr><td>{row.number}</td><td>{text(row.arm)}</td>"
        f"<td>{escape(f'{row.mean} {row.interval}'.strip())}</td>"
        f"<td>{escape(f'{row.difference} {row.difference_interval}'.strip())}</td>"
        f"<td>{text(row.place_text)}</td></tr>"
        for row in view.rows
    ]
    head = ("", view.noun, view.metric, "difference to the best", "")
    cells = "".join(f"<th>{text(cell)}</th>" for cell in head)
    table = f"<table><thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return (
        f"<div><strong>{text(view.answer)}</strong><div>{text(view.title)}</div>"
        f"{table if rows else ''}<small>{text(view.method)}</small></div>"
    )


def answer_of(comparison: Comparison, view: CompareView) -> str:
    """The headline as markup; what is said of the other arms is set smaller."""
    best = comparison.best
    if best is None or "; " in best.arm:
        return f'<p class="answer">{text(view.answer if best else sentence(view.answer))}</p>'
    first, _, rest = view.answer.partition("; ")
    below = f'<p class="rest">{text(sentence(rest))}</p>' if rest else ""
    return f'<p class="answer">{text(first)}</p>{below}'


def _style(view: CompareView) -> str:
    """Rules that give every arm its colour, on white and on dark, and the forest plot its zero."""
    styles = [row.style for row in view.rows]
    light = "".join(f".arm-{i} {{ --arm: {one.colour}; }}\n" for i, one in enumerate(styles))
    dark = "".join(f".arm-{i} {{ --arm: {one.dark}; }}\n" for i, one in enumerate(styles))
    zero = f"td.plot {{ background-position-x: {zero_of(view.forest):.1f}px; }}\n"
    return f"{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n{zero}"


def _key(view: CompareView, traced: TracePanel | None) -> str:
    said = [view.bands]
    if traced is not None and traced.width > 1:
        said.append(
            f"The training loss is in means of many updates; its band, shown for the {view.noun} "
            "you point at, goes from the lowest to the highest single update of any seed. Zooming "
            f"in refines it down to {count_text(traced.width)} updates a point."
        )
    if traced is not None and view.noun != "schedule" and view.bands:
        said.append(
            f"The learning rate is that of each {view.noun}'s first seed."
        )  # each has its own
    if any(row.status == "diverged" for row in view.runs):
        said.append("A cross marks where a run diverged.")
    return " ".join(filter(None, said))


def _remarks(view: CompareView, traced: TracePanel | None) -> Iterable[str]:
    """What the charts do not show."""
    for panel in shown_panels(view, traced):
        if panel.remark:
            yield f"{sentence(panel.label)} is {panel.remark}"
    if traced is not None and traced.edge is not None:
        yield f"Training loss is cut off above {traced.edge:.3g}."
    if traced is None or {row.arm for row in view.rows} - set(traced.rates):
        yield view.rates.remark


def _legend(view: CompareView) -> Iterable[str]:
    for number, row in enumerate(view.rows):
        name = text(row.arm)
        value = escape(row.mean if row.mean != "–" else row.place)
        yield (
            f'<li class="arm-{number}" data-arm="{number}">'
            f'<button type="button" class="arm" aria-pressed="true" title="{name}">'
            f'{swatch(number, row.style)}<span class="name">{tables.name_text(row.arm)}</span>'
            f'<span class="value">{value}</span></button>'
            f'<button type="button" class="only live" hidden aria-label="only {name}">only'
            "</button></li>"
        )


def _panels(view: CompareView, traced: TracePanel | None) -> Iterable[str]:
    """A frame for every chart of the data, in the same order, with a picture until it is drawn."""
    shown = [(panel.label, metric_chart(panel, view)) for panel in shown_panels(view, traced)]
    if traced is not None:
        by_epoch = (metric_chart(p, view) for p in view.panels if p.metric == "train_loss")
        shown.append(("training loss", next(by_epoch, "")))
    shown.append(("learning rate", rate_chart(view.rates, view)))
    for number, (label, picture) in enumerate(shown):
        main = " main" if number == 0 else ""
        yield (
            f'<figure class="panel{main}"><figcaption><h3>{text(sentence(label))}</h3>'
            f'<span class="note"></span></figcaption>'
            f'<div class="chart" tabindex="0" role="img" aria-label="{text(sentence(label))}: '
            f'arrow keys read values, plus and minus zoom">{picture}</div></figure>'
        )


def _sections(comparison: Comparison, view: CompareView) -> Iterable[str]:
    yield section("Ranking", tables.ranking(view))
    yield from closing_sections(comparison, view)


def closing_sections(comparison: Comparison, view: CompareView) -> Iterable[str]:
    """What every page of a comparison ends with: all values, all runs, how it was made."""
    yield section("Final and best values", tables.values(view))
    if comparison.test:
        yield section("Test set", tables.of_test_set(comparison.test, view.test_about))
    opened = " open" if len(view.runs) <= _MOST_OPEN_RUNS else ""
    runs = tables.runs(view, comparison)
    yield f"<details{opened}><summary>All {len(view.runs)} runs</summary>{runs}</details>"
    yield '<div class="columns">'
    if view.notes:
        yield section("Worth knowing", items(view.notes))
    yield f'<section class="facts"><h2>How to reproduce it</h2>{_again(comparison)}</section>'
    yield "</div>"


def _again(comparison: Comparison) -> str:
    """The command, then all that was recorded of how it was run."""
    command = comparison.settings.get("command")
    known = {
        "task": comparison.task,
        "budget": f"{count_text(comparison.epochs)} epochs, "
        f"{count_text(comparison.updates)} updates each",
        "seeds": list(comparison.seeds),
        "ranked_by": f"{comparison.metric} ({'higher' if comparison.higher else 'lower'} is "
        f"better), {comparison.at}, {comparison.interval}",
        **({"store": comparison.store} if comparison.store else {}),
        **comparison.settings,
    }
    return (code(plain_text(command)) if command else "") + facts(known)
