import random

import pytest
from probes import Function, Quadratic, sigmoid_fall

from stepsize import (
    Curve,
    FindOptions,
    Geometric,
    InputError,
    Linear,
    RateAbove,
    Rise,
    Suggestion,
)
from stepsize.finder import find, read, refine


def noisy_probe(repeat, loss=sigmoid_fall, sigma=0.02):
    draw = random.Random(repeat)
    return Function(lambda lr: loss(lr) + draw.gauss(0.0, sigma))


def test_one_slow_sweep_is_the_default():
    result = find(noisy_probe)
    assert result.verdict == "ok"
    assert len(result.repeats) == 1
    assert result.settings["ladder"] == repr(Geometric(1e-6, 10.0, 300))


def test_repeats_are_pooled_and_their_cost_is_told():
    result = find(noisy_probe, FindOptions(repeats=3))
    assert result.verdict == "ok"
    assert len(result.repeats) == 3
    assert result.updates == sum(len(curve) for curve in result.repeats)
    assert result.curve.loss[0] == pytest.approx(sum(curve.loss[0] for curve in result.repeats) / 3)
    low, high = result.interval
    assert low < result.lr < high
    assert result.settings["seed"] == 0


def test_the_same_call_gives_the_same_answer():
    assert find(noisy_probe) == find(noisy_probe)


def test_identical_repeats_count_once_and_a_note_says_so():
    result = find(lambda repeat: Function(sigmoid_fall), FindOptions(repeats=3))
    assert len(result.repeats) == 1
    assert result.notes


def test_a_ladder_that_starts_too_high_is_lowered():
    result = find(noisy_probe, FindOptions(ladder=Geometric(2.0, 1e4)))
    assert result.verdict == "ok"
    assert result.curve.lr[0] < 0.01
    assert result.lr < 0.5
    assert result.notes


def test_a_ladder_that_stops_too_low_is_extended():
    result = find(noisy_probe, FindOptions(ladder=Geometric(1e-6, 3e-3)))
    assert result.verdict == "ok"
    assert result.lr > 3e-3


def test_neither_happens_when_it_is_forbidden():
    high = find(noisy_probe, FindOptions(ladder=Geometric(2.0, 1e4), extend_decades=0.0))
    assert high.verdict == "diverged_at_start"
    low = find(noisy_probe, FindOptions(ladder=Geometric(1e-6, 3e-3), extend_decades=0.0))
    assert low.verdict == "still_falling"
    assert low.lr is low.interval is low.clr is None


def test_a_second_finer_pass_lies_around_the_first_answer_and_costs_updates():
    first = find(noisy_probe)
    both = find(noisy_probe, FindOptions(refine=True))
    assert both.verdict == "ok"
    assert first.lr / 100 < both.curve.lr[0] <= first.lr / 10
    assert both.updates > first.updates
    spacing = [curve.lr[1] / curve.lr[0] for curve in (first.curve, both.curve)]
    assert spacing[1] < spacing[0] ** 0.6


def test_the_refined_ladder_reaches_the_divergence():
    answer = Suggestion("ok", "", lr=0.1)
    assert refine(answer, Curve((0.01, 5.0), (1.0, 2.0))).stop == 5.0


def test_time_that_is_up_ends_the_repeats_and_a_note_says_so():
    now = iter(range(10**6))
    options = FindOptions(repeats=3, max_seconds=400.0, clock=lambda: next(now))
    result = find(noisy_probe, options)
    assert len(result.repeats) == 1
    assert result.notes


def test_repeats_under_a_held_out_objective_join_however_far_each_went():
    class Falling(Quadratic):
        def __init__(self, repeat):
            super().__init__()
            self.repeat, self.n = repeat, 0

        def step(self, lr):
            self.n += 1
            return super().step(lr * 0)

        def held_out_loss(self):
            return -self.n if self.repeat == 0 or self.n <= 50 else -50 + 10 * (self.n - 50)

    ladder = Geometric(1e-6, 1.0, rates=101)
    options = FindOptions.of(ladder, "never", held_out_every=5, repeats=2)
    result = find(Falling, options)
    assert len(result.repeats[0]) != len(result.repeats[1])
    assert len(result.curve) == min(map(len, result.repeats))


def test_the_updates_of_equal_start_are_all_counted():
    result = find(lambda repeat: Quadratic(), FindOptions(equal_start=True, repeats=1))
    assert result.updates == 2 * len(result.curve)


def test_every_other_rule_speaks_too():
    assert {"steepest", "valley", "slide", "minimum_over_ten", "torch_lr_finder", "ignite",
            "lightning"} == set(find(noisy_probe).rules)  # fmt: skip


def test_options_are_read_from_what_users_write():
    options = FindOptions.of([0.1, 0.2], ["rise", RateAbove(1.0)], repeats=2)
    assert options.stop == (Rise(), RateAbove(1.0))
    assert FindOptions.of(stop="never").stop == ()
    assert FindOptions.of(Linear(0.1, 1.0)).ladder == Linear(0.1, 1.0)


@pytest.mark.parametrize(
    "options",
    [
        {"repeats": 0},
        {"seed": -1},
        {"stop": "sometimes"},
        {"stop": 4},
        {"stop": [3]},
        {"stop": "0.5x-best"},
        {"ladder": [0.2, 0.1]},
    ],
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(InputError):
        FindOptions.of(**options)


def test_measured_curves_can_be_read_again():
    result = find(noisy_probe)
    again = read(result.repeats, FindOptions())
    assert again.suggestion == result.suggestion
    assert again.curve == result.curve


def test_the_second_pass_keeps_the_updates_per_rate_and_the_record_names_its_ladder():
    ladder = Geometric(1e-5, 10.0, rates=40, updates_per_rate=5)
    result = find(noisy_probe, FindOptions(ladder=ladder, refine=True))
    assert set(result.curve.updates) == {5}
    coarse = find(noisy_probe, FindOptions(ladder=ladder))
    assert result.settings["ladder"] == repr(refine(coarse.suggestion, coarse.curve, 5))


def test_a_loss_that_is_nan_at_once_is_not_searched_for_below():
    result = find(lambda repeat: Function(lambda lr: float("nan")))
    assert result.verdict == "diverged_at_start"
    assert result.curve.lr[0] == 1e-6
