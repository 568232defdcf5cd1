"""How often a ranking is wrong, what it sees, and how often its intervals cover: by simulation.

    python benchmarks/ranking_errors/run.py [--draws 4000]

Needs numpy and scipy. Values are ``arm + seed + noise``; noise is normal unless said otherwise. All
ways of judging see the same draws. noise.json holds real final losses (make_noise.py). Writes
results.md beside this file (elsewhere with ``--out``).
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import platform
import time
from pathlib import Path

import numpy as np
import scipy
from scipy.stats import studentized_range, t

from stepsize.comparison.intervals import paired_interval
from stepsize.comparison.ranking import rank
from stepsize.records import Evaluation, Run

HERE = Path(__file__).resolve().parent
ALPHA = 0.05
SEEDS = (3, 5, 10)
#: How the runs of equal arms scatter: the standard deviation of each arm's noise.
SHAPES = {
    "equal": np.ones,
    "one arm 10 times": lambda k: np.r_[10.0, np.ones(k - 1)],
    "one arm a tenth": lambda k: np.r_[0.1, np.ones(k - 1)],
    "half 5 times": lambda k: np.r_[np.full(k // 2, 5.0), np.ones(k - k // 2)],
    "1 to 10": lambda k: np.logspace(0, 1, k),
}
OURS = "against the best"


def draw(generator, means, noise, seeds, draws, kind="normal"):
    """Values by draw, arm and seed; all arms share the seed's own luck."""
    shape = (draws, len(means), seeds)
    scatter = generator.standard_normal(shape)
    if kind == "skewed":
        scatter = generator.standard_exponential(shape) - 1.0
    if kind == "families":  # two kinds of schedule, each with a luck of its own
        family = generator.standard_normal((draws, 2, seeds))[:, np.arange(len(means)) % 2]
        scatter = 0.9 * family + np.sqrt(1 - 0.9**2) * scatter
    shared = generator.standard_normal((draws, 1, seeds))
    return np.asarray(means)[:, None] + np.asarray(noise)[:, None] * scatter + shared


def real(generator, arms, seeds, draws, again):
    """Noise of trainings on digits around equal means, seeds drawn with all their arms.

    Drawn ``again`` and again a seed can come twice, which hides noise; each once, the means of many
    seeds come too near to the truth.
    """
    known = json.loads((HERE / "noise.json").read_text("utf-8"))["val_loss"]
    losses = np.array([list(by_seed.values()) for by_seed in known.values()])
    around = losses - losses.mean(1, keepdims=True)
    chosen = np.array([generator.permutation(len(losses))[:arms] for _ in range(draws)])
    known_seeds = losses.shape[1]
    picked = generator.integers(known_seeds, size=(draws, seeds))
    if not again:
        picked = generator.random((draws, known_seeds)).argsort(1)[:, :seeds]
    return around[chosen[:, :, None], picked[:, None, :]]


def step_down(p, factor):
    """Which are significant after Holm's procedure with ``factor(comparisons left)``."""
    order = p.argsort(1)
    left = np.arange(p.shape[1] - 1, 0, -1)  # the best comes last, with a p of 2
    factors = np.append([factor(m) for m in left], 1.0)
    raised = np.maximum.accumulate(np.take_along_axis(p, order, 1) * factors, 1)
    verdict = np.empty(p.shape, bool)
    np.put_along_axis(verdict, order, raised <= ALPHA, 1)
    return verdict


def pairs(others):
    """How many pairs so many arms and the best make."""
    return others * (others + 1) / 2


def noise_of(values):
    """The standard error of each draw's means, by two-way analysis of variance."""
    _, k, n = values.shape
    left = values - values.mean(2)[:, :, None] - values.mean(1)[:, None]
    left += values.mean((1, 2))[:, None, None]
    return np.sqrt((left**2).sum((1, 2)) / ((k - 1) * (n - 1)) / n)


@functools.cache
def range_quantile(arms, degrees):
    return studentized_range.isf(ALPHA, arms, degrees)


def judge(values):
    """The best of each draw, and for each way of judging which arms it calls worse."""
    draws, k, n = values.shape
    means = values.mean(2)
    best = means.argmin(1)
    rows = np.arange(draws)
    from_best = values - values[rows, best][:, None]
    far = from_best.mean(2)

    def p_value(error, degrees):
        with np.errstate(invalid="ignore", divide="ignore"):
            p = 2 * t.sf(far / error, degrees)
        p[rows, best] = 2.0
        return p

    own = p_value(from_best.std(2, ddof=1) / np.sqrt(n), n - 1)
    order = (-far).argsort(1)
    noise = noise_of(values)
    shared = np.zeros((draws, k))
    for i in range(k - 1):
        near = np.take_along_axis(values, order[:, i:, None], 1)
        error, degrees = np.sqrt(2) * noise_of(near), (k - i - 1) * (n - 1)
        gap = far[rows, order[:, i]]
        shared[:, i] = 2 * t.sf(gap / error, degrees) * pairs(k - 1 - i)
    confirmed = np.zeros((draws, k), bool)
    raised = np.maximum.accumulate(shared, 1)[:, :-1]
    np.put_along_axis(confirmed, order[:, :-1], raised <= ALPHA, 1)
    each = values.var(2, ddof=1) / n
    both = each + each[rows, best][:, None]
    unpaired = p_value(
        np.sqrt(both), both**2 * (n - 1) / (each**2 + each[rows, best][:, None] ** 2)
    )
    reach = np.array([range_quantile(k - i, (k - 1) * (n - 1)) for i in range(k - 1)])
    beyond = np.take_along_axis(far, order, 1)[:, :-1] >= reach * noise[:, None]
    tukey = np.zeros((draws, k), bool)
    np.put_along_axis(tukey, order[:, :-1], np.logical_and.accumulate(beyond, 1), 1)
    holm, every = step_down(own, lambda m: m), step_down(own, pairs)
    return best, {
        "Holm": holm,
        "every pair": every,
        "pooled, Tukey": tukey,
        "unpaired, every pair": step_down(unpaired, pairs),
        OURS: every | (holm & confirmed),
    }


def wrong(values, means):
    """How often any arm is called worse than one that is no better."""
    best, verdicts = judge(values)
    means = np.asarray(means)
    no_worse = means[None, :] <= means[best][:, None]
    return {way: (called & no_worse).any(1).mean() for way, called in verdicts.items()}


def check(values):
    """The program judges as stepsize does, or raises."""
    best, verdicts = judge(values)
    for which, each in enumerate(values):
        runs = [
            Run(str(i), "", j, "finished", 1, 1, (Evaluation(1, 1, {"val_loss": float(v)}),))
            for i, arm in enumerate(each)
            for j, v in enumerate(arm)
        ]
        rows = rank(runs)
        assert int(rows[0].arm) == best[which]
        told = {int(row.arm) for row in rows if row.place == "worse"}
        assert told == set(np.flatnonzero(verdicts[OURS][which])), (each, rows)


def errors(generator, draws):
    """One row for each number of arms, seeds and shape of noise."""
    for k in (2, 3, 5, 16):
        for n in SEEDS:
            for name, noise in SHAPES.items():
                values = draw(generator, np.zeros(k), noise(k), n, draws)
                check(values[:20])
                yield (k, n, name), wrong(values, np.zeros(k))
            for kind in ("families", "skewed"):
                values = draw(generator, np.zeros(k), np.ones(k), n, draws, kind)
                yield (k, n, kind), wrong(values, np.zeros(k))
            for name, again in (("digits, again", True), ("digits, once", False)):
                if k < 16:
                    values = real(generator, k, n, draws, again)
                    yield (k, n, name), wrong(values, np.zeros(k))


def partly_equal(generator, draws):
    """Some arms as good as the best, some a little worse, some far off."""
    for label, means in {
        "3 best, 2 far off": [0, 0, 0, 50, 50],
        "2 best, 3 at 1": [0, 0, 1, 1, 1],
        "steps of 0.5": [0, 0.5, 1, 1.5, 2],
        "8 best, 8 far off": [0] * 8 + [50] * 8,
    }.items():
        for n in SEEDS:
            for shape in ("equal", "half 5 times", "1 to 10"):
                noise = SHAPES[shape](len(means))
                for words, scales in ((shape, noise), (f"{shape}, reversed", noise[::-1])):
                    if words != "equal, reversed":
                        values = draw(generator, means, scales, n, draws)
                        yield (label, n, words), wrong(values, means)


def power(generator, draws):
    """How many of the other arms are called worse if all are worse by so many noise sds."""
    for k in (2, 3, 5, 16):
        for n in SEEDS:
            for distance in (0.5, 1, 2, 4, 8):
                means = np.r_[0.0, np.full(k - 1, float(distance))]
                _, verdicts = judge(draw(generator, means, np.ones(k), n, draws // 2))
                yield (k, n, distance), {way: c[:, 1:].mean() for way, c in verdicts.items()}


def coverage(generator, draws):
    """How often intervals hold the true difference, and their width beside the paired one's."""
    for n in SEEDS:
        for kind in ("normal", "skewed"):
            values = draw(generator, [0.0, 0.0], [1.0, 1.0], n, draws, kind)
            own = values[:, 0] if kind == "skewed" else values[:, 0] - values[:, 1]
            row = {"paired t": covered(own, n), "bootstrap": None, "percentile": None}
            if n >= 5:
                some = [paired_interval(each.tolist(), "bootstrap") for each in own[:400]]
                row["bootstrap"] = np.mean([low <= 0 <= high for low, high in some])
                row["percentile"] = percentile(generator, own[:400])
            row["unpaired t"] = unpaired(values) if kind == "normal" else None
            yield (n, kind), row


def covered(differences, n):
    half = t.isf(ALPHA / 2, n - 1) * differences.std(1, ddof=1) / np.sqrt(n)
    return (np.abs(differences.mean(1)) <= half).mean()


def percentile(generator, differences):
    """The plain bootstrap, as a comparison."""
    draws, n = differences.shape
    picked = generator.integers(n, size=(draws, 2000, n))
    means = differences[np.arange(draws)[:, None, None], picked].mean(2)
    low, high = np.quantile(means, [ALPHA / 2, 1 - ALPHA / 2], axis=1)
    return ((low <= 0) & (high >= 0)).mean()


def unpaired(values):
    n = values.shape[2]
    error = np.sqrt(values.var(2, ddof=1).sum(1) / n)
    far = values[:, 0].mean(1) - values[:, 1].mean(1)
    return (np.abs(far) <= t.isf(ALPHA / 2, 2 * n - 2) * error).mean()


def of_the_best(generator, draws):
    """How often the unadjusted interval of a difference to the best holds the true one."""
    for k in (2, 3, 5, 16):
        row = {}
        for n in SEEDS:
            values = draw(generator, np.zeros(k), np.ones(k), n, draws)
            best = values.mean(2).argmin(1)
            gap = values - values[np.arange(draws), best][:, None]
            inside = covered(gap.reshape(-1, n), n) * k - 1  # the best itself always is
            row[f"{n} seeds"] = inside / (k - 1)
        yield (k,), row


def widths(generator, draws):
    """The width of the unpaired interval over the paired one, by what the seeds share."""
    for shared in (0.0, 0.5, 1.0, 3.0):
        row = {}
        for n in SEEDS:
            scatter = generator.standard_normal((draws, 2, n))
            values = scatter + shared * generator.standard_normal((draws, 1, n))
            own = (values[:, 0] - values[:, 1]).std(1, ddof=1) * t.isf(ALPHA / 2, n - 1)
            apart = np.sqrt(values.var(2, ddof=1).sum(1)) * t.isf(ALPHA / 2, 2 * n - 2)
            row[f"{n} seeds"] = np.median(apart) / np.median(own)
        yield (f"{shared:g}", f"{shared**2 / (1 + shared**2):.2f}"), row


def table(heads, rows, percent=True):
    """The rows as Markdown."""
    rows = list(rows)
    ways = list(rows[0][1])
    lines = [
        "| " + " | ".join([*heads, *ways]) + " |",
        "|--" * len(heads) + "|--:" * len(ways) + "|",
    ]
    for key, row in rows:
        cells = [
            "" if v is None else f"{100 * v:.1f}" if percent else f"{v:.2f}" for v in row.values()
        ]
        lines.append("| " + " | ".join([*map(str, key), *cells]) + " |")
    return "\n".join(lines)


def worst(rows):
    """The highest error of each way over the shapes of normal noise."""
    found = {}
    for (k, n, shape), row in rows:
        if shape in SHAPES or shape == "families":
            now = found.setdefault((k, n), dict.fromkeys(row, 0.0))
            found[k, n] = {way: max(now[way], row[way]) for way in row}
    return list(found.items())


def report(draws):
    generator = np.random.default_rng(0)
    started = time.process_time()
    equal = list(errors(generator, draws))
    parts = [
        "# How often a ranking is wrong",
        f"numpy {np.__version__}, scipy {scipy.__version__}, Python {platform.python_version()}; "
        f"{datetime.date.today().isoformat()}; {draws} draws a row, so an error of 5 % is known to "
        f"{100 * 2 * np.sqrt(0.05 * 0.95 / draws):.1f} points. Percent, unless it says otherwise.",
        f"`{OURS}` is what `stepsize.comparison` does; it was checked to judge as `rank` does. "
        "`Holm` takes the best as if it had been named beforehand; `every pair` counts every pair "
        "of arms; `pooled, Tukey` takes one noise for all arms (two-way analysis of variance, "
        "studentised range, step by step).",
        "## Equal arms: any of them called worse (5 % is the aim)",
        "### The worst of six shapes of normal noise",
        "The highest of six figures lies above their truth by chance: of two arms all ways but "
        "`unpaired` are the paired t test, which is exact.",
        table(["arms", "seeds"], worst(equal)),
        "### Each shape",
        "Standard deviations of the arms' noise; `families`: equal, but every second arm shares "
        "0.9 of its noise; `skewed`: exponential; `digits`: the losses of real trainings around "
        "their means (noise.json), where a seed may come again, which shows too many errors, or "
        "comes once, which shows too few.",
        table(["arms", "seeds", "noise"], equal),
        "## Partly equal arms: any called worse than one that is no better",
        table(["true means", "seeds", "noise"], partly_equal(generator, draws)),
        "## Power: arms called worse that are, all by so many standard deviations of a run's noise",
        table(["arms", "seeds", "distance"], power(generator, draws)),
        "## Coverage of 95 % intervals",
        "Of one difference; the skewed ones are exponential plus as much normal noise.",
        table(["seeds", "differences"], coverage(generator, draws)),
        "Of the unadjusted paired t interval of a difference to the arm that came out best, all "
        "arms being equal:",
        table(["arms"], of_the_best(generator, draws)),
        "## Width of the unpaired interval over that of the paired (median)",
        "By the standard deviation that both runs of a seed share, in those of their noise.",
        table(["shared", "correlation"], widths(generator, draws), percent=False),
        f"Took {time.process_time() - started:.0f} s of one core.",
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the results")
    options = parser.parse_args()
    text = report(options.draws)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
