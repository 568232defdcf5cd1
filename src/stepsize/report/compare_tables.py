"""The tables of a comparison's page, as markup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from stepsize.records import Comparison
from stepsize.report.compare_svg import forest_axis, forest_row, swatch
from stepsize.report.compare_view import CompareView, RankRow, RunRow
from stepsize.report.compare_words import metric_text
from stepsize.report.page import facts, table, text
from stepsize.report.wording import plain_text, setting_text

_HOW_TO_READ = (
    "Filled marks can be told from the best, open ones cannot. The p value allows for the number "
    "of {noun}s and for the best having been picked among them; the intervals are those of each "
    "pair alone."
)


def ranking(view: CompareView) -> str:
    """The arms, best first, with the forest plot of their differences to the best."""
    forest = not view.forest.empty
    head = ["", view.noun, text(f"{view.metric}, mean")]
    head += [text(view.forest.label)] if forest else []
    head += ["difference [95 % interval]"] if forest else []
    head += ["rates chosen by"]
    cells = "".join(f"<th>{cell}</th>" for cell in head)
    rows = "\n".join(_rank(view, number, forest) for number in range(len(view.rows)))
    foot = ""
    if forest:
        scale = forest_axis(view.forest)
        foot = f'<tfoot><tr><td colspan=3></td><td class="scale">{scale}</td></tr></tfoot>'
    return (
        f'<div class="scroll"><table class="ranking"><thead><tr>{cells}</tr></thead>'
        f"<tbody>{rows}</tbody>{foot}</table></div>"
        + (
            f'<p class="key">{_HOW_TO_READ.format(noun=view.noun)}</p>'
            if any(row.p for row in view.rows)
            else ""
        )
    )


def _rank(view: CompareView, number: int, forest: bool) -> str:
    row = view.rows[number]
    cells = [
        f'<td class="number">{row.number}</td>',
        f'<th scope="row">{_who(row, number)}</th>',
        f'<td class="nowrap">{_stacked(row.mean, row.interval)}</td>',
    ]
    if forest:
        sure = row.place in ("best", "worse")
        picture = forest_row(view.forest.rows[number], view.forest, number, sure)
        p = f"p {row.p if row.p.startswith('<') else '= ' + row.p}" if row.p else ""
        interval = ", ".join(filter(None, (row.difference_interval, p)))
        cells += [
            f'<td class="plot">{picture}</td>',
            f'<td class="difference">{_stacked(row.difference, interval)}</td>',
        ]
    cells.append(f'<td class="rates">{_stacked(text(row.rates_from), _effort(row))}</td>')
    kind = row.place if row.place in ("best", "equal") else "other"
    return f'<tr class="{kind} arm-{number}" data-arm="{number}">{"".join(cells)}</tr>'


def _effort(row: RankRow) -> str:
    """The updates it took, unless the words beside it say so already."""
    return "" if row.effort in row.rates_from or row.effort == "none" else row.effort


def _who(row: RankRow, number: int) -> str:
    lines = [f'<small class="place {row.place}">{text(row.place_text)}</small>']
    if plain_text(row.schedule) != plain_text(row.arm):
        lines.append(f"<small>{name_text(row.schedule)}</small>")
    name = f'<span class="arm-name">{name_text(row.arm)}</span>'
    return f'<div class="who">{swatch(number, row.style)}{name}{"".join(lines)}</div>'


def _stacked(first: str, second: str) -> str:
    below = f'<span class="sub">{escape(second)}</span>' if second else ""
    return f"{first}{below}"


def values(view: CompareView) -> str:
    """Every metric of every arm at the end and at the best epochs."""
    metrics = [panel.metric for panel in view.panels]
    names = "".join(f'<th class="number">{text(metric_text(name))}</th>' for name in metrics)
    count = len(metrics)
    head = (
        f'<tr><th></th><th class="number" colspan={count}>at the end</th>'
        f'<th class="number" colspan={count + 1}>at each run\'s best epoch</th></tr>'
        f'<tr><th>{view.noun}</th>{names}<th class="number">epoch</th>{names}</tr>'
    )
    lines = []
    for number, row in enumerate(view.rows):
        columns = [row.final.get(name, "–") for name in metrics]
        columns += [row.best_epoch, *(row.best.get(name, "–") for name in metrics)]
        cells = "".join(f'<td class="number">{column}</td>' for column in columns)
        lines.append(
            f'<tr data-arm="{number}"><th scope="row">{_named(row, number)}</th>{cells}</tr>'
        )
    return (
        f'<div class="scroll"><table><thead>{head}</thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def name_text(name: str) -> str:
    """A schedule's name that may be broken after its commas and brackets.

    >>> name_text("cosine(0.1, steps=9)")
    'cosine(<wbr>0.1, steps=9)'
    """
    return text(name).replace("(", "(<wbr>").replace(",", ",<wbr>").replace(",<wbr> ", ", ")


def _named(row: RankRow | RunRow, number: int) -> str:
    return (
        f'<span class="named">{swatch(number, row.style)}<span>{name_text(row.arm)}</span></span>'
    )


def runs(view: CompareView, comparison: Comparison) -> str:
    """Every run with what became of it; its columns can be sorted."""
    metrics = [panel.metric for panel in view.panels]
    first = metrics[0]
    head = [view.noun, "seed", "status", *(f"final {metric_text(name)}" for name in metrics)]
    head += [f"best {metric_text(first)}", "at epoch", "updates", "time", "error", "key"]
    numbers = {row.arm: number for number, row in enumerate(view.rows)}
    made = [run for row in view.rows for run in comparison.of(row.arm)]
    lines = []
    for row, run in zip(view.runs, made, strict=True):
        cells = [
            _cell(row.seed),
            f'<td class="{row.status}">{row.status}</td>',
            *(_cell(row.final.get(name, "–")) for name in metrics),
            _cell(row.best.get(first, "–")),
            _cell(row.best_epoch),
            _cell(row.updates, run.done),
            _cell(row.time, run.seconds),
            f"<td{' class=error' if row.error else ''}>{text(row.error)}</td>",
            f"<td><code>{text(row.key)}</code></td>",
        ]
        number = numbers[row.arm]
        lines.append(
            f'<tr data-arm="{number}"><th scope="row" data-sort="{number:03}">'
            f"{_named(row, number)}</th>{''.join(cells)}</tr>"
        )
    kinds = [i not in (0, 2, len(head) - 2, len(head) - 1) for i in range(len(head))]
    cells_of_head = "".join(
        f"<th{' class=number' if kind else ''}>{text(name)}</th>"
        for kind, name in zip(kinds, head, strict=True)
    )
    return (
        f'<div class="scroll"><table class="runs sortable"><thead><tr>{cells_of_head}</tr>'
        f"</thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cell(shown: str, order: float | None = None) -> str:
    sort = "" if order is None else f' data-sort="{order:g}"'
    return f'<td class="number"{sort}>{text(shown)}</td>'


def of_test_set(test: Mapping[str, Any], about: str) -> str:
    """The test set's values of the chosen arm, seed by seed.

    Args:
        test: what the comparison has of it.
        about: whose values they are, in words.
    """
    seeds, mean = test.get("seeds"), test.get("mean")
    if not isinstance(seeds, Mapping) or not isinstance(mean, Mapping):
        return facts(test)
    names = list(mean)
    head = ("seed", *(text(str(name).replace("_", " ")) for name in names))
    rows = [(text(seed), *_test_row(names, values)) for seed, values in seeds.items()]
    rows.append(("mean", *_test_row(names, mean)))
    said = f'<p class="soft">{text(about)}.</p>'
    body = table(head, rows, frozenset(range(1, len(head))))
    return f'{said}<div class="narrow">{body}</div>'


def _test_row(names: Iterable[str], of: Mapping[str, Any]) -> list[str]:
    return [text(_number(of.get(name))) for name in names]


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else setting_text(value)
