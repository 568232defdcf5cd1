"""The questions of the study; each function returns one section of the report as Markdown."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median

from judge import CANNOT_LEARN, MAIN, NAMES, SCHEDULES, best, found, quantile, regret, spread
from rules import (
    FRACTION,
    HALF_WIDTH,
    PEERS,
    TRIPLES,
    constants,
    contestants,
    one_repeat,
    ours,
    three_repeats,
)
from simulate import VALLEYS, coverage, false_alarms

from stepsize.suggest import RULES, nine_tenths

FRACTIONS = (0.5, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95)
HALF_WIDTHS = (0.35, 0.5, 0.75)
#: What every contestant answers: contestant -> workload -> rates.
All = Mapping[str, Mapping[str, list[float | None]]]


def answers() -> All:
    """All contestants on all workloads."""
    names = (*NAMES, *CANNOT_LEARN)
    return {label: {name: rule(name) for name in names} for label, rule in contestants().items()}


def regrets(rates: Mapping[str, list[float | None]], schedule: str = "cosine") -> list[float]:
    """The regret of every answer on every workload that can be learned."""
    return [regret(name, lr, schedule) for name in NAMES for lr in rates[name]]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; numbers are set to the right."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def by_rule(given: All) -> str:
    """Table 1: every rule under the cosine schedule, with spread and abstentions."""
    rows = []
    for label, rates in given.items():
        all_regrets = regrets(rates)
        answered = [regret(name, lr) for name in NAMES for lr in rates[name] if lr is not None]
        none = [
            sum(lr is None for n in names for lr in rates[n]) for names in (NAMES, CANNOT_LEARN)
        ]
        tries = len(rates[NAMES[0]])
        rows.append(
            (
                label,
                *_summary(all_regrets),
                fmean(answered),
                fmean(spread(rates[name]) for name in NAMES),
                f"{none[0]} of {tries * len(NAMES)}",
                f"{none[1]} of {tries * len(CANNOT_LEARN)}",
            )
        )
    head = ("rule", "mean", "median", "90 %", "max", "mean if answered", "seed spread, decades")
    return table((*head, "abstains, can learn", "abstains, cannot learn"), rows)


def by_schedule(given: All) -> str:
    """Table 2: the other two ways of judging."""
    rows = [
        (label, *(part for s in SCHEDULES[1:] for part in _summary(regrets(rates, s))))
        for label, rates in given.items()
    ]
    stats = ("mean", "median", "90 %", "max")
    return table(("rule", *(f"{s}: {stat}" for s in SCHEDULES[1:] for stat in stats)), rows)


def by_workload(given: All) -> str:
    """Table 3: mean regret (cosine) of some rules on each workload."""
    labels = [label for label in given if "uncut" not in label and "fixed" not in label]
    rows = []
    for name in NAMES:
        rate, low, high = best(name)
        costs = [fmean(regret(name, lr) for lr in given[label][name]) for label in labels]
        rows.append((f"`{name}`", f"{rate:.2g}", f"{low:.2g} to {high:.2g}", *costs))
    return table(("workload", "best rate", "costs < 0.05", *labels), rows)


def _summary(values: list[float]) -> tuple[float, float, float, float]:
    return fmean(values), median(values), quantile(values, 0.9), max(values)


def by_constants() -> tuple[str, str]:
    """Fraction and half-width: the table, and what leaving one workload out says."""
    cells: dict[tuple[float, float], dict[str, dict[str, float]]] = {}
    for setting in itertools.product(FRACTIONS, HALF_WIDTHS):
        cells[setting] = {"shipped": {}, "forced": {}, "single": {}}
        for kind, costs in cells[setting].items():
            with constants(*setting, forced=kind != "shipped"):
                for name in NAMES:
                    rates = (one_repeat if kind == "single" else three_repeats)(name)
                    costs[name] = fmean(regret(name, lr) for lr in rates)
    rows = [
        (
            f"{fraction} x {width}{' (shipped)' * ((fraction, width) == (FRACTION, HALF_WIDTH))}",
            *(
                part(cells[fraction, width][kind].values())
                for kind in ("shipped", "forced", "single")
                for part in (fmean, max)
            ),
        )
        for fraction, width in cells
    ]
    kinds = ("as shipped", "forced", "forced, 1 repeat")
    head = ("fraction x half-width", *(f"{k}: {s}" for k in kinds for s in ("mean", "worst")))
    return table(head, rows), _left_out(cells)


def _left_out(cells: Mapping[tuple[float, float], Mapping[str, Mapping[str, float]]]) -> str:
    """Choose on eleven workloads, judge on the twelfth."""
    rows = []
    at_width = [setting for setting in cells if setting[1] == HALF_WIDTH]
    for what, settings in (("fraction", at_width), ("fraction and half-width", list(cells))):
        for kind in ("shipped", "forced", "single"):
            costs = {setting: cells[setting][kind] for setting in settings}
            chosen = [_best_without(costs, name) for name in NAMES]
            held_out = [costs[c][name] for c, name in zip(chosen, NAMES, strict=True)]
            picks = ", ".join(f"{f} x {w}: {n}" for (f, w), n in Counter(chosen).most_common())
            rows.append(
                (
                    f"{what}, {kind}",
                    fmean(held_out),
                    min(fmean(cost.values()) for cost in costs.values()),
                    fmean(costs[FRACTION, HALF_WIDTH].values()),
                    picks,
                )
            )
    return table(("chosen", "left out", "best on all 12", "shipped constants", "picks"), rows)


def _best_without(costs: Mapping, name: str) -> tuple[float, float]:
    return min(costs, key=lambda setting: fmean(costs[setting][n] for n in NAMES if n != name))


def by_updates() -> str:
    """35, 100 and 300 updates: regret, abstentions and how far the rate moves."""
    rules = {"ours, 3 repeats": None, "ours, 1 repeat": None, **{rule: rule for rule in PEERS}}
    rows = []
    for label, rule in rules.items():
        rates = {n: _rates_at(label, rule, n) for n in (35, 100, 300)}
        cells: list[object] = [label]
        for n, by_name in rates.items():
            costs = [regret(name, lr) for name, lrs in by_name.items() for lr in lrs]
            none = sum(lr is None for lrs in by_name.values() for lr in lrs)
            cells += [fmean(costs), max(costs), f"{none} of {len(costs)}"]
            if n != 100:
                cells.append(_moves(rates[100], by_name))
        rows.append(cells)
    parts = {35: ("mean", "max", "none", "moves"), 100: ("mean", "max", "none")}
    parts[300] = parts[35]
    return table(("rule", *(f"{n}: {part}" for n in parts for part in parts[n])), rows)


def _rates_at(label: str, rule: str | None, n: int) -> dict[str, list[float | None]]:
    keys = [(n, seed, seed) for seed in range(3)]
    if rule is not None:
        return {name: [RULES[rule](found()[name][key]) for key in keys] for name in NAMES}
    groups = [keys] if "3" in label else [[key] for key in keys]
    return {name: [ours(name, group) for group in groups] for name in NAMES}


def _moves(base: Mapping, other: Mapping) -> str:
    """Median and largest shift against 100 updates, in decades, over the workloads."""
    shifts = []
    for name in NAMES:
        pairs = zip(base[name], other[name], strict=True)
        steps = [math.log10(b / a) for a, b in pairs if a and b]
        shifts += [median(steps)] if steps else []
    return f"{median(shifts):+.2f} (worst {max(shifts, key=abs):+.2f})"


def held_out_seeds() -> str:
    """Three repeats' interval against the answer of the two other seeds."""
    rows, every = [], []
    for name in NAMES:
        inside, widths, verdicts = [], [], Counter()
        for keys in TRIPLES:
            answer = nine_tenths([found()[name][key] for key in keys])
            verdicts[answer.verdict] += 1
            other = ours(name, [key for key in MAIN if key not in keys])
            if answer.lr is None or other is None:
                continue
            half = math.log10(answer.interval[1] / answer.interval[0]) / 2
            widths.append(2 * half)
            miss = abs(math.log10(other / answer.lr))
            inside.append(miss <= half * math.sqrt(1 + 3 / 2))
        every += inside
        said = ", ".join(f"{verdict} {count}" for verdict, count in verdicts.most_common())
        rows.append(
            (
                f"`{name}`",
                f"{sum(inside)} of {len(inside)}",
                fmean(widths) if widths else None,
                said,
            )
        )
    rows.append(("all", f"{sum(every)} of {len(every)} ({sum(every) / len(every):.0%})", None, ""))
    return table(("workload", "inside", "interval width, decades", "verdicts"), rows)


def known_truth(draws: int) -> str:
    """Synthetic curves: how often the interval contains the noise-free answer."""
    cases = [(sigma, 0.0) for sigma in (0.01, 0.03, 0.1, 0.2, 0.3, 0.5)] + [(0.03, 0.1), (0.1, 0.1)]
    rows = []
    for label, truth in VALLEYS.items():
        for sigma, shift in cases:
            got = coverage(truth, sigma * 1.8, shift=shift, draws=draws)
            verdicts = Counter(got["verdicts"])
            del verdicts["ok"]
            said = ", ".join(f"{verdict} {n}" for verdict, n in verdicts.most_common())
            shifted = f", repeats shifted by {shift} decades" if shift else ""
            rows.append(
                (
                    f"{label}{shifted}",
                    f"{sigma:.0%}",
                    None if got["inside"] is None else f"{got['inside']:.1%}",
                    got["width"],
                    None if got["bias"] is None else f"{got['bias']:+.3f}",
                    f"{1 - got['answered']:.1%}",
                    said,
                )
            )
    head = ("curve", "noise / fall", "inside", "width, decades", "bias, decades", "abstains", "how")
    return table(head, rows)


def noise_believed(draws: int) -> str:
    """Curves of pure noise: how often a rate comes out."""
    cases = [(n, blow_up, 1, False) for n in (35, 100, 300) for blow_up in (False, True)]
    cases += [(100, blow_up, 3, False) for blow_up in (False, True)]
    cases += [(n, blow_up, 1, True) for n in (35, 100) for blow_up in (False, True)]
    rows = []
    for n, blow_up, repeats, tails in cases:
        verdicts = false_alarms(n, blow_up=blow_up, repeats=repeats, tails=tails, draws=draws)
        others = ", ".join(f"{v} {c}" for v, c in verdicts.most_common() if v != "ok")
        noise = "Student t, 3 degrees" if tails else "Gaussian"
        end = "blow-up at 0.3" if blow_up else "flat to the end"
        alarms = f"{verdicts['ok']} ({verdicts['ok'] / draws:.1%})"
        rows.append((f"{noise}, {end}", n, repeats, alarms, others))
    return table(("noise", "n", "repeats", "answered ok", "abstentions"), rows)
