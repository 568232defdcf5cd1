"""The linter: each rule with a schedule that it is about and one that it is not."""

import json
import math
import re
from dataclasses import dataclass
from functools import partial
from time import process_time
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from schedules.kinds_strategies import schedules

from stepsize.errors import InputError
from stepsize.schedules import Constant, Cosine, Function, Linear, Schedule, Warmup, parse
from stepsize.schedules.linting import Finding, lint, lint_groups
from stepsize.schedules.linting.samples import BLOCK


def findings(schedule, steps, **more):
    """By code, without the remark on the tail that is always there."""
    if isinstance(schedule, str):
        schedule = parse(schedule, steps=steps)
    found = lint(schedule, steps, **more)
    return {finding.code: finding for finding in found if finding.code != "robbins-monro"}


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("warmup(cosine(0.1, 0.001, 90), steps=10)", 101),
        ("linear(0.1, 0.01, 49)", 50),
        ("constant(0.1)", 50),
        ("multi_step(0.1, milestones=[30, 60])", 90),
        ("step(0.1, every=30)", 90),
        ("inverse_time(0.1, 0.01)", 250),
        ("inverse_sqrt(0.1, warmup_steps=100)", 1000),
        ("exponential(0.1, factor=0.99)", 300),
        ("points([0, 10, 20], [1, 0.5, 0.1], between='constant')", 30),
        ("stairs(linear(0.1, 0.01, 100), every=10)", 101),
        ("chain(constant(0.1, 50), ramp(0.1, 0.001, 50))", 101),
        ("repeat(warmup(cosine(0.1, 0.1, 45), 5), times=2)", 100),
        ("warmup(constant(0.1), steps=1)", 10),
        ("warmup(linear(0.1, 0.01, 9), steps=1)", 11),
        ("constant(0.1)", 1),
        ("triangular(0.01, 0.1, 25)", 100),
        ("triangular2(0.01, 0.1, 10)", 40),
        ("one_cycle(0.1, steps=49)", 50),
        ("slanted_triangular(0.1, steps=49)", 50),
        ("wsd(0.1, 0.001, 5, 70, 24)", 100),
        ("warm_restarts(0.1, 0.001, first_steps=10, t_mul=2, reach_end=true)", 70),
        ("warm_restarts(0.1, 0.01, first_steps=10, warmup_steps=2, reach_end=true)", 24),
        ("linear(0.1, 0.01, 1)", 2),
    ],
)
def test_nothing_is_said_about_an_ordinary_run(text, steps):
    assert findings(text, steps) == {}


#: code, severity, step, words of the message
@pytest.mark.parametrize(
    ("text", "steps", "expected"),
    [
        # peak and floor
        ("linear(0.1, 0.01, 100)", 50, ("floor-never-sampled", "warning", 49, ["0.01", "50 %"])),
        ("linear(0.1, 0.01, 50)", 50, ("floor-never-sampled", "note", 49, ["update 50, one aft"])),
        ("linear(0.01, 0.1, 100)", 50, ("peak-never-sampled", "warning", 49, ["0.1", "0.0541"])),
        ("linear(0.01, 0.1, 50)", 50, ("peak-never-sampled", "note", 49, ["update 50, one aft"])),
        ("warmup(constant(0.1), 50)", 30, ("peak-never-sampled", "warning", 29, ["No update"])),
        ("inverse_sqrt(0.1, 100)", 30, ("peak-never-sampled", "warning", 29, ["0.1"])),
        (
            "repeat(linear(0.1, 0.01, 10))",
            100_000,
            ("floor-never-sampled", "note", 9, ["0.01", "Each cycle approaches it"]),
        ),
        (
            "stairs(points([0, 5, 10], [0.1, 0.2, 0.1]), every=4)",
            50,
            ("peak-never-sampled", "warning", 4, ["0.2", "0.18", "No update falls on it"]),
        ),
        ("repeat(points([0, 9], [1, 2]))", 5, ("peak-never-sampled", "warning", 4, ["No update"])),
        ("exp_range(0, 0.1, 10)", 40, ("peak-never-sampled", "note", 10, ["No update falls"])),
        # zeros
        ("warmup(constant(1), 5, first='0')", 9, ("zero-first-update", "warning", 0, ["Update 0"])),
        ("linear(0.1, steps=9)", 10, ("zero-updates", "warning", 9, ["Update 9 uses the value 0"])),
        ("linear(0.1, steps=5)", 8, ("zero-updates", "warning", 5, ["3 updates use", "from 5"])),
        # the tail
        (
            "points([0, 50, 60], [0.1, 0.001, 0.002])",
            61,
            ("rebounding-tail", "warning", 50, ["0.001 at update 50", "ends with 0.002"]),
        ),
        # jumps
        (
            "chain(linear(0.01, 0.055, 10), cosine(0.1, 0.01, 90))",
            101,
            ("jump", "warning", 10, ["9 uses 0.0505, update 10 uses 0.1, 1.98 times as much"]),
        ),
        (
            "chain(constant(0.1, 10), constant(0.01))",
            50,
            ("jump", "note", 10, ["update 9 uses 0.1, update 10 uses 0.01, 10 times less"]),
        ),
        ("chain(constant(0, 10), constant(0.1))", 20, ("jump", "warning", 10, ["uses 0, update"])),
        (
            "chain(cut(step(0.1, every=10), 40), constant(0.1))",
            50,
            ("jump", "warning", 40, ["uses 0.0001, update 40 uses 0.1"]),
        ),
        ("constant(0.1) * chain(constant(1, 7), constant(2))", 20, ("jump", "warning", 7, ["0.2"])),
        ("inverse_time(0.1, 10)", 20, ("jump", "note", 1, ["11 times less"])),
        (
            "chain(constant(1, 70000), linear(0.5, 0.1, 70000))",
            140_001,
            ("jump", "note", 70_000, ["uses 1, update 70000 uses 0.5"]),
        ),
        # how run and schedule fit
        ("linear(0.1, 0.01, 50)", 100, ("run-longer-than-schedule", "warning", 50, ["50 %"])),
        ("linear(0.1, 0.01, 996)", 1000, ("run-longer-than-schedule", "warning", 996, [" 0.4 %"])),
        ("warmup(constant(0.1), 50)", 50, ("warmup-longer-than-run", "warning", 0, ["takes 50"])),
        ("warmup(constant(0.1), 60)", 100, ("warmup-over-half-the-run", "note", 0, ["60 %"])),
        (
            "repeat(cosine(0.1, 0.01, 30))",
            100,
            ("last-cycle-cut", "warning", 90, ["33 %", "90 to 119", "steps=120", "steps=90"]),
        ),
        (
            "repeat(warmup(cosine(0.1, 0.01, 30), 10))",
            42,
            ("last-cycle-cut", "warning", 40, ["5 %", "40 to 79", "steps=80", "steps=40"]),
        ),
        ("repeat(cosine(0.1, 0, 30), 2)", 25, ("last-cycle-cut", "warning", 0, ["83 %", "s=30."])),
        # float32
        (
            "exponential(0.1, factor=0.5, every=1000000000)",
            1000,
            ("float32-values", "note", 0, ["99.1 % of the changes"]),
        ),
    ],
)  # fmt: skip
def test_what_is_said(text, steps, expected):
    code, severity, step, words = expected
    found = findings(text, steps)
    assert code in found
    assert (found[code].severity, found[code].step) == (severity, step)
    for word in words:
        assert word in found[code].message


#: the nearest schedules that a rule is not about
@pytest.mark.parametrize(
    ("text", "steps", "code"),
    [
        ("linear(0.1, 0.01, 50)", 51, "floor-never-sampled"),
        ("linear(0.01, 0.1, 50)", 51, "peak-never-sampled"),
        ("warmup(constant(0.1), 50)", 51, "peak-never-sampled"),
        ("exponential(0.1, factor=0.9)", 50, "floor-never-sampled"),
        ("cut(linear(0.1, 0, 50), 20)", 20, "floor-never-sampled"),
        ("repeat(linear(0.1, 0.01, 10), 4)", 41, "floor-never-sampled"),
        ("warmup(constant(0.1), 5)", 9, "zero-first-update"),
        ("linear(0.1, steps=9)", 9, "zero-updates"),
        ("constant(0)", 1, "zero-updates"),
        ("points([0, 50, 60], [0.1, 0.001, 0.001])", 61, "rebounding-tail"),
        ("points([0, 50, 60], [0.1, 0, 0.00000001])", 61, "rebounding-tail"),
        ("points([0, 50, 60], [0.1, 0.05, 0.0504])", 61, "rebounding-tail"),
        ("chain(linear(0.1, 0.01, 10), constant(0.05))", 20, "rebounding-tail"),
        ("chain(linear(0.1, 0.01, 10), warmup(constant(0.1), 10))", 15, "rebounding-tail"),
        ("repeat(points([0, 5, 10], [1, 0, 1]))", 8, "rebounding-tail"),
        ("warmup(constant(0.1), 50)", 20, "rebounding-tail"),
        ("linear(0.01, 0.1, 50)", 50, "rebounding-tail"),
        ("chain(constant(0.1, 10), constant(0.124))", 50, "jump"),
        ("chain(linear(1, 0.009, 9), constant(0.009, 9), constant(0.001))", 30, "jump"),
        ("linear(0.1, steps=3)", 4, "jump"),
        ("repeat(linear(0.1, steps=9))", 50, "jump"),
        ("warmup(linear(0.1, steps=9), steps=1, first='0')", 10, "jump"),
        ("multi_step(0.1, milestones=[5])", 10, "jump"),
        ("points([0, 5, 9], [0.1, 1, 1], between='constant')", 10, "jump"),
        ("compounding_time(0.1, 1, every=10)", 50, "jump"),
        ("linear(0.1, 0.01, 50)", 51, "run-longer-than-schedule"),
        ("linear(0.1, 0.01, 50)", 20, "run-longer-than-schedule"),
        ("constant(0.1, 50)", 100, "run-longer-than-schedule"),
        ("multi_step(0.1, milestones=[5])", 100, "run-longer-than-schedule"),
        ("warmup(constant(0.1), 49)", 50, "warmup-longer-than-run"),
        ("warmup(constant(0.1), 50)", 100, "warmup-over-half-the-run"),
        ("warmup(constant(0.1), 100)", 100, "warmup-over-half-the-run"),
        ("repeat(cosine(0.1, 0.01, 30))", 90, "last-cycle-cut"),
        ("repeat(cosine(0.1, 0.01, 30), 2)", 100, "last-cycle-cut"),
        ("chain(repeat(cosine(0.1, 0.01, 30), 2), linear(0.01, 0, 50))", 80, "last-cycle-cut"),
        ("exponential(0.1, factor=0.5, every=1000000)", 1000, "float32-values"),
        ("cosine(0.1, 0.001, 20000)", 20_000, "float32-values"),
        ("constant(0.1)", 1000, "float32-values"),
    ],
)
def test_what_is_not_said(text, steps, code):
    assert code not in findings(text, steps)


def torch_cosine(step):
    """torch's CosineAnnealingLR with T_max=50: it climbs again."""
    return 0.05 * (1.0 + math.cos(math.pi * step / 50))


def test_a_cosine_that_climbs_again():
    assert findings(Function(torch_cosine), 50) == {}
    rebound = findings(Function(torch_cosine), 60)["rebounding-tail"]
    assert rebound.severity == "warning"
    assert rebound.step == 50
    assert "ends with 0.007784" in rebound.message


@pytest.mark.parametrize("step", [1, 2, 3, 97, 98, 99, BLOCK, BLOCK + 1, BLOCK + 2, 2 * BLOCK + 1])
def test_a_jump_is_found_wherever_it_is(step):
    steps = 100 if step < 100 else 2 * BLOCK + 9
    found = lint(Function(lambda t: 0.2 if t >= step else 0.1), steps)
    assert [finding.step for finding in found if finding.code == "jump"] == [step]


def peak(step, top):
    return 5.0 ** -abs(step - top)


def test_blocks_do_not_make_jumps():
    """Times 5 with every update up to one about the end of a block, a fifth from there on."""
    for top in range(BLOCK - 3, BLOCK + 4):
        found = lint(Function(partial(peak, top=top)), BLOCK + 50)
        assert "jump" not in {finding.code for finding in found}


def test_zeros_are_counted_once():
    found = findings(Function(lambda t: float(t != BLOCK)), 2 * BLOCK)
    assert found["zero-updates"].message == f"Update {BLOCK} uses the value 0."
    found = findings(Function(lambda t: float(t not in (0, 7, BLOCK + 7))), 2 * BLOCK)
    assert found["zero-updates"].message == "2 updates use the value 0, from 7 on."


def test_no_more_than_five_jumps_are_listed():
    levels = [1.0, 2.0] * 10
    jumps = [
        finding
        for finding in lint(Function(lambda t: levels[t // 10] * (1 + t // 100)), 200)
        if finding.code == "jump"
    ]
    assert len(jumps) == 5
    assert {jump.step for jump in jumps} == {110, 120, 130, 140, 150}
    assert [jump.step for jump in jumps if "There are 13 more" in jump.message] == [150]


@dataclass(frozen=True)
class Seesaw(Schedule):
    """A user's own kind that breaks the contract."""

    kind: ClassVar[str] = "seesaw"

    def _length(self):
        return math.inf

    def _at(self, step, ops):
        return 0.5 - 0.1 * step


def test_negative_values():
    found = findings(Seesaw(), 8)
    assert found["negative-value"] == Finding(
        "negative-value", "error", "The value is negative: -0.2 at update 7.", 7
    )
    assert "negative-value" not in findings(Seesaw(), 5)


def test_a_function_without_values():
    (finding,) = lint(Function(lambda t: 3.0 - t), 10)
    assert (finding.code, finding.severity) == ("no-value", "error")
    assert "update 4 got -1.0" in finding.message


@pytest.mark.parametrize(
    ("momentum", "value", "step"),
    [(Linear(0.9, 1.0, 10), "1", 10), (Constant(1.5), "1.5", 0), (Seesaw(), "-0.5", 10)],
)
def test_momentum_out_of_range(momentum, value, step):
    finding = findings("constant(0.1)", 11, momentum=momentum)["momentum-out-of-range"]
    assert finding.severity == "error"
    assert finding.step == step
    assert f"it is {value} at update {step}" in finding.message


def test_momentum_in_range():
    assert findings("constant(0.1)", 10, momentum=Linear(0.9, 1.0, 10)) == {}
    assert findings("constant(0.1)", 10, momentum=Linear(0.0, 0.5, 10)) == {}


def test_a_run_that_float32_cannot_count():
    assert "float32-count" not in findings("constant(0.1)", 2**24)
    note = findings("constant(0.1)", 2**24 + 1)["float32-count"]
    assert (note.severity, note.step) == ("note", 2**24)
    assert "16,777,216" in note.message
    assert np.float32(2**24) + np.float32(1) == np.float32(2**24)  # as the note says


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("constant(0.1)", "does not meet the Robbins-Monro conditions. The value stays above 0"),
        ("linear(0.1, steps=5)", "does not meet.*falls to 0, so the sum of all values is finite"),
        (
            "inverse_sqrt(0.1, 10)",
            r"does not meet.*like t\^-0.5, so the sum of squares is infinite",
        ),
        ("inverse_time(0.1, 1)", r"the tail meets the Robbins-Monro conditions.*like t\^-1"),
        ("power(0.02, 4, b=-1.5)", r"does not meet.*like t\^-1.5, so the sum of all values is fin"),
        ("function('math:sqrt')", "it is not known whether the tail meets"),
    ],
)
def test_robbins_monro(text, words):
    (note,) = [f for f in lint(parse(text, functions=True), 10) if f.code == "robbins-monro"]
    assert note.severity == "note"
    assert re.search(words, note.message)


def test_groups_that_keep_their_ratio():
    body = Warmup(Cosine(0.01, steps=90), steps=10)
    assert lint_groups({"body": body, "head": 10 * body, "frozen": 0 * body}, 150) == ()
    assert lint_groups([body], 50) == ()
    assert lint_groups([Constant(0.0), Constant(0.0)], 50) == ()


@pytest.mark.parametrize(
    "other",
    [
        Warmup(Cosine(0.1, steps=90), steps=20),
        Warmup(Cosine(0.1, 0.001, steps=90), steps=10),
        Cosine(0.1, steps=100),
    ],
)
def test_groups_whose_ratio_breaks(other):
    body = Warmup(Cosine(0.01, steps=90), steps=10)
    (finding,) = lint_groups({"body": body, "head": other}, 150)
    assert (finding.code, finding.severity) == ("group-ratio-broken", "warning")
    assert "ratio of head to body" in finding.message
    ratios = [other(t) / body(t) for t in range(100)]
    assert finding.step == next(t for t, r in enumerate(ratios) if abs(r / ratios[0] - 1) > 1e-9)


def test_a_group_that_joins_later():
    late = parse("chain(constant(0, 80000), linear(0.1, steps=80000))")
    (finding,) = lint_groups([Linear(0.1, steps=160_000), late], 160_000)
    assert (
        finding.message == "The ratio of group 1 to group 0 is 0 at update 0 and 2 at update 80000."
    )
    (finding,) = lint_groups([late, Constant(0.1)], 160_000)
    assert (
        finding.message == "The ratio of group 1 to group 0 is not known and 0.1 to 0 at update 0."
    )


@given(schedules(), st.integers(1, 400))
def test_every_schedule_can_be_linted(schedule, steps):
    found = lint(schedule, steps, momentum=Constant(0.9))
    assert [f.code for f in found].count("robbins-monro") == 1
    order = [("error", "warning", "note").index(finding.severity) for finding in found]
    assert order == sorted(order)
    for finding in found:
        assert finding.step is None or 0 <= finding.step < steps
        assert finding.message.endswith(".")
        assert json.loads(json.dumps(finding.to_dict()))["code"] == finding.code
        assert str(finding) == f"{finding.severity}: {finding.message} [{finding.code}]"
    codes = {finding.code for finding in found}
    values = schedule.values(steps)
    assert ("zero-first-update" in codes) == (values[0] == 0.0)
    assert ("zero-updates" in codes) == bool((values[1:] == 0.0).any())
    assert not any(finding.severity == "error" for finding in found)


@given(schedules(), schedules(), st.integers(1, 200), st.floats(0.1, 10.0))
def test_groups_that_are_scaled_keep_their_ratio(schedule, other, steps, factor):
    a, b = schedule.values(steps), other.values(steps)
    assume(not any(((x > 0) & (x < 1e-200)).any() for x in (a, b)))  # products underflow
    assert lint_groups([schedule, factor * schedule], steps) == ()
    found = lint_groups([schedule, other], steps)
    if not a.any():
        assert bool(found) == bool(b.any())
        return
    assert bool(found) == bool((abs(b * a.max() - a * b[a.argmax()]) > 2e-9 * (a.max() * b)).any())


@pytest.mark.parametrize("steps", [0, -1, 2.5, True, None, "9"])
def test_a_run_has_a_whole_number_of_updates(steps):
    for ask in (lambda: lint(Constant(0.1), steps), lambda: lint_groups([Constant(0.1)], steps)):
        with pytest.raises(InputError, match="steps must be a whole number of updates, at least 1"):
            ask()


def test_wishes_cannot_be_linted():
    for ask in (
        lambda: lint(Cosine(0.1), 10),
        lambda: lint(Constant(0.1), 10, momentum=Cosine(0.1)),
        lambda: lint_groups([Constant(0.1), Cosine(0.1)], 10),
    ):
        with pytest.raises(InputError, match="resolve"):
            ask()
    with pytest.raises(InputError, match="at least one schedule"):
        lint_groups([], 10)


def test_a_million_updates_are_linted_soon():
    schedule = parse("warmup(repeat(cosine(0.1, 0.001, 1%)), steps=5%)", steps=1_000_000)
    start = process_time()
    lint(schedule, 1_000_000)
    assert process_time() - start < 2.0  # seconds; about 0.1 on one core
