"""The words and numbers of a comparison, the same in every form."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median

from stepsize.records import OVER, Comparison, Run, Standing
from stepsize.report.axes import drawable
from stepsize.report.wording import count_text, plain_text, seconds_text, shorten, task_text

#: What a newcomer reads instead of the place.
PLACE_WORDS = {
    "best": "best",
    "equal": "not distinguishable",
    "worse": "worse",
    "unknown": "too few seeds to tell",
    "diverged": "diverged",
    "incomplete": "incomplete",
}
#: The places of arms that were finished with every seed.
RANKED = ("best", "equal", "worse", "unknown")
#: Words in a metric's name by which lower is better; of all others higher is.
_LOWER = ("loss", "error", "perplexity", "mae", "mse", "nll", "entropy", "distance")
_METRIC_WORDS = {"val": "validation", "train": "training"}
#: Longest name in a sentence; the tables show whole names.
_LONGEST_NAME = 40
#: Names in a sentence; the others are counted.
_MOST_NAMES = 3
#: More decimals than this say nothing.
_MOST_DECIMALS = 8


def standings_of(comparison: Comparison) -> tuple[Standing, ...]:
    """The ranking, then the arms of which nothing is known yet."""
    ranked = {row.arm for row in comparison.ranking}
    waiting = {run.arm: run.schedule for run in comparison.runs if run.arm not in ranked}
    others = (Standing(arm, text, "incomplete") for arm, text in waiting.items())
    return (*comparison.ranking, *others)


def metric_text(metric: str) -> str:
    """A metric's name in words.

    >>> metric_text("val_loss"), metric_text("train_loss"), metric_text("val_top_5")
    ('validation loss', 'training loss', 'validation top 5')
    """
    first, _, rest = plain_text(metric).partition("_")
    return f"{_METRIC_WORDS.get(first, first)} {rest.replace('_', ' ')}".strip()


def better_when_higher(metric: str, comparison: Comparison) -> bool:
    """Whether higher values of ``metric`` are better: as asked of the ranking's, else by its name.

    >>> from stepsize.records import Comparison
    >>> some = Comparison("digits", 1, 10, (0,), "val_loss", (), ())
    >>> better_when_higher("val_accuracy", some), better_when_higher("train_loss", some)
    (True, False)
    """
    if metric == comparison.metric:
        return comparison.higher
    return not any(word in metric.lower() for word in _LOWER)


def decimals_of(ranking: Iterable[Standing]) -> int | None:
    """How many decimals the ranking's numbers need: two digits of a usual interval.

    None where plain decimals would be long; then :func:`number_text` has five digits.

    >>> decimals_of([Standing("a", "a", "best", 0.3012345, (0.2981, 0.3044))])
    4
    """
    known = [row for row in ranking if row.mean is not None and math.isfinite(row.mean)]
    halves = [(row.ci95[1] - row.ci95[0]) / 2 for row in known if row.ci95 is not None]
    halves = [half for half in halves if half > 0 and math.isfinite(half)]
    means = [abs(row.mean) for row in known if row.mean]
    if not means:
        return None if not known else 4
    smallest, largest = min(means), max(means)
    if halves:
        decimals = 1 - math.floor(math.log10(median(halves)))
        decimals = min(decimals, 5 - math.floor(math.log10(smallest)))
    else:
        decimals = 3 - math.floor(math.log10(smallest))
    return max(decimals, 0) if decimals <= _MOST_DECIMALS and largest < 1e7 else None


def decimals_by_metric(comparison: Comparison) -> dict[str, int | None]:
    """How many decimals each metric's numbers need: four digits, or those of the ranking."""
    seen: dict[str, list[float]] = {}
    for run in comparison.runs:
        for each in run.history:
            for name, value in each.values.items():
                seen.setdefault(name, []).append(value)
    decimals = {name: decimals_of_values(values) for name, values in seen.items()}
    return {**decimals, comparison.metric: decimals_of(comparison.ranking)}


def decimals_of_values(values: Iterable[float]) -> int | None:
    """How many decimals give a usual value four digits; None where five digits are shorter.

    >>> decimals_of_values([0.3]), decimals_of_values([12345.0]), decimals_of_values([1e-9])
    (4, 0, None)
    """
    sizes = [abs(value) for value in values if value and drawable(value)]
    if not sizes:
        return 4
    decimals = 3 - math.floor(math.log10(median(sizes)))
    return max(0, decimals) if decimals <= _MOST_DECIMALS else None


def number_text(value: float | None, decimals: int | None = None, *, sign: bool = False) -> str:
    """A number with so many decimals, or to five digits; a dash for none.

    >>> number_text(0.30123, 4), number_text(0.0021, 4, sign=True), number_text(None)
    ('0.3012', '+0.0021', '–')
    """
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "diverged"
    form = "+" if sign else ""
    text = f"{value:{form}.5g}" if decimals is None else f"{value:{form}.{decimals}f}"
    return f"{0.0:.{decimals or 0}f}" if float(text) == 0 else text


def interval_text(
    ends: tuple[float, float] | None, decimals: int | None = None, *, sign: bool = False
) -> str:
    """Both ends of an interval in brackets; empty for none.

    >>> interval_text((0.2981, 0.3044), 3), interval_text((-0.001, 0.002), 3, sign=True)
    ('[0.298, 0.304]', '[-0.001, +0.002]')
    """
    if ends is None:
        return ""
    low, high = (number_text(end, decimals, sign=sign) for end in ends)
    return f"[{low}, {high}]"


def title_of(comparison: Comparison, noun: str = "schedule") -> str:
    """What was compared: the task, the arms (each a ``noun``), the budget and the seeds."""
    arms = len(comparison.arms)
    about = shorten(task_text(comparison.task), _LONGEST_NAME)
    parts = [
        _counted(arms, noun),
        f"{_counted(comparison.epochs, 'epoch')} ({_counted(comparison.updates, 'update')})",
        _counted(len(comparison.seeds), "seed"),
    ]
    name = shorten(plain_text(comparison.name), _LONGEST_NAME)
    return f"{f'{name} – ' if name else ''}{about}: {', '.join(parts)}"


def answer_of(comparison: Comparison, noun: str = "schedule") -> str:
    """The headline: which arm is best by how much, or why there is no answer."""
    best = comparison.best
    if best is None or best.mean is None:
        return _no_answer(comparison, noun)
    decimals = decimals_of(comparison.ranking)
    where = " at the best epoch" if comparison.at == "best" else ""
    value = number_text(best.mean, decimals)
    unknown = [row for row in comparison.ranking if row.place == "unknown"]
    if unknown:
        extreme = "highest" if comparison.higher else "lowest"
        return (
            f"{_name(best.arm)} has the {extreme} {metric_text(comparison.metric)}{where}, "
            f"{value}, but {_counted(best.seeds, 'seed')} cannot tell it from the others"
        )
    said = " ".join(filter(None, (value, interval_text(best.ci95, decimals))))
    so_far = " so far" if _waiting(comparison) else ""
    parts = [f"{_name(best.arm)} is best{so_far}: {metric_text(comparison.metric)}{where} {said}"]
    others = standings_of(comparison)[1:]
    if others and all(row.place == "worse" for row in others):
        parts.append("the other is worse" if len(others) == 1 else "every other is worse")
    for place in ("equal", "diverged", "incomplete"):
        if names := [row.arm for row in others if row.place == place]:
            parts.append(f"{PLACE_WORDS[place]}: {names_text(names)}")
    return "; ".join(parts)


def _no_answer(comparison: Comparison, noun: str) -> str:
    runs = comparison.runs
    if comparison.ranking and all(row.place == "diverged" for row in comparison.ranking):
        return f"no answer: every {noun} diverged"
    if _waiting(comparison):
        done = sum(run.status in OVER for run in runs)
        return f"no answer yet: {done} of {_counted(len(runs), 'run')} done"
    return f"no answer: no {noun} was finished with every seed"


def _waiting(comparison: Comparison) -> int:
    """How many runs may still be made."""
    return sum(run.status not in (*OVER, "failed") for run in comparison.runs)


def names_text(names: Sequence[str], most: int = _MOST_NAMES) -> str:
    """Names in a sentence; many are counted.

    >>> names_text(["a", "b", "c", "d", "e"], most=3)
    'a, b, c and 2 more'
    """
    said = ", ".join(map(_name, names[:most]))
    left_out = len(names) - most
    return f"{said} and {left_out} more" if left_out > 0 else said


def _name(arm: str) -> str:
    return shorten(plain_text(arm), _LONGEST_NAME)


def place_text(row: Standing, runs: Sequence[Run]) -> str:
    """The place in words; for an arm without a mean, how many of its seeds are to blame."""
    words = PLACE_WORDS[row.place]
    if row.place == "diverged":
        lost = sum(run.status == "diverged" for run in runs)
        return f"{words} ({lost} of {_counted(len(runs), 'seed')})"
    if row.place == "incomplete":
        done = sum(run.status == "finished" for run in runs)
        return f"{words} ({done} of {_counted(len(runs), 'seed')})"
    return words


def method_text(comparison: Comparison) -> str:
    """How means, intervals and differences were made, in one sentence."""
    seeds = len(comparison.seeds)
    at = "each run's best epoch" if comparison.at == "best" else "the end"
    if seeds < 2:
        return f"Values at {at} of one seed: without more seeds there are no intervals."
    return (
        f"Means over {seeds} seeds at {at}, 95 % intervals in brackets; differences to the best "
        f"seed by seed ({plain_text(comparison.interval)})."
    )


def cost_of(comparison: Comparison) -> str:
    """What the runs took, such as ``9 runs, 225,000 updates in 10 min``."""
    runs = [run for run in comparison.runs if run.done]
    seconds = sum(run.seconds for run in runs if math.isfinite(run.seconds))
    time = f" in {seconds_text(seconds)}" if seconds > 0 else ""
    done = _counted(sum(run.done for run in runs), "update")
    return f"{_counted(len(runs), 'run')}, {done}{time}"


def effort_text(row: Standing) -> str:
    """What it took to choose the arm's rates."""
    return "none" if row.effort is None else _counted(row.effort, "update")


def _counted(number: int, noun: str) -> str:
    return f"{count_text(number)} {noun}{'' if number == 1 else 's'}"
