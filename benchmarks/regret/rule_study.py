"""Judge ``find``'s default rule and the others on recorded curves: tables in Markdown.

    python benchmarks/regret/rule_study.py [--on development|judging] [--schedule cosine]
        [--draws 200] [--out FILE]

Needs ``grid/`` and ``curves/`` (make_grid.py, make_curves.py) and no training. Without ``--draws``
the simulations are left out (some minutes).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median

import simulate
from judge import Grid, quantile, spread
from rules import DEFAULT, SETTINGS, contestants, cost, curves, found, suggestions
from workloads import DEVELOPMENT, JUDGING, UNLEARNABLE

from stepsize.suggest import RULES, pool, smoothing
from stepsize.suggest.shape import shape_of

#: Tries whose spread is looked at, so that rules with more tries are not worse off.
SPREAD_OF = 5
FRACTIONS = (0.8, 0.85, 0.9, 0.93, 0.95, 0.97)
HALF_WIDTHS = (0.35, 0.5, 0.7)

Costs = Mapping[str, Sequence[float]]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; floats with three digits, None as a dash."""

    def shown(value: object) -> str:
        if isinstance(value, float):
            return "-" if math.isnan(value) else f"{value:.3f}"
        return "-" if value is None else str(value)

    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(shown, line)) + " |" for line in lines)


def costs_of(rates: Mapping[str, Sequence[float | None]], schedule: str) -> Costs:
    """The regret of every try by workload, on average over the grid's seeds."""
    return {
        name: [Grid.load(name).regret(lr, schedule) for lr in found]
        for name, found in rates.items()
    }


def by_rule(names: Sequence[str], schedule: str) -> str:
    """The main table. Every workload weighs the same."""
    rows = []
    for label, answers in contestants().items():
        rates = {name: answers(name) for name in names}
        costs = costs_of(rates, schedule)
        tries = [value for each in costs.values() for value in each]
        silent = sum(lr is None for each in rates.values() for lr in each)
        refused = [lr is None for name in UNLEARNABLE for lr in answers(name)]
        rows.append(
            (
                label,
                fmean(map(fmean, costs.values())),
                median(tries),
                quantile(tries, 0.9),
                max(tries),
                max(map(fmean, costs.values())),
                fmean(fmean(value <= 0.02 for value in each) for each in costs.values()),
                fmean(spread(each[:SPREAD_OF]) for each in rates.values()),
                f"{silent} of {len(tries)}",
                f"{sum(refused)} of {len(refused)}",
            )
        )
    head = (
        "rule",
        "mean",
        "median",
        "90 %",
        "max",
        "worst workload",
        "share <= 0.02",
        "spread, decades",
        "no answer",
        "refuses the unlearnable",
    )
    return table(head, rows)


def by_workload(names: Sequence[str], schedule: str) -> str:
    """Mean regret of the default on each workload, and where it lies."""
    rows = []
    for name in names:
        grid, rates = Grid.load(name), [answer.lr for answer in suggestions(name)]
        answered = [lr for lr in rates if lr]
        low, high = grid.good(schedule)
        middle = 10 ** fmean(map(math.log10, answered)) if answered else None
        rows.append(
            (
                name,
                grid.updates,
                f"{low:.2g} to {high:.2g}",
                None if middle is None else f"{middle:.2g}",
                fmean(grid.regret(lr, schedule) for lr in rates),
                max(grid.regret(lr, schedule) for lr in rates),
                spread(rates[:SPREAD_OF]),
                cost(name, DEFAULT),
            )
        )
    head = (
        "workload",
        "updates",
        "rates within 0.02 of the best",
        "suggested",
        "mean",
        "max",
        "spread, decades",
        "cost, trainings",
    )
    return table(head, rows)


def by_setting(names: Sequence[str], schedule: str) -> str:
    """Repeats and updates: regret, abstentions, interval, cost."""
    rows = []
    for setting in SETTINGS:
        given = {name: suggestions(name, setting) for name in names}
        costs = costs_of({n: [a.lr for a in each] for n, each in given.items()}, schedule)
        inside, widths = held_by_others(names, setting)
        rows.append(
            (
                f"{setting.sweeps} x {setting.rates}",
                fmean(cost(name, setting) for name in names),
                fmean(map(fmean, costs.values())),
                max(map(max, costs.values())),
                sum(answer.lr is None for each in given.values() for answer in each),
                fmean(inside),
                median(widths),
                max(widths),
            )
        )
    head = (
        "sweeps x updates",
        "cost, trainings",
        "mean",
        "max",
        "no answer",
        "interval holds the others' median",
        "median width, decades",
        "widest",
    )
    return table(head, rows)


def held_by_others(names: Sequence[str], setting: object) -> tuple[list[bool], list[float]]:
    """Whether each interval holds the median answer of the other tries, and its width."""
    inside, widths = [], []
    for name in names:
        answers = suggestions(name, setting)
        for i, answer in enumerate(answers):
            others = [a.lr for j, a in enumerate(answers) if j != i and a.lr]
            if answer.interval and others:
                low, high = answer.interval
                inside.append(low <= median(others) <= high)
                widths.append(math.log10(high / low))
    return inside, widths


def forced(name: str, fraction: float) -> list[float | None]:
    """The crossing of ``fraction``, however uncertain."""
    shapes = [shape_of(pool(each)) for each in curves(name, DEFAULT)]
    places = [shape.crossing(fraction) if shape else None for shape in shapes]
    return [None if place is None else 10.0**place for place in places]


def by_constants(names: Sequence[str], schedule: str) -> str:
    """Fraction and smoothing, without abstentions; then each workload left out in turn."""
    means: dict[tuple[float, float], dict[str, float]] = {}
    rows = []
    for half_width in HALF_WIDTHS:
        shape_of.cache_clear()
        smoothing.HALF_WIDTH = half_width
        for fraction in FRACTIONS:
            rates = {name: forced(name, fraction) for name in names}
            costs = costs_of(rates, schedule)
            means[fraction, half_width] = {name: fmean(each) for name, each in costs.items()}
            width = fmean(spread(each[:SPREAD_OF]) for each in rates.values())
            found = means[fraction, half_width].values()
            rows.append((fraction, half_width, fmean(found), max(map(max, costs.values())), width))
    smoothing.HALF_WIDTH = 0.5
    shape_of.cache_clear()
    left_out, chosen = [], set()
    for name in names:
        best = min(means, key=lambda key: sum(v for n, v in means[key].items() if n != name))
        left_out.append(means[best][name])
        chosen.add(best)
    picks = ", ".join(f"{fraction} / {half}" for fraction, half in sorted(chosen))
    return (
        table(("fraction", "half-width, decades", "mean", "max", "spread, decades"), rows)
        + f"\n\nChosen on all but one workload ({picks}) and judged on that one: "
        + f"mean {fmean(left_out):.3f}, worst {max(left_out):.3f}."
    )


def peers_refuse() -> str:
    """Sweeps of unlearnable workloads to which each rule gives a rate, at the default's length."""
    rows = []
    for rule, read in RULES.items():
        given = [
            read(found(name, DEFAULT.rates, *seeds)) is not None
            for name in UNLEARNABLE
            for seeds in DEFAULT.tries()
        ]
        rows.append((rule, f"{sum(given)} of {len(given)}"))
    return table(("rule", "answers where there is none"), rows)


def sections(options: argparse.Namespace) -> Iterator[str]:
    """The report, part by part."""
    names = list(DEVELOPMENT if options.on == "development" else JUDGING)
    schedule = options.schedule
    yield f"# The default rule, {options.on} workloads, {schedule} schedule"
    yield f"## Every rule\n\n{by_rule(names, schedule)}"
    yield f"## The default, workload by workload\n\n{by_workload(names, schedule)}"
    yield f"## Updates and repeats\n\n{by_setting(names, schedule)}"
    yield f"## Workloads that cannot be learned\n\n{peers_refuse()}"
    if options.on == "development":
        yield f"## The constants, without abstentions\n\n{by_constants(names, schedule)}"
    if options.draws:
        yield f"## Curves whose truth is known\n\n{simulate.known_truth(options.draws)}"
        yield f"## Curves of pure noise\n\n{simulate.noise_believed(options.draws)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--on", choices=("development", "judging"), default="development")
    parser.add_argument("--schedule", default="cosine")
    parser.add_argument("--draws", type=int, default=0, help="simulated curves per row")
    parser.add_argument("--out", type=Path, help="a file for the tables")
    options = parser.parse_args()
    parts = []
    for part in sections(options):
        print(part, end="\n\n", flush=True)
        parts.append(part)
    if options.out:
        options.out.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
