"""Plans in words: titles, phases, rates."""

from __future__ import annotations

from collections.abc import Iterator

from stepsize.fine_tuning.phase import Phase
from stepsize.fine_tuning.timeline import Stretch, Timeline
from stepsize.report.wording import plain_text, rate_text


def title_words(timeline: Timeline) -> str:
    """Which plan, over how many epochs.

    >>> from stepsize.fine_tuning.presets import PLANS
    >>> title_words(PLANS["scratch"].timeline(1, 4))
    'scratch: 1 epoch in 1 phase, from fresh weights'
    """
    plan = timeline.plan
    fresh = ", from fresh weights" if plan.start == "scratch" else ""
    phases = _counted(len(timeline.stretches), "phase")
    epochs = _counted(timeline.epochs, "epoch")
    return f"{plain_text(plan.name)}: {epochs} in {phases}{fresh}"


def block_words(stretch: Stretch, groups: int, peak: float | None = None) -> str:
    """A phase in a sentence: when, what trains, how it is decided, under which schedule.

    >>> from stepsize.fine_tuning.presets import PLANS
    >>> print(block_words(PLANS["ulmfit"].timeline(9, 3).stretches[0], 3))
    gradual, epochs 1 to 9: the head, and one group more after every epoch until all 3 train;
    slanted_triangular(lr), lr by a range test, each group 2.6 times lower than the next
    """
    phase = stretch.phase
    parts = (_trained(stretch, groups), plain_text(phase.schedule))
    said = [f"{'; '.join(parts)}, {_lr(phase, peak)}", *_ratios(stretch)]
    if phase.frozen == "train" and stretch.trainable[0] < groups:
        said.append("frozen layers as in training")
    return f"{plain_text(phase.name)}, {_when(stretch)}: {', '.join(said)}"


def peak_words(phase: Phase, peak: float | None = None) -> str:
    """Where the peak comes from, short.

    >>> peak_words(Phase("all")), peak_words(Phase("all"), 0.0123)
    ('lr found', 'lr 0.012')
    """
    if peak is not None:
        return f"lr {rate_text(peak)}"
    if _all_measured(phase):
        return "rates measured"
    words = {"find": "found", "tune": "tuned", "previous": "as before"}
    return f"lr {words[phase.lr] if isinstance(phase.lr, str) else rate_text(phase.lr)}"


def rate_words(ratio: float | None, peak: float | None = None) -> str:
    """The peak rate of a group: a number where it is known, else by the phase's ``lr``.

    >>> rate_words(1.0), rate_words(0.1), rate_words(2.6**-2), rate_words(None)
    ('lr', 'lr/10', 'lr/6.8', 'measured')
    >>> rate_words(0.1, 0.02)
    '0.002'
    """
    if ratio is None:
        return "measured"
    if peak is not None:
        return rate_text(peak * ratio)
    if ratio == 1.0:
        return "lr"
    return f"lr/{rate_text(1.0 / ratio)}" if ratio > 0.0 else "0"


def _when(stretch: Stretch) -> str:
    first, last = stretch.first_epoch + 1, stretch.stop
    return f"epoch {first}" if first == last else f"epochs {first} to {last}"


def _trained(stretch: Stretch, groups: int) -> str:
    phase = stretch.phase
    first, last = stretch.trainable[0], stretch.trainable[-1]
    what = "all groups" if first == groups else _last(first)
    if phase.trainable == "gradual" and first < groups:
        every = _counted(phase.unfreeze_epochs, "epoch")
        every = "epoch" if every == "1 epoch" else every
        until = f"all {groups}" if last == groups else f"{last}"
        what = f"{what}, and one group more after every {every} until {until} train"
    return f"{what} on precomputed activations" if phase.precompute and first < groups else what


def _last(count: int) -> str:
    return "the head" if count == 1 else f"the last {count} groups"


def _all_measured(phase: Phase) -> bool:
    """Whether the range tests of the groups tell the peak as well as the ratios."""
    return phase.ratios == "measured" and phase.lr == "find"


def _lr(phase: Phase, peak: float | None) -> str:
    if _all_measured(phase):
        highest = "" if peak is None else f", the highest {rate_text(peak)}"
        return f"a rate for each group by range tests{highest}"
    if isinstance(phase.lr, float):
        return f"lr {rate_text(phase.lr)}"
    how = {
        "find": "lr by a range test",
        "tune": f"lr by a race for {_counted(phase.budget, 'training')} of the phase",
        "previous": "lr as before",
    }[phase.lr]
    return how if peak is None else f"{how}: {rate_text(peak)}"


def _ratios(stretch: Stretch) -> Iterator[str]:
    ratios = stretch.phase.ratios
    if stretch.trainable[-1] == 1 or _all_measured(stretch.phase):
        return
    if isinstance(ratios, tuple):
        yield "given ratios of the groups"
    elif isinstance(ratios, float) and ratios > 1.0:
        yield f"each group {rate_text(ratios)} times lower than the next"
    else:
        measured = ratios == "measured"
        yield "a rate for each group by range tests" if measured else "one rate for all"


def _counted(number: float, noun: str) -> str:
    return f"{number:g} {noun}{'' if number == 1 else 's'}"
