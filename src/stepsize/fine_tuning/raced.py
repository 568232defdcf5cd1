"""What a race on the validation set says of the peak of a phase, under the phase's own schedule."""

from __future__ import annotations

from stepsize.records import Recommendation
from stepsize.schedules import Schedule, parse
from stepsize.schedules.timing import Stairs, Stretch
from stepsize.schedules.warmup import Warmup

#: Which alternative of a recommendation stands for a schedule: by how it comes down.
_LIKE = {
    "linear": "linear",
    "slanted_triangular": "linear",
    "cosine": "cosine",
    "warm_restarts": "cosine",
    "constant": "constant",
}


def raced_peak(schedule: Schedule, answer: Recommendation) -> tuple[float, str]:
    """The peak for ``schedule`` by a race of another one, and in words how it was carried over.

    A race trains warm-up, level and decay; a schedule that is high for a shorter time takes a
    higher peak, which the recommendation's ``alternatives`` tell.

    Args:
        schedule: of the phase, lengths resolved or not.
        answer: a recommendation, no abstention.

    >>> from stepsize.records import Alternative
    >>> from stepsize.records.recommendation import Cost
    >>> answer = Recommendation("mine", 5, 50, "ok", "", Cost(40, 0.0, 50), lr=0.1,
    ...     schedule="wsd(0.1)", alternatives=(
    ...     Alternative("cosine", "warmup(cosine(0.17))", (0.03, 0.9), "expected"),))
    >>> raced_peak(parse("cosine(0.01, steps=50)"), answer)
    (0.17, 'wsd(0.1) raced; the peak for cosine by it, expected')
    >>> raced_peak(parse("one_cycle(0.01)"), answer)
    (0.1, 'wsd(0.1) raced; its peak as it is')
    """
    assert answer.lr is not None  # it is no abstention
    raced, kind = f"{answer.schedule} raced", _kind(schedule)
    if answer.schedule is not None and _kind(parse(answer.schedule)) == kind is not None:
        return answer.lr, raced
    for each in answer.alternatives:
        if each.what == kind:
            return _peak(parse(each.schedule)), f"{raced}; the peak for {kind} by it, {each.basis}"
    return answer.lr, f"{raced}; its peak as it is"


def _kind(schedule: Schedule) -> str | None:
    return _LIKE.get(_innermost(schedule).kind)


def _peak(schedule: Schedule) -> float:
    bounds = _innermost(schedule).extremes()
    assert bounds is not None  # alternatives are linear, cosine or constant
    return bounds[1]


def _innermost(schedule: Schedule) -> Schedule:
    """The schedule itself, without a warm-up and without what fits it to its length."""
    while True:
        if isinstance(schedule, Warmup):
            schedule = schedule.then
        elif isinstance(schedule, (Stretch, Stairs)):
            schedule = schedule.inner
        else:
            return schedule
