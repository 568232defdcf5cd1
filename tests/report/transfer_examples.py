"""Comparisons of transfer plans to draw in tests."""

import random
from dataclasses import replace

from report import comparisons
from report.comparisons import HOSTILE, TEST, make_comparison
from report.layer_rates_examples import RESNET, find, layer_tests

from stepsize.fine_tuning.decision import PhaseDecision
from stepsize.fine_tuning.layer_groups import LayerGroup, LayerGroups
from stepsize.fine_tuning.phase import Phase
from stepsize.fine_tuning.plan import TransferPlan
from stepsize.fine_tuning.presets import PLANS
from stepsize.fine_tuning.transfer_result import TransferResult

#: Fewer than those of other comparisons: a chart of rates looks at every update.
UPDATES_PER_EPOCH = 40
LEVELS = {
    "measured": 0.300,
    "full": 0.3035,
    "fastai": 0.332,
    "ulmfit": 0.33,
    "gradual": 0.31,
    "head-only": 0.36,
    "scratch": 0.42,
}
ACTIVATIONS = {
    "key": "5f1c", "seconds": 2.4, "bytes": 12_600_000, "examples": 3068, "passes": 1,
    "reused": False, "augmented": True, "note": "The augmentation is that of one pass.",
}  # fmt: skip


def groups(names=RESNET):
    return LayerGroups(
        tuple(
            LayerGroup(
                name,
                tuple(f"{name}.{i}" for i in range(1 + 3 * (n % 3))),
                (f"{name}.weight", f"{name}.bias"),
                4000 * 2**n,
                4000 * 2**n,
                (f"{name}.bias",),
            )
            for n, name in enumerate(names)
        ),
        tied={f"{names[0]}.again": f"{names[0]}.weight"},
        notes=("A note of the groups.",),
    )


def decisions(plan, seed, whole, epochs, *, until=None):
    """What a run of ``plan`` decided, phase by phase; ``until`` phases only."""
    noise = random.Random(f"{plan.name!r} {seed}")
    timeline = plan.timeline(epochs, whole)
    count = len(timeline.names)
    for stretch in timeline.stretches[:until]:
        phase, peak = stretch.phase, 0.02 * 10 ** noise.gauss(0, 0.08)
        given = {"find": find(peak, seed=seed)}
        ratios = phase.fixed_ratios(count) if phase.ratios != "measured" else None
        if phase.ratios == "measured":
            given = {"layer_tests": layer_tests(timeline.names, flat=(count - 1,))}
            ratios = given["layer_tests"].rates.ratios
        if phase.precompute:
            given["precomputed"] = ACTIVATIONS
        text = str(phase.resolved(peak, stretch.epochs * UPDATES_PER_EPOCH, UPDATES_PER_EPOCH))
        yield PhaseDecision(
            phase.name, stretch.first_epoch, stretch.epochs, stretch.trainable, peak,
            tuple(ratios or (1.0,) * count), text, "range test (275 updates)",
            search_updates=275, search_seconds=3.2, **given,
        )  # fmt: skip


def _shortened(comparison):
    """The same with :data:`UPDATES_PER_EPOCH`."""
    per_epoch = comparisons.UPDATES_PER_EPOCH

    def fewer(updates):
        return updates * UPDATES_PER_EPOCH // per_epoch

    runs = tuple(
        replace(
            run,
            updates=fewer(run.updates),
            done=fewer(run.done),
            history=tuple(replace(each, updates=fewer(each.updates)) for each in run.history),
        )
        for run in comparison.runs
    )
    return replace(comparison, runs=runs, updates=fewer(comparison.updates))


def make_result(
    plans, *, seeds=(0, 1, 2), epochs=12, names=RESNET, changes=None, worth="worth it", **fields
):
    """The plans of these names, ranked by :data:`LEVELS`."""
    plans = tuple(PLANS[plan] if isinstance(plan, str) else plan for plan in plans)
    whole = groups(names)
    own = {name: (change,) for name, change in (changes or {}).items()}
    arms = {
        plan.name: (f"plan({i})", LEVELS.get(plan.name, 0.35), *own.get(plan.name, ()))
        for i, plan in enumerate(plans)
    }
    comparison = make_comparison(
        arms, seeds=seeds, epochs=epochs, **{"task": "clothing-transfer", **fields}
    )
    comparison = _shortened(comparison)
    known = {}
    for plan in plans:
        for run in comparison.of(plan.name):
            until = {"waiting": 0, "failed": 1}.get(run.status)
            own = tuple(decisions(plan, run.seed, whole, epochs, until=until))
            known.setdefault(plan.name, {})[run.seed] = own
    told = worth and {
        "plan": plans[0].name, "scratch": "scratch", "metric": comparison.metric,
        "difference": -0.12, "ci95": [-0.14, -0.1] if len(seeds) > 1 else None,
        "p": 0.0004 if len(seeds) > 1 else None, "verdict": worth,
    }  # fmt: skip
    return TransferResult(comparison, plans, whole, known, told)


SETTINGS = {
    "command": "stepsize transfer clothing-transfer --epochs 12",
    "transfer": {"plans": ["all of it, as JSON"]},
}


def usual():
    return make_result(
        ["measured", "full", "gradual", "fastai", "scratch"], test=TEST, settings=SETTINGS
    )


def one_plan():
    """One plan, one seed, nothing to compare with."""
    return make_result(["fastai"], seeds=(0,), worth=None)


def one_seed():
    return make_result(["measured", "scratch"], seeds=(3,), worth="not distinguishable")


def broken():
    """A plan whose runs diverged, one that failed, one that has not begun."""
    lost = {seed: {"status": "diverged", "done": 4} for seed in (0, 2)}
    failed = {1: {"status": "failed", "done": 0}, 2: {"status": "waiting", "done": 0}}
    waiting = {seed: {"status": "waiting", "done": 0} for seed in range(3)}
    changes = {"full": lost, "ulmfit": failed, "gradual": waiting}
    names = ["full", "ulmfit", "gradual", "head-only", "scratch"]
    return make_result(names, changes=changes, worth="not worth it")


def long_names():
    """A deep network, phases and a plan with long names."""
    names = [f"transformer.encoder.block.{i}.attention" for i in range(12)]
    names += ["pre_classifier_with_a_long_name", "classifier"]
    long = TransferPlan(
        "a plan of mine whose name is far too long to stand in a table, or is it not",
        (
            Phase("the head by itself until it has settled down", epochs=1, trainable="head"),
            Phase("everything", schedule="warmup(one_cycle(lr), steps=5%)", ratios="measured"),
        ),
        about="No line breaks. " * 30,
    )
    return make_result([long, "ulmfit", "fastai", "scratch"], names=names, epochs=16)


def hostile():
    """Texts from users that no form may run, break on or show raw."""
    plan = TransferPlan(
        HOSTILE.replace("\ud800", ""),
        (Phase(HOSTILE.replace("\ud800", "")),),
        about=HOSTILE,
    )
    given = make_result([plan, "scratch"], names=(HOSTILE, "W" * 120, "$x$"), task=HOSTILE)
    facts = {"note": HOSTILE, "examples": HOSTILE, "bytes": "x"}
    known = {
        arm: {
            seed: tuple(
                replace(one, schedule=HOSTILE, lr_from=HOSTILE, precomputed=facts, phase=HOSTILE)
                for one in each
            )
            for seed, each in runs.items()
        }
        for arm, runs in given.decisions.items()
    }
    return replace(given, decisions=known, worth={**given.worth, "plan": HOSTILE, "ci95": None})


def all_diverged():
    lost = {seed: {"status": "diverged", "done": 1} for seed in range(3)}
    return make_result(["full", "scratch"], changes={"full": lost, "scratch": lost}, worth=None)


RESULTS = {
    "usual": usual,
    "one plan": one_plan,
    "one seed": one_seed,
    "broken": broken,
    "long names": long_names,
    "hostile": hostile,
    "all diverged": all_diverged,
}
