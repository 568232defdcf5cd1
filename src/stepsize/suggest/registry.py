"""All rules by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stepsize.records import Curve
from stepsize.suggest.nine_tenths import nine_tenths
from stepsize.suggest.peers import (
    ignite,
    lightning,
    minimum_over_ten,
    slide,
    torch_lr_finder,
    valley,
)
from stepsize.suggest.steepest import steepest

#: A rule reads one curve into a rate, or None where it has no answer.
Rule = Callable[[Curve], float | None]


def _nine_tenths(curve: Curve) -> float | None:
    return nine_tenths([curve]).lr


#: Every rule by name; ``nine_tenths`` is the default and the only one that abstains on purpose.
RULES: Mapping[str, Rule] = {
    "nine_tenths": _nine_tenths,
    "steepest": steepest,
    "torch_lr_finder": torch_lr_finder,
    "ignite": ignite,
    "lightning": lightning,
    "valley": valley,
    "slide": slide,
    "minimum_over_ten": minimum_over_ten,
}


def every_rule(curve: Curve) -> dict[str, float | None]:
    """What each other rule says of ``curve``, by name; None where it has no answer.

    >>> sorted(every_rule(Curve((0.1, 0.2), (2.0, 1.0)))) == sorted(set(RULES) - {"nine_tenths"})
    True
    """
    return {name: rule(curve) for name, rule in RULES.items() if name != "nine_tenths"}
