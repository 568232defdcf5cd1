"""Whether anything was learned at all: the reasons to give no answer."""

from __future__ import annotations

import math

from stepsize.records import Reading
from stepsize.tuner.decision import Decision
from stepsize.tuner.rates import PER_DECADE
from stepsize.tuner.seen import Seen

#: The training loss must have fallen by this many of its standard errors, or the validation loss,
#: twice on end, by the second number of them.
SIGNIFICANT, SIGNIFICANT_TWICE = 4.0, 6.0


def abstention(seen: Seen, decision: Decision | None, interrupted: bool) -> tuple[str, str] | None:
    """Verdict and reason, or None where there is an answer."""
    if math.isinf(seen.start):
        return "diverged", (
            "The validation loss is not finite before the first update: check the data and the "
            "model."
        )
    if not seen.level:
        why = "It was interrupted" if interrupted else "The budget was spent"
        return "too_short", f"{why} before any rate was tried."
    if interrupted and all(rung == 0 for _, rung in seen.level):
        return "too_short", "It was interrupted before it had told the rates apart roughly."
    best = min((loss for loss in seen.level.values() if math.isfinite(loss)), default=math.inf)
    if (
        decision is not None
        and best < seen.start
        and (_training_loss_fell(seen) or _validation_loss_fell(seen))
    ):
        return None
    if decision is None:
        steps = {step for step, _ in seen.level}
        return "diverged", (
            f"Of {len(steps)} rates none was left below those that diverged, down to "
            f"{min(steps) / PER_DECADE:+.0f} decades from where the search began. Check the loss "
            "before the first update, or give a lower rate to begin around (around=..., --around)."
        )
    return "flat", (
        "At no rate did the validation loss fall and the training loss by more than its noise. "
        "Check that the model can learn (labels, loss, frozen layers), or train for longer."
    )


def _training_loss_fell(seen: Seen) -> bool:
    """Whether some arm is below the one that moved least, beyond the noise of both."""
    readings = {place: each for place, each in seen.train.items() if _known(each)}
    if not readings:
        return False
    still = readings[min(readings)]  # the lowest rate, at its first rung
    return any(
        still.train_loss - each.train_loss
        > SIGNIFICANT * math.hypot(still.train_error, each.train_error)
        for each in readings.values()
        if each is not still
    )


def _validation_loss_fell(seen: Seen) -> bool:
    """Whether some arm's validation loss was far below the start at two rungs on end.

    For short trainings, whose few training losses tell little: the validation examples are always
    the same, so its fall need only stand out from the noise of the training loss.
    """
    far = {
        place
        for place, each in seen.train.items()
        if _known(each) and seen.start - each.val_loss > SIGNIFICANT_TWICE * each.train_error > 0.0
    }
    return any((step, rung + 1) in far for step, rung in far)


def _known(reading: Reading) -> bool:
    return math.isfinite(reading.train_loss) and math.isfinite(reading.val_loss)
