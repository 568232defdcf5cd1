"""What a user may choose about a comparison."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, final

from stepsize.comparison.intervals import LEAST_SEEDS_OF_BOOTSTRAP
from stepsize.errors import InputError, did_you_mean, require

#: Words in the names of metrics of which less is better; they decide before those of the others.
_LOWER = re.compile(
    r"(^|_)(loss|error|err|rmse|mse|mae|mape|perplexity|ppl|nll|bpb|bpc|wer|cer|eer|fid|distance)"
    r"(_|$)"
)
#: And of which more is better.
_HIGHER = re.compile(
    r"(^|_)(accuracy|acc|auc|auroc|f1|precision|recall|iou|miou|dice|bleu|rouge|r2|score|top\d*|"
    r"mcc|psnr|ssim|ap|map|kappa|correct)(_|$)"
)


@final
@dataclass(frozen=True)
class CompareOptions:
    """How arms are compared; every field has a default.

    Attributes:
        epochs: passes through the training batches, the same for every run.
        seeds: each decides initial weights and batch order; every arm is trained with each.
        metric: what the ranking is by: ``val_loss`` or ``val_<name>`` of the task's metrics.
        higher: whether more of it is better; None reads that from its name, if it tells.
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
            object.__setattr__(self, "higher", _higher(self.metric))
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
        """Raise InputError unless the task reports the metric, and it is known what is better."""
        names = list(known)
        require(
            self.metric in names,
            f"The task has no metric {self.metric!r:.80}; it has {', '.join(names)}."
            f"{did_you_mean(self.metric, names)}",
        )
        require(
            self.higher is not None,
            f"Is more of {self.metric!r:.80} better, or less? Its name does not tell: say "
            "higher=True or higher=False, --higher or --lower.",
        )


def _higher(metric: str) -> bool | None:
    """Whether more of a metric is better, by its name; None where that does not tell."""
    lower, higher = (words.search(metric.lower()) for words in (_LOWER, _HIGHER))
    return not lower if lower or higher else None


def seeds_of(given: Any) -> tuple[int, ...]:
    """One seed or several as a tuple.

    Raises:
        InputError: none, one twice, or something that is no whole number of at least 0.

    >>> seeds_of(range(2))
    (0, 1)
    """
    try:
        several = tuple(given) if isinstance(given, Iterable) else (given,)
        seeds = tuple(map(operator.index, several))  # NumPy's integers are welcome, 1.0 is not
    except TypeError:
        seeds = ()
    require(
        bool(seeds) and all(0 <= s < 2**63 for s in seeds) and len(set(seeds)) == len(seeds),
        f"seeds are different whole numbers below 2**63, such as 0,1,2; got {given!r:.200}.",
    )
    return seeds
