"""What was decided when a phase of a transfer plan began: its rates, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from stepsize.errors import require
from stepsize.fine_tuning.layer_tests import LayerRangeTests
from stepsize.records import FindResult, Recommendation


@final
@dataclass(frozen=True, slots=True)
class PhaseDecision:
    """One phase of one run, with everything in it that a plan leaves open.

    Layer group ``i`` is trained at ``ratios[i] * schedule(t)``, ``t`` counted in updates from the
    phase's beginning, in the epochs in which it is trained.

    Attributes:
        phase: its name.
        first_epoch: epochs done before it.
        epochs: its length.
        trainable: for each of its epochs, how many of the last groups are trained.
        peak: the rate that the schedule was given, that of the groups whose ratio is 1.
        ratios: each layer group's rate as a fraction of the peak, as they were used; of those that
            the phase trains the largest is 1. Where the task gave parameters of one layer group
            different rates it is the largest of them.
        schedule: its text, resolved to whole updates.
        lr_from: where the peak and the ratios come from, in words.
        find: the range test that was made, curves thinned; or None.
        layer_tests: the range tests of the layer groups, curves thinned; or None.
        recommendation: of the race that was made, or None.
        precomputed: facts of the activations that it was trained on, or, under ``"refused"``, why
            it was not; None where the plan did not ask for them.
        search_updates: updates spent on deciding, evaluations of a race included.
        search_seconds: time spent on deciding, left out of comparisons.

    Raises:
        InputError: epochs or ratios that do not go together.

    >>> decision = PhaseDecision("head", 0, 2, (1, 1), 0.1, (1.0, 1.0), "cosine(0.1, steps=80)",
    ...     "given")
    >>> decision.rates, PhaseDecision.from_dict(decision.to_dict()) == decision
    ((0.1, 0.1), True)
    """

    phase: str
    first_epoch: int
    epochs: int
    trainable: tuple[int, ...]
    peak: float
    ratios: tuple[float, ...]
    schedule: str
    lr_from: str
    find: FindResult | None = None
    layer_tests: LayerRangeTests | None = None
    recommendation: Recommendation | None = None
    precomputed: Mapping[str, Any] | None = None
    search_updates: int = 0
    search_seconds: float = field(default=0.0, compare=False)

    def __post_init__(self) -> None:
        require(
            len(self.trainable) == self.epochs,
            f"The phase {self.phase!r} has {self.epochs} epochs, and {len(self.trainable)} of them "
            "are said to train something.",
        )
        require(
            bool(self.ratios) and all(0 < n <= len(self.ratios) for n in self.trainable),
            f"The phase {self.phase!r} trains {self.trainable} of {len(self.ratios)} groups.",
        )

    @property
    def rates(self) -> tuple[float, ...]:
        """The rate of each layer group where the schedule is at its peak."""
        return tuple(ratio * self.peak for ratio in self.ratios)

    def to_dict(self) -> dict[str, Any]:
        """The decision as JSON data."""
        return {
            "phase": self.phase,
            "first_epoch": self.first_epoch,
            "epochs": self.epochs,
            "trainable": list(self.trainable),
            "peak": self.peak,
            "ratios": list(self.ratios),
            "schedule": self.schedule,
            "lr_from": self.lr_from,
            "find": None if self.find is None else self.find.to_dict(),
            "layer_tests": None if self.layer_tests is None else self.layer_tests.to_dict(),
            "recommendation": (
                None if self.recommendation is None else self.recommendation.to_dict()
            ),
            "precomputed": None if self.precomputed is None else dict(self.precomputed),
            "search_updates": self.search_updates,
            "search_seconds": self.search_seconds,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PhaseDecision:
        """The decision that :meth:`to_dict` wrote."""
        known = dict(data)
        known["trainable"] = tuple(data["trainable"])
        known["ratios"] = tuple(data["ratios"])
        for name, kind in _TESTS.items():
            if known[name] is not None:
                known[name] = kind.from_dict(known[name])
        return cls(**known)


_TESTS: Mapping[str, Any] = {
    "find": FindResult,
    "layer_tests": LayerRangeTests,
    "recommendation": Recommendation,
}


def rates_from(decisions: Sequence[PhaseDecision]) -> str:
    """Where the rates of a run come from, in a few words.

    >>> rates_from([PhaseDecision("all", 0, 1, (1,), 0.1, (1.0,), "constant(0.1)", "given")])
    'given'
    """
    kinds = {
        "range tests": any(each.find is not None for each in decisions),
        "range tests of layer groups": any(each.layer_tests is not None for each in decisions),
        "a race": any(each.recommendation is not None for each in decisions),
    }
    return ", ".join(kind for kind, made in kinds.items() if made) or "given"
