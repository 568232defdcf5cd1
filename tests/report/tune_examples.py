"""Recommendations to draw in tests: races of a made-up training, played by the rules of a race."""

import math
import random
from dataclasses import replace

from report.comparisons import HOSTILE
from report.results import bowl, make_result

from stepsize.records import Alternative, Cost, RaceArm, Reading, Recommendation

UPDATES, EPOCHS = 1080, 20
EXPECTED = {
    "val_loss": {"mean": 0.3123, "ci95": [0.2981, 0.3268]},
    "val_accuracy": {"mean": 0.9012, "ci95": [0.894, 0.909]},
}
SETTINGS = {
    "command": f"stepsize tune digits --epochs {EPOCHS} --budget 1",
    "budget": 1.0,
    "seed": 0,
    "rungs": [34, 68, 135, 270],
    "versions": {"stepsize": "0.5.0", "torch": "2.13.0"},
}


class Training:
    """A loss that falls faster and ends lower the nearer the rate is to the best one."""

    def __init__(self, *, best=0.2, start=2.31, floor=0.29, limit=8.0, updates=UPDATES, noise=0):
        self.best, self.start, self.floor = best, start, floor
        self.limit, self.updates, self.random = limit, updates, random.Random(noise)

    def loss(self, rate, updates, gain=1.0):
        """The validation loss after so many updates; infinite beyond the limit."""
        off = math.log10(rate / self.best)
        if rate > self.limit * self.best:
            return math.inf
        slow = min(rate, self.best) / self.best
        share = updates / self.updates * (0.02 + slow)
        left = 1 / (1 + (gain * share * 60) ** 0.75)
        worse = 0.10 * off**2 * (3.0 if off > 0 else 1.0)
        noise = self.random.gauss(0, 0.004)
        return self.floor + (self.start - self.floor) * (left + (1 - left) * worse + noise)

    def read(self, rate, updates, gain=1.0):
        loss = self.loss(rate, updates, gain)
        return Reading(updates, loss, loss * 1.04 if math.isfinite(loss) else math.inf)


def schedule_text(rate, kind="wsd"):
    return {
        "wsd": f"wsd({rate:.4g}, warmup_steps=5%, decay_steps=20%)",
        "cosine": f"warmup(cosine({rate:.4g}), steps=5%)",
        "linear": f"warmup(linear({rate:.4g}), steps=5%)",
        "one_cycle": f"one_cycle({rate:.4g})",
    }[kind]


def race(training, rates, rungs=(34, 68, 135, 270), keep=(5, 3, 2, 1), **fields):
    """Successive halving: the best go on, those that blow up are out at once."""
    readings = {rate: [] for rate in rates}
    running, lost = list(rates), set()
    for rung, best in zip(rungs, keep, strict=True):
        for rate in running:
            readings[rate].append(training.read(rate, rung))
        lost |= {rate for rate in running if math.isinf(readings[rate][-1].val_loss)}
        running = [rate for rate in running if rate not in lost]
        running = sorted(running, key=lambda rate: readings[rate][-1].val_loss)[:best]
    return [
        RaceArm(
            schedule_text(rate),
            rate,
            fate="diverged" if rate in lost else "kept" if rate in running else "slower",
            readings=tuple(readings[rate]),
            updates=readings[rate][-1].updates,
            **fields,
        )
        for rate in rates
    ]


def half_decades(low, high):
    count = round(2 * math.log10(high / low)) + 1
    return [float(f"{low * 10 ** (i / 2):.3g}") for i in range(count)]


def recommend(arms, lr, *, training=None, updates=UPDATES, **fields):
    """The answer that such a race leads to."""
    spent = sum(arm.updates for arm in arms)
    defaults = {
        "task": "digits",
        "epochs": EPOCHS,
        "updates": updates,
        "verdict": "ok",
        "reason": "Of 9 rates raced, 0.178 had the lowest validation loss at the last rung; a "
        "parabola through its neighbours puts the best at 0.21.",
        "cost": Cost(spent, 2.5 * sum(len(arm.readings) for arm in arms), updates),
        "lr": lr,
        "interval": None if lr is None else (lr / 1.7, lr * 1.6),
        "schedule": None if lr is None else schedule_text(lr),
        "expected": {} if lr is None else EXPECTED,
        "sensitivity": None if lr is None else 0.034,
        "start_loss": None if training is None else training.start,
        "evidence": tuple(arms),
        "settings": SETTINGS,
        "seconds": 34.6,
    }
    return Recommendation(**{**defaults, **fields})


def sgd(**fields):
    """The usual answer: nine rates, two that blow up, neighbours, schedules, a range test."""
    training = Training()
    arms = race(training, half_decades(0.001, 10))
    for rate in (0.178, 0.562):
        read = tuple(training.read(rate, rung) for rung in (34, 68, 135, 270))
        arms.append(RaceArm(schedule_text(rate), rate, "race", "slower", read, 270))
    for kind, gain in (("cosine", 0.93), ("linear", 1.02)):
        read = tuple(training.read(0.21, rung, gain) for rung in (135, 270))
        arms.append(RaceArm(schedule_text(0.21, kind), 0.21, "schedule", "slower", read, 270))
    alternatives = (
        Alternative("cosine", schedule_text(0.24, "cosine"), (0.11, 0.4), "measured"),
        Alternative("4 times as long", schedule_text(0.17), (0.08, 0.34), "expected"),
        Alternative("a quarter as long", schedule_text(0.27), (0.13, 0.5), "expected"),
    )
    given = {
        "alternatives": alternatives,
        "find": make_result("ok", [bowl(10 ** (i / 8 - 5.7)) for i in range(57)]),
        "notes": ("The loader has 54 batches; the last one is smaller.",),
    }
    return recommend(arms, 0.21, training=training, **{**given, **fields})


def other_optimizer(**fields):
    """SGD's placeholder lost to AdamW; the rate hardly matters."""
    training = Training(best=0.02, start=4.16, floor=1.61, limit=30, updates=4000, noise=1)
    rungs = (125, 250, 500, 1000)
    arms = race(training, half_decades(0.0003, 3), rungs)
    adam = Training(best=0.003, start=4.16, floor=1.5, limit=40, updates=4000, noise=2)
    arms += race(adam, [0.001, 0.003, 0.01], rungs, (3, 2, 1, 1), stage="optimizer",
                 optimizer="AdamW")  # fmt: skip
    arms = [arm if arm.optimizer else replace(arm, fate="slower") for arm in arms]
    return recommend(
        arms,
        0.003,
        **{
            "training": training,
            "updates": 4000,
            "task": "/home/ada/nets/shakespeare.py:gpt",
            "optimizer": "AdamW",
            "schedule": schedule_text(0.003, "linear"),
            "sensitivity": 0.011,
            "expected": {"val_loss": {"mean": 1.534, "ci95": [1.49, 1.58]}},
            "reason": "AdamW at 0.003 was ahead of every rate of the task's own optimizer.",
            **fields,
        },
    )


def flat(**fields):
    """Labels without meaning: no rate learns."""
    noise = random.Random(3)
    arms = [
        RaceArm(schedule_text(rate), rate, fate="slower", updates=68, readings=tuple(
            Reading(rung, 2.303 + noise.gauss(0, 0.002), 2.303) for rung in (34, 68)
        ))
        for rate in half_decades(0.001, 1)
    ]  # fmt: skip
    return recommend(
        arms,
        None,
        verdict="flat",
        reason="After 68 updates no rate had lowered the validation loss by more than its noise.",
        start_loss=2.303,
        **fields,
    )


def diverged(**fields):
    """Every rate blew up; one never came to its first rung."""
    arms = [
        RaceArm(schedule_text(rate), rate, fate="diverged", updates=34, readings=(
            Reading(34, math.inf, math.inf),
        ) if rate < 1 else ())
        for rate in half_decades(0.001, 10)
    ]  # fmt: skip
    return recommend(
        arms,
        None,
        verdict="diverged",
        reason="All 9 rates from 0.001 to 10 diverged within 34 updates.",
        **fields,
    )


def interrupted(**fields):
    """Ctrl-C after the second rung: an answer, with little behind it."""
    training = Training(noise=4)
    arms = race(training, half_decades(0.001, 1), (34, 68), (5, 3))
    given = {
        "interrupted": True,
        "interval": (0.04, 0.9),
        "expected": {},
        "sensitivity": None,
        "reason": "Stopped after two rungs; 0.316 was ahead.",
    }
    return recommend(arms, 0.316, training=training, **{**given, **fields})


def too_short(**fields):
    """Interrupted before the first rung."""
    return recommend(
        [RaceArm(schedule_text(0.1), 0.1, updates=3)],
        None,
        verdict="too_short",
        reason="Interrupted after 3 updates, before any rate was evaluated.",
        interrupted=True,
        **fields,
    )


def nothing(**fields):
    """Not one arm."""
    return recommend([], None, verdict="too_short", reason="No budget.", settings={}, **fields)


def twenty_arms(**fields):
    """More arms than anybody would want, most of which survive for long."""
    training = Training(best=0.03, updates=120_000, noise=5)
    rates = [float(f"{1e-4 * 10 ** (i / 4):.3g}") for i in range(20)]
    rungs = (937, 1875, 3750, 7500, 15_000, 30_000, 120_000)
    arms = race(training, rates, rungs, (14, 10, 7, 5, 3, 2, 2))
    return recommend(arms, 0.0316, training=training, updates=120_000, epochs=300, **fields)


def four_arms(**fields):
    """As few as make a race."""
    training = Training(noise=6)
    arms = race(training, [0.03, 0.1, 0.3, 1.0], (270, 540), (2, 1))
    return recommend(arms, 0.3, training=training, **fields)


def negative(**fields):
    """A likelihood: losses fall through zero."""
    training = Training(start=1.4, floor=-2.1, noise=7)
    arms = race(training, half_decades(0.001, 10))
    expected = {"val_loss": {"mean": -2.05, "ci95": [-2.12, -1.98]}}
    return recommend(arms, 0.21, training=training, expected=expected, **fields)


def steep(**fields):
    """A loss that falls by three decades."""
    training = Training(start=40.0, floor=0.004, noise=8)
    training.random.gauss = lambda mean, deviation: 0.0
    rates = half_decades(0.001, 10)
    expected = {"val_loss": {"mean": 0.02, "ci95": [0.01, 0.04]}}
    arms = [
        replace(arm, readings=tuple(
            Reading(r.updates, 40 * (r.val_loss / 40) ** 3, r.train_loss) for r in arm.readings
        ))
        for arm in race(training, rates)
    ]  # fmt: skip
    return recommend(arms, 0.21, training=training, expected=expected, **fields)


def decays(**fields):
    """The finalists decay on trial; the answer is in the text form without lengths."""
    training = Training(updates=264, noise=10)
    rungs = (6, 13, 26, 52)
    arms = race(training, half_decades(0.0316, 3.16), rungs, (4, 3, 2, 2))
    for arm in [arm for arm in arms if arm.fate == "kept"]:
        text = (
            f"chain(wsd({arm.lr:g}, warmup_steps=13, stable_steps=39, decay_steps=13), constant(0))"
        )
        read = (training.read(arm.lr, 65, gain=3.0),)
        arms.append(RaceArm(text, arm.lr, "cool_down", "kept", read, 13))
    return recommend(
        arms, 0.21, training=training, updates=264, epochs=6, schedule="wsd(0.21)", **fields
    )


def several_seeds(**fields):
    """The finalists once more from another seed."""
    training = Training(noise=9)
    arms = race(training, half_decades(0.01, 1))
    again = race(training, [0.1, 0.316], (135, 270), (2, 1), seed=1)
    return recommend([*arms, *again], 0.21, training=training, **fields)


def hostile(**fields):
    """Texts from users that no form may run, break on or show raw."""
    nasty = HOSTILE + "\u2028\u2029\"'`"
    arms = [
        RaceArm(nasty, 0.1, "schedule", "kept", (Reading(9, 0.5, 0.5),), 9, nasty),
        RaceArm("W" * 200, 0.2, "race", "slower", (Reading(9, 0.7, 0.5),), 9),
    ]
    given = {
        "task": nasty,
        "reason": nasty,
        "schedule": nasty,
        "optimizer": nasty,
        "expected": {nasty: {"mean": 0.3, "ci95": [0.2, 0.4]}},
        "alternatives": (Alternative(nasty, nasty, (0.1, 0.2), nasty),),
        "notes": (nasty,),
        "settings": {nasty: nasty, "command": nasty, "versions": {nasty: [nasty, {nasty: nasty}]}},
    }
    return recommend(arms, 0.1, **{**given, **fields})


EXAMPLES = {
    "sgd": sgd,
    "other optimizer": other_optimizer,
    "flat": flat,
    "diverged": diverged,
    "interrupted": interrupted,
    "too short": too_short,
    "nothing": nothing,
    "twenty arms": twenty_arms,
    "four arms": four_arms,
    "negative": negative,
    "steep": steep,
    "decays": decays,
    "several seeds": several_seeds,
    "hostile": hostile,
}
