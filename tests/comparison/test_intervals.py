import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stepsize.comparison.intervals import (
    LEAST_SEEDS_OF_BOOTSTRAP,
    mean_interval,
    paired_interval,
    paired_p,
)
from stepsize.errors import InputError

values = st.floats(-1e3, 1e3).map(lambda value: round(value, 4))
samples = st.lists(values, min_size=2, max_size=7)
methods = st.sampled_from(["t", "bootstrap"])


def spread(sample):
    return max(sample) - min(sample)


@given(samples)
def test_intervals_and_p_values_are_those_of_scipy(sample):
    stats = pytest.importorskip("scipy.stats", reason="needs scipy")
    assume(spread(sample) > 1e-3)
    reference = stats.ttest_1samp(sample, 0.0)
    low, high = reference.confidence_interval(0.95)
    assert mean_interval(sample) == pytest.approx((low, high), rel=1e-9, abs=1e-9)
    assert paired_interval(sample) == mean_interval(sample)
    assert paired_p(sample) == pytest.approx(reference.pvalue, rel=1e-9)


def test_the_paired_test_is_that_of_scipy():
    stats = pytest.importorskip("scipy.stats", reason="needs scipy")
    a, b = [0.31, 0.35, 0.29, 0.40], [0.30, 0.33, 0.29, 0.36]
    differences = [x - y for x, y in zip(a, b, strict=True)]
    assert paired_p(differences) == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-9)


@pytest.mark.parametrize("seeds", [6, 7, 12])
def test_the_bootstrap_is_scipys_percentile_at_the_expanded_level(seeds):
    """Hesterberg (2015): the normal tail beyond sqrt(n / (n - 1)) times Student's quantile."""
    stats = pytest.importorskip("scipy.stats", reason="needs scipy")
    import numpy as np

    sample = [math.exp(0.3 * i) - 1.5 for i in range(seeds)]
    reach = stats.t.ppf(0.975, seeds - 1) * math.sqrt(seeds / (seeds - 1))
    reference = stats.bootstrap(
        (np.array(sample),),
        np.mean,
        confidence_level=1.0 - 2.0 * stats.norm.sf(reach),
        n_resamples=100_000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    tolerance = 0.03 * spread(sample)
    assert paired_interval(sample, "bootstrap") == pytest.approx(tuple(reference), abs=tolerance)


@given(samples, methods, st.floats(-100, 100), st.sampled_from([0.25, 2.0, 1024.0]))
def test_intervals_shift_and_scale_with_the_values(sample, method, shift, scale):
    assume(spread(sample) > 1.0)
    plain = paired_interval(sample, method)
    moved = paired_interval([scale * value + shift for value in sample], method)
    if plain is None:
        assert moved is None
    else:
        low, high = plain
        expected = (scale * low + shift, scale * high + shift)
        assert moved == pytest.approx(expected, rel=1e-6, abs=1e-6 * scale)


@given(st.data(), st.lists(values, min_size=2, max_size=5), methods)
def test_the_order_of_the_seeds_changes_nothing(data, sample, method):
    other = data.draw(st.permutations(sample))
    assert paired_interval(other, method) == paired_interval(sample, method)
    assert paired_p(other) == paired_p(sample)


@given(samples)
def test_turning_all_signs_turns_the_interval(sample):
    turned = [-value for value in sample]
    assert paired_p(turned) == paired_p(sample)
    interval = paired_interval(sample)
    if interval is not None:
        assert paired_interval(turned) == (-interval[1], -interval[0])


@given(samples)
def test_the_interval_holds_zero_exactly_if_the_test_does_not_reject(sample):
    interval, p = paired_interval(sample), paired_p(sample)
    assume(interval is not None and abs(p - 0.05) > 1e-9)
    assert (interval[0] <= 0.0 <= interval[1]) == (p > 0.05)


@given(st.lists(values, min_size=5, max_size=6))
def test_a_bootstrap_stays_within_the_values_and_around_their_mean(sample):
    interval = paired_interval(sample, "bootstrap")
    assume(interval is not None)
    low, high = interval
    assert min(sample) - 1e-9 <= low <= sum(sample) / len(sample) + 1e-9
    assert sum(sample) / len(sample) - 1e-9 <= high <= max(sample) + 1e-9


def test_a_drawn_bootstrap_is_decided_by_its_seed_and_not_by_the_order():
    sample = [0.1, 0.4, 0.2, 0.35, 0.15, 0.3, 0.22, 0.5, 0.05]
    one = paired_interval(sample, "bootstrap")
    assert one == paired_interval(sample[::-1], "bootstrap", seed=0)
    assert one != paired_interval(sample, "bootstrap", seed=1)


def test_a_higher_level_is_wider():
    sample = [0.1, 0.4, 0.2, 0.35, 0.15, 0.3, 0.22]
    for method in ("t", "bootstrap"):
        narrow, wide = (paired_interval(sample, method, level) for level in (0.8, 0.95))
        assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_few_seeds_have_no_bootstrap():
    """Where the smallest resample has more than the share of an end, no end can be found."""
    sample = [0.1, 0.4, 0.2, 0.35, 0.15, 0.3]
    for seeds in range(2, 7):
        known = paired_interval(sample[:seeds], "bootstrap") is not None
        assert known == (seeds >= LEAST_SEEDS_OF_BOOTSTRAP)
    assert paired_interval(sample[:5], "bootstrap", level=0.999) is None


@pytest.mark.parametrize("sample", [[], [0.3], [0.3, 0.3, 0.3], [0.4 - 0.1, 0.5 - 0.2, 0.3]])
def test_values_without_visible_noise_have_no_interval(sample):
    assert mean_interval(sample) is None
    assert paired_interval(sample, "bootstrap") is None


def test_equal_differences_count_as_signs():
    assert paired_p([]) is paired_p([0.2]) is None
    assert paired_p([0.2, 0.2]) == 0.5
    assert paired_p([-0.2] * 5) == 2 / 2**5  # all five of one sign, two-sided
    assert paired_p([0.4 - 0.1, 0.5 - 0.2, 0.3]) == 0.25  # equal but for rounding
    assert paired_p([0.0] * 5) == 1.0


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: paired_interval([0.1, 0.2], "bca"),
        lambda: mean_interval([0.1, 0.2], level=95),
        lambda: mean_interval([0.1, math.inf]),
        lambda: paired_p([0.1, math.nan]),
    ],
)
def test_what_cannot_be_used_is_said(wrong):
    with pytest.raises(InputError):
        wrong()
