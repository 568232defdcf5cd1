"""A rate for each layer group by rule: constant factors, slices between two rates, layer decay."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from stepsize.errors import InputError, require
from stepsize.fine_tuning.layer_groups import LayerGroups

SPACINGS = ("geometric", "linear")


@final
@dataclass(frozen=True, slots=True)
class LayerRates:
    """One learning rate per layer group, the first nearest the input.

    Attributes:
        names: the groups' names.
        rates: as many rates, finite and not negative, not all zero.
        rule: where they come from, in words.

    Raises:
        InputError: other rates, or another number of them.

    >>> rates = LayerRates(("body", "head"), (0.01, 0.1), "by hand")
    >>> rates.peak, rates.ratios, list(rates.times(0.5))
    (0.1, (0.09999999999999999, 1.0), [0.005, 0.05])
    """

    names: tuple[str, ...]
    rates: tuple[float, ...]
    rule: str = ""

    def __post_init__(self) -> None:
        require(
            len(self.names) == len(self.rates) > 0,
            f"There must be one rate per layer group: got {len(self.rates)} rates for "
            f"{len(self.names)} groups.",
        )
        for name, rate in zip(self.names, self.rates, strict=True):
            if not _is_number(rate) or not 0 <= rate < math.inf:
                raise InputError(
                    f"The rate of the layer group {name!r} must be finite and not negative, got "
                    f"{rate!r}."
                )
        object.__setattr__(self, "rates", tuple(float(rate) for rate in self.rates))
        require(max(self.rates) > 0, "All rates of the layer groups are 0: nothing would learn.")

    def __len__(self) -> int:
        return len(self.rates)

    def __iter__(self) -> Iterator[float]:
        return iter(self.rates)

    def __getitem__(self, index: int) -> float:
        return self.rates[index]

    @property
    def peak(self) -> float:
        """The largest of the rates."""
        return max(self.rates)

    @property
    def ratios(self) -> tuple[float, ...]:
        """Each group's rate as a share of the largest."""
        return tuple(rate / self.peak for rate in self.rates)

    def times(self, factor: float) -> LayerRates:
        """All the rates times ``factor``; the ratios stay."""
        return LayerRates(self.names, tuple(rate * factor for rate in self.rates), self.rule)

    def to_dict(self) -> dict[str, Any]:
        """The rates as JSON data."""
        return {"names": list(self.names), "rates": list(self.rates), "rule": self.rule}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LayerRates:
        """The rates that :meth:`to_dict` wrote."""
        return cls(tuple(data["names"]), tuple(data["rates"]), data["rule"])


def discriminative(
    peak: float | slice | tuple[float, float],
    groups: LayerGroups | Sequence[str] | int,
    factor: float | None = None,
    *,
    decay: float | None = None,
    spacing: str = "geometric",
) -> LayerRates:
    """A rate for each of ``n`` layer groups, the last of which is the head.

    ========================  ==================================================================
    ``peak, factor=f``        ``peak / f ** (n - 1 - i)``: ULMFiT has 2.6, folklore 3 to 10
    ``peak, decay=d``         ``peak * d ** (n - 1 - i)``: layer-wise decay, 0.65 to 0.95
    ``slice(low, high)``      from ``low`` to ``high`` at equal ratios, or equal differences with
    ``(low, high)``           ``spacing="linear"``; a single group gets ``high``
    ``slice(high)``           ``high`` for the head, a tenth of it for all others (fastai)
    ========================  ==================================================================

    A factor below 1, a decay above 1 and a ``low`` above ``high`` give earlier groups the higher
    rates. Which of these is right for a model and a data set can be measured:
    ``stepsize.transfer.find_rates``.

    Args:
        peak: the head's rate, or both ends.
        groups: the groups, their names, or how many there are.
        factor: between neighbouring groups; 1 for one rate for all.
        decay: the same the other way round: ``1 / factor``.
        spacing: ``"geometric"`` or ``"linear"``, between two ends.

    Raises:
        InputError: a rate or factor that is not positive and finite, no group, a single rate
            without a factor, both ends with one, a rate too small for a float.

    Source: Howard & Ruder 2018, "Universal Language Model Fine-tuning for Text Classification",
    section 3.2 (factor); Clark et al. 2020, "ELECTRA", appendix A (decay); fastai's ``lr`` slices.

    >>> [round(rate, 6) for rate in discriminative(0.01, 3, 2.6)]
    [0.001479, 0.003846, 0.01]
    >>> [round(rate, 6) for rate in discriminative(slice(1e-4, 1e-2), 3)]
    [0.0001, 0.001, 0.01]
    >>> discriminative(slice(0.01), ["stem", "body", "head"]).rates
    (0.001, 0.001, 0.01)
    """
    names = _names(groups)
    require(spacing in SPACINGS, f"spacing is one of {', '.join(SPACINGS)}, got {spacing!r}.")
    low, high = _ends(peak)
    if low is None and not isinstance(peak, slice):
        require(
            spacing == "geometric",
            "Linear spacing goes between two rates: give slice(low, high) instead of one rate.",
        )
        return _by_factor(high, names, factor, decay)
    require(
        factor is None and decay is None,
        "A slice says all the rates: leave factor and decay out, or give the head's rate alone.",
    )
    if low is None:
        rule = f"head {high:g}, the others a tenth of it"
        return LayerRates(names, (*(high / 10 for _ in names[1:]), high), rule)
    rule = f"{spacing} from {low:g} to {high:g}"
    return LayerRates(names, _between(low, high, len(names), spacing), rule)


def _by_factor(
    high: float, names: tuple[str, ...], factor: float | None, decay: float | None
) -> LayerRates:
    if (factor is None) == (decay is None):
        raise InputError(
            f"Rates for {len(names)} layer groups from the head's rate {high:g} need a factor or a "
            f"decay between neighbours, and one of them only: got factor={factor!r}, "
            f"decay={decay!r}. factor=2.6 is ULMFiT's, factor=1 gives all the same rate; or give "
            "both ends: slice(low, high)."
        )
    name, value = ("factor", factor) if factor is not None else ("decay", decay)
    step = _positive(value, name)
    distances = [len(names) - 1 - index for index in range(len(names))]
    try:
        powers = [step**distance for distance in distances]
        rates = [high / power if factor is not None else high * power for power in powers]
    except (OverflowError, ZeroDivisionError):
        rates = [0.0]
    if not all(0 < rate < math.inf for rate in rates):
        raise InputError(
            f"{name}={step:g} between {len(names)} layer groups leaves the range of floating-point "
            "numbers: take one nearer to 1, or fewer groups (LayerGroups.merged)."
        )
    return LayerRates(names, tuple(rates), f"{name} {step:g}")


def _between(low: float, high: float, count: int, spacing: str) -> tuple[float, ...]:
    """``count`` rates whose ends are exactly ``low`` and ``high``."""
    if count == 1:
        return (high,)
    shares = [index / (count - 1) for index in range(1, count - 1)]
    if spacing == "linear":
        middle = [low + (high - low) * share for share in shares]
    else:
        logs = math.log(low), math.log(high)
        middle = [math.exp(logs[0] + (logs[1] - logs[0]) * share) for share in shares]
    return (low, *middle, high)


def _ends(peak: Any) -> tuple[float | None, float]:
    """The rates of the first group, if it is said, and of the head."""
    if isinstance(peak, slice):
        require(
            peak.step is None and peak.stop is not None,
            f"Rates are slice(low, high) or slice(high), got {peak!r}.",
        )
        low = None if peak.start is None else _positive(peak.start, "The first group's rate")
        return low, _positive(peak.stop, "The head's rate")
    if isinstance(peak, (tuple, list)):
        require(len(peak) == 2, f"Two rates are (low, high), got {peak!r}.")
        return _positive(peak[0], "The first group's rate"), _positive(peak[1], "The head's rate")
    return None, _positive(peak, "The head's rate")


def _names(groups: Any) -> tuple[str, ...]:
    if isinstance(groups, LayerGroups):
        return groups.names
    if isinstance(groups, int) and not isinstance(groups, bool):
        require(groups >= 1, f"There must be at least one layer group, got {groups!r}.")
        return tuple(f"group {index + 1}" for index in range(groups))
    named = isinstance(groups, Sequence) and not isinstance(groups, str)
    if not named or not groups or not all(isinstance(name, str) for name in groups):
        raise InputError(
            f"groups are LayerGroups, their names or how many there are, got {groups!r}."
        )
    return tuple(groups)


def _positive(value: Any, name: str) -> float:
    if not _is_number(value) or not 0 < value < math.inf:
        raise InputError(f"{name} must be a positive finite number, got {value!r}.")
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
