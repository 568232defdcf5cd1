"""What a user may choose about a comparison."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, final

from stepsize.comparison.intervals import LEAST_SEEDS_OF_BOOTSTRAP
from stepsize.errors import InputError, did_you_mean, require

#: Names of metrics of which more is better; of all others less is.
_HIGHER = re.compile(
    r"(^|_)(accuracy|acc|auc|auroc|f1|precision|recall|iou|dice|bleu|rouge|r2|score|top\d*)(_|$)"
)


@final
@dataclass(frozen=True)
class CompareOptions:
    """How arms are compared; every field has a default.

    Attributes:
        epochs: passes through the training batches, the same for every run.
        seeds: each decides initial weights and batch order; every arm is trained with each.
        metric: what the ranking is by: ``val_loss`` or ``val_<name>`` of the task's metrics.
        higher: whether more of it is better; None reads that from its name.
        at: judge each run by its end (``final``) or by its best epoch (``best``).
        interval: of the paired differences: ``t``, or ``bootstrap`` (five seeds or more).
        rate_factors: try every arm's rates times each of these before the comparison, each arm
            with the same effort, and go on with the best; empty leaves the rates as they are.
        tuning_seeds: the seeds of those trials; None takes the first whole number beyond ``seeds``.
        any_length: accept schedules that end before or after the run.
        test: read the task's test set once, for the chosen arm, when the choice is made.
        name: a title.

    Raises:
        InputError: a choice that makes no sense.

    >>> CompareOptions(epochs=20).seeds, CompareOptions(epochs=1, seeds=7).seeds
    ((0, 1, 2), (7,))
    """

    epochs: int
    seeds: tuple[int, ...] = (0, 1, 2)
    metric: str = "val_loss"
    higher: bool | None = None
    at: str = "final"
    interval: str = "t"
    rate_factors: tuple[float, ...] = ()
    tuning_seeds: tuple[int, ...] | None = None
    any_length: bool = False
    test: bool = True
    name: str = ""

    def __post_init__(self) -> None:
        epochs: Any = self.epochs
        require(
            isinstance(epochs, int) and not isinstance(epochs, bool) and epochs >= 1,
            f"epochs must be a whole number of at least 1, got {epochs!r}.",
        )
        object.__setattr__(self, "seeds", seeds_of(self.seeds))
        require(self.at in ("final", "best"), f"at is 'final' or 'best', got {self.at!r}.")
        require(
            self.interval in ("t", "bootstrap"),
            f"interval is 't' or 'bootstrap', got {self.interval!r}.",
        )
        require(
            self.interval == "t" or len(self.seeds) >= LEAST_SEEDS_OF_BOOTSTRAP,
            f"A bootstrap of {len(self.seeds)} seeds would pretend a precision that is not there. "
            f"Give {LEAST_SEEDS_OF_BOOTSTRAP} or more, or take the t interval.",
        )
        if self.higher is None:
            object.__setattr__(self, "higher", bool(_HIGHER.search(self.metric.lower())))
        self._check_tuning()

    def _check_tuning(self) -> None:
        factors: Any = self.rate_factors
        numbers = [f for f in factors if isinstance(f, (int, float)) and 0 < f < float("inf")]
        require(
            len(numbers) == len(factors) == len(set(factors)),
            f"rate_factors are different positive numbers, such as 0.3,1,3; got {factors!r}.",
        )
        object.__setattr__(self, "rate_factors", tuple(sorted(map(float, factors))))
        own = self.tuning_seeds
        seeds = (max(self.seeds) + 1,) if own is None else seeds_of(own)
        if shared := set(seeds) & set(self.seeds):
            raise InputError(
                f"tuning_seeds must not be seeds of the comparison, or the rates are chosen on "
                f"what judges them; both have {sorted(shared)}."
            )
        object.__setattr__(self, "tuning_seeds", seeds)

    def need_metric(self, known: Iterable[str]) -> None:
        """Raise InputError unless the task reports the metric."""
        names = list(known)
        require(
            self.metric in names,
            f"The task has no metric {self.metric!r:.80}; it has {', '.join(names)}."
            f"{did_you_mean(self.metric, names)}",
        )


def seeds_of(given: Any) -> tuple[int, ...]:
    """One seed or several as a tuple.

    Raises:
        InputError: none, one twice, or something that is no whole number of at least 0.

    >>> seeds_of(range(2))
    (0, 1)
    """
    seeds = (given,) if isinstance(given, int) else tuple(given)
    whole = all(isinstance(s, int) and not isinstance(s, bool) and s >= 0 for s in seeds)
    require(
        bool(seeds) and whole and len(set(seeds)) == len(seeds),
        f"seeds are different whole numbers of at least 0, such as 0,1,2; got {given!r}.",
    )
    return seeds
