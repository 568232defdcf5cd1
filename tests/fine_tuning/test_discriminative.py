"""Rates by rule: ULMFiT's factor, layer-wise decay and slices, against NumPy's own spacings."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.errors import InputError
from stepsize.fine_tuning import LayerGroup, LayerGroups, LayerRates, discriminative

rates = st.floats(1e-8, 1e3)
counts = st.integers(1, 20)
factors = st.floats(0.5, 10.0)


@given(rates, counts, factors)
def test_a_factor_divides_the_rate_at_every_step_away_from_the_head(peak, count, factor):
    """Howard & Ruder 2018, section 3.2: eta^(l-1) = eta^l / 2.6, from the last layer's rate."""
    expected = [peak]
    for _ in range(count - 1):
        expected.append(expected[-1] / factor)
    found = discriminative(peak, count, factor)
    assert list(found) == pytest.approx(expected[::-1], rel=1e-12)
    assert found[-1] == peak
    assert len(found) == count


@given(rates, counts, st.floats(0.1, 1.0))
def test_a_decay_is_what_timm_scales_layers_by(peak, count, decay):
    """timm's param_groups_layer_decay: layer_scales = decay ** (layer_max - i)."""
    scales = [decay ** (count - 1 - i) for i in range(count)]
    found = discriminative(peak, count, decay=decay)
    assert list(found) == pytest.approx([peak * scale for scale in scales], rel=1e-12)
    assert list(found) == pytest.approx(list(discriminative(peak, count, 1 / decay)), rel=1e-9)


@given(rates, rates, counts)
def test_slices_are_evenly_spaced_between_exact_ends(low, high, count):
    geometric = discriminative(slice(low, high), count)
    linear = discriminative((low, high), count, spacing="linear")
    assert geometric[-1] == linear[-1] == high
    if count > 1:
        assert geometric[0] == linear[0] == low
        np.testing.assert_allclose(geometric.rates, np.geomspace(low, high, count), rtol=1e-9)
        np.testing.assert_allclose(linear.rates, np.linspace(low, high, count), rtol=1e-9)


@given(rates, counts)
def test_a_slice_with_one_end_gives_the_body_a_tenth(high, count):
    assert discriminative(slice(high), count).rates == (high / 10,) * (count - 1) + (high,)


@given(rates, counts)
def test_a_factor_of_one_is_one_rate_for_all(peak, count):
    assert set(discriminative(peak, count, 1)) == {peak}


@given(rates, counts, factors, st.floats(1e-3, 1e3))
def test_ratios_outlive_the_level(peak, count, factor, by):
    found = discriminative(peak, count, factor)
    assert found.times(by).ratios == pytest.approx(found.ratios, rel=1e-12)
    assert max(found.ratios) == 1.0
    assert found.times(by).peak == pytest.approx(found.peak * by, rel=1e-12)
    assert LayerRates.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_groups_by_value_by_name_and_by_number_are_the_same():
    groups = LayerGroups(tuple(LayerGroup(n, (n,), (f"{n}.w",), 1, 1) for n in ("body", "head")))
    by_value = discriminative(0.1, groups, 2)
    assert by_value == discriminative(0.1, ["body", "head"], 2)
    assert by_value.rates == discriminative(0.1, 2, 2).rates
    assert by_value.names == ("body", "head")


@pytest.mark.parametrize(
    ("arguments", "options", "what"),
    [
        ((0.1, 3), {}, "factor=None"),
        ((0.1, 3, 2), {"decay": 0.5}, "one of them only"),
        ((0.0, 3, 2), {}, "0.0"),
        ((-1.0, 3, 2), {}, "-1.0"),
        ((math.nan, 3, 2), {}, "nan"),
        ((True, 3, 2), {}, "True"),
        (("0.1", 3, 2), {}, "'0.1'"),
        ((0.1, 3, 0), {}, "factor"),
        ((0.1, 3), {"decay": -0.5}, "decay"),
        ((0.1, 3, math.inf), {}, "inf"),
        ((0.1, 400, 10), {}, "floating-point"),
        ((0.1, 400, 0.1), {}, "floating-point"),
        ((0.1, 3, 2), {"spacing": "linear"}, "two rates"),
        ((slice(0.1, 1), 3, 2), {}, "leave factor"),
        ((slice(0.1, 1, 2), 3), {}, "slice"),
        ((slice(None), 3), {}, "slice"),
        ((slice(0, 1), 3), {}, "first group"),
        (((0.1, 0.2, 0.3), 3), {}, "two|Two"),
        ((slice(0.1, 1), 0), {}, "0"),
        ((slice(0.1, 1), "abc"), {}, "abc"),
        ((slice(0.1, 1), []), {}, "groups"),
        ((slice(0.1, 1), 3), {"spacing": "quadratic"}, "quadratic"),
    ],
)
def test_what_says_no_rates(arguments, options, what):
    with pytest.raises(InputError, match=what):
        discriminative(*arguments, **options)


@pytest.mark.parametrize(
    "given_rates", [(), (0.1,), (0.1, -0.1), (0.0, 0.0), (0.1, math.inf), (0.1, "0.1")]
)
def test_what_are_no_rates(given_rates):
    with pytest.raises(InputError, match="rate"):
        LayerRates(("a", "b"), given_rates)
