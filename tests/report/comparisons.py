"""Comparisons to draw in tests, with values as those of Fashion-MNIST."""

import math
import random
import statistics

from stepsize.records import Comparison, Evaluation, Run, Standing, Trace

#: Two-sided 95 % quantiles of Student's t by degrees of freedom.
T95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 9: 2.262}
UPDATES_PER_EPOCH = 1250
HOSTILE = "</script><img src=x onerror=alert(1)> $\\frac{ \0\n 日本 \ud800 &amp; \x1b[31m"


def make_run(arm, schedule, seed, level, *, epochs=20, status="finished", accuracy=True, done=None):
    """A falling loss that ends near ``level``, noisy by epoch and by seed.

    ``done`` is how many epochs were evaluated. A diverged run ends in infinity.
    """
    common = random.Random(f"seed {seed}").gauss(0, 0.004)  # the same for every arm: paired
    noise = random.Random(f"{arm!r} {seed}")
    history = []
    for epoch in range(1, (epochs if done is None else done) + 1):
        share = epoch / epochs
        loss = level + common + 0.13 * math.exp(-5 * share) + noise.gauss(0, 0.0025)
        values = {"train_loss": max(0.02, loss - 0.09 * share), "val_loss": loss}
        if accuracy:
            values["val_accuracy"] = 1 - loss / 2.9
        history.append(Evaluation(epoch, epoch * UPDATES_PER_EPOCH, values))
    if status == "diverged":
        bad = dict.fromkeys(history[-1].values, math.inf)
        history[-1] = Evaluation(history[-1].epoch, history[-1].updates, bad)
    return Run(
        arm=arm,
        schedule=schedule,
        seed=seed,
        status=status,
        updates=epochs * UPDATES_PER_EPOCH,
        done=history[-1].updates if history else 0,
        history=tuple(history),
        key=f"{random.Random(f'{arm!r} {seed}').getrandbits(80):020x}",
        error="RuntimeError: no more data" if status == "failed" else "",
        seconds=61.5 + seed if history else 0.0,
    )


def make_comparison(arms, *, seeds=(0, 1, 2), epochs=20, accuracy=True, **fields):
    """A comparison of ``arms``: names to ``(schedule, level)`` or ``(schedule, level, changes)``.

    ``changes`` are fields of the arm's runs by seed, such as ``{1: {"status": "diverged"}}``.
    """
    runs = []
    for arm, (schedule, level, *changes) in arms.items():
        for seed in seeds:
            own = changes[0].get(seed, {}) if changes else {}
            own = {"epochs": epochs, "accuracy": accuracy, **own}
            runs.append(make_run(arm, schedule, seed, level, **own))
    defaults = {
        "task": "fashion-mnist",
        "epochs": epochs,
        "updates": epochs * UPDATES_PER_EPOCH,
        "seeds": tuple(seeds),
        "metric": "val_loss",
        "name": "a-comparison",
        "store": "runs/stepsize.db",
        "settings": {
            "command": "stepsize compare fashion-mnist --epochs 20 --seeds 0,1,2",
            "versions": {"stepsize": "0.4.0", "torch": "2.7.1"},
            "git": "be3d35c",
        },
    }
    comparison = Comparison(**{**defaults, **fields, "runs": tuple(runs), "ranking": ()})
    return Comparison(**{**_fields(comparison), "ranking": tuple(_ranking(comparison))})


def _fields(comparison):
    return {name: getattr(comparison, name) for name in comparison.__dataclass_fields__}


def _ranking(comparison):
    metric = comparison.metric
    sign = -1 if comparison.higher else 1
    ranked, others = [], []
    for arm in comparison.arms:
        runs = comparison.of(arm)
        finished = [run for run in runs if run.status == "finished"]
        place = "diverged" if any(run.status == "diverged" for run in runs) else "incomplete"
        (ranked if len(finished) == len(runs) else others).append((arm, place, runs, finished))
    ranked.sort(key=lambda row: sign * statistics.mean(run.final[metric] for run in row[3]))
    for place, (arm, _, runs, finished) in enumerate(ranked):
        best = [run.final[metric] for run in ranked[0][3]]
        values = [run.final[metric] for run in finished]
        differences = [a - b for a, b in zip(values, best, strict=True)]
        word = "best" if place == 0 else "unknown" if len(values) < 2 else "worse"
        ci = _interval(differences) if place else None
        if word == "worse" and ci[0] <= 0 <= ci[1]:
            word = "equal"
        yield Standing(
            arm,
            runs[0].schedule,
            word,
            mean=statistics.mean(values),
            ci95=_interval(values),
            difference_to_best=statistics.mean(differences),
            difference_ci95=ci,
            p_adjusted=None if place == 0 or ci is None else 0.2 if word == "equal" else 0.003,
            **_epochs(comparison, finished),
        )
    for arm, place, runs, finished in sorted(others, key=lambda row: row[1] != "diverged"):
        yield Standing(arm, runs[0].schedule, place, **_epochs(comparison, finished))


def _epochs(comparison, runs):
    if not runs:
        return {"seeds": 0}
    best = [run.best(comparison.metric, comparison.higher) for run in runs]
    names = runs[0].final
    return {
        "seeds": len(runs),
        "final": {name: statistics.mean(run.final[name] for run in runs) for name in names},
        "best": {name: statistics.mean(each.values[name] for each in best) for name in names},
        "best_epoch": statistics.mean(each.epoch for each in best),
        "effort": 275,
        "rates_from": "find (275 updates)",
    }


def _interval(values):
    if len(values) < 2:
        return None
    half = T95[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.mean(values) - half, statistics.mean(values) + half


def three_arms(**fields):
    """Three arms by three seeds: two that cannot be told apart, one that is worse."""
    arms = {
        "linear(0.28)": ("linear(0.28, steps=25000)", 0.3015),
        "cosine(0.28)": ("cosine(0.28, steps=25000)", 0.3005),
        "0.1": ("constant(0.1)", 0.334),
    }
    return make_comparison(arms, **fields)


def two_arms(**fields):
    """One good arm, one that is worse."""
    arms = {
        "constant(0.1)": ("constant(0.1)", 0.334),
        "wsd": ("wsd(0.28, warmup_steps=500, stable_steps=19500, decay_steps=5000)", 0.301),
    }
    return make_comparison(arms, **fields)


#: Sixteen schedules for 25,000 updates.
SIXTEEN = (
    "cosine(0.28, steps=25000)",
    "linear(0.28, steps=25000)",
    "warmup(cosine(0.28, steps=23750), steps=1250)",
    "warmup(linear(0.28, steps=23750), steps=1250)",
    "wsd(0.28, warmup_steps=500, stable_steps=19500, decay_steps=5000)",
    "polynomial(0.28, power=2, steps=25000)",
    "one_cycle(0.5, steps=25000)",
    "warm_restarts(0.28, first_steps=1786, t_mul=2)",
    "exponential(0.28, 0.9998)",
    "step(0.28, every=8000, factor=0.1)",
    "inverse_time(0.28, decay=0.001)",
    "constant(0.1)",
    "constant(0.03)",
    "triangular(0.03, 0.3, up_steps=2500)",
    "triangular2(0.03, 0.3, up_steps=2500)",
    "inverse_sqrt(0.28, warmup_steps=1250)",
)


def sixteen_arms(**fields):
    """Sixteen arms by three seeds, some with long names."""
    arms = {text: (text, 0.298 + 0.0008 * (i * 7 % 16) ** 1.6) for i, text in enumerate(SIXTEEN)}
    return make_comparison(arms, **fields)


def with_diverged(**fields):
    """An arm with two seeds that blew up, and one that is stuck at a loss of 2.3."""
    arms = {
        "constant(3)": ("constant(3)", 0.5, {s: {"status": "diverged", "done": 4} for s in (0, 2)}),
        "cosine(0.28)": ("cosine(0.28, steps=25000)", 0.3005),
        "linear(0.28)": ("linear(0.28, steps=25000)", 0.302),
        "constant(1)": ("constant(1)", 2.3),
    }
    return make_comparison(arms, **fields)


def incomplete(**fields):
    """An arm whose runs wait, run, or failed."""
    changes = {
        0: {"status": "failed", "done": 7},
        1: {"status": "running", "done": 11},
        2: {"status": "waiting", "done": 0},
    }
    arms = {
        "linear(0.28)": ("linear(0.28, steps=25000)", 0.302, changes),
        "cosine(0.28)": ("cosine(0.28, steps=25000)", 0.3005),
    }
    return make_comparison(arms, **fields)


def one_seed(**fields):
    """Three arms, one seed: nothing can be told."""
    return three_arms(seeds=(0,), **fields)


def hostile(**fields):
    """Texts from users that no form may run, break on or show raw."""
    arms = {
        HOSTILE: ("constant(0.1)", 0.31),
        "plain": (f"function({HOSTILE!r})", 0.32),
        "W" * 200: ("not a schedule", 0.33),
    }
    notes = (HOSTILE,)
    return make_comparison(arms, name=HOSTILE, task=HOSTILE, notes=notes, **fields)


def all_diverged():
    """Nothing can be ranked."""
    changes = {seed: {"status": "diverged", "done": 1} for seed in range(3)}
    return make_comparison({"constant(9)": ("constant(9)", 1.0, changes)})


def nothing_yet():
    """No run has started."""
    changes = {seed: {"status": "waiting", "done": 0} for seed in range(3)}
    return make_comparison(
        {
            "cosine(0.28)": ("cosine(0.28, steps=25000)", 0.3, changes),
            "0.1": ("constant(0.1)", 0.3, changes),
        }
    )


#: What the store keeps of the test set, once it was read for the best arm.
TEST = {
    "arm": "cosine(0.28)",
    "seeds": {
        "0": {"test_loss": 0.3305, "test_accuracy": 0.8841},
        "1": {"test_loss": 0.3317, "test_accuracy": 0.8829},
        "2": {"test_loss": 0.3289, "test_accuracy": 0.8853},
    },
    "mean": {"test_loss": 0.33036666, "test_accuracy": 0.8841},
    "read": "2026-11-21T12:30:00+00:00",
}

#: Every kind of comparison by name.
COMPARISONS = {
    "three arms": three_arms,
    "two arms": two_arms,
    "sixteen arms": sixteen_arms,
    "with diverged": with_diverged,
    "incomplete": incomplete,
    "one seed": one_seed,
    "hostile": hostile,
    "all diverged": all_diverged,
    "nothing yet": nothing_yet,
    "no accuracy": lambda: three_arms(accuracy=False),
    "by accuracy": lambda: sixteen_arms(metric="val_accuracy", higher=True),
    "with a test set": lambda: three_arms(test=TEST),
    "many seeds": lambda **fields: two_arms(seeds=tuple(range(8)), **fields),
}


def make_trace(run, buckets=500):
    """The trace of a run: a falling rate, a noisy loss."""
    noise = random.Random(run.key)
    width = max(1, -(-run.done // buckets))
    count = -(-run.done // width)
    lr = [0.28 * (1 - i / max(1, count)) for i in range(count)]
    mean = [0.3 + 2 * math.exp(-i / 8) + noise.gauss(0, 0.02) for i in range(count)]
    return Trace(
        width,
        run.done,
        lr_low=tuple(value * 0.999 for value in lr),
        lr_high=tuple(lr),
        loss_low=tuple(value * 0.6 for value in mean),
        loss_mean=tuple(mean),
        loss_high=tuple(value * 1.7 for value in mean),
    )
