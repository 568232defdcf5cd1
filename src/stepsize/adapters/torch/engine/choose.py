"""From the engine that was asked for to the one that trains."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from stepsize.adapters.torch import distributed
from stepsize.adapters.torch.engine.pace import pace_of
from stepsize.adapters.torch.update import Recipe
from stepsize.engines import EngineChoice
from stepsize.engines.auto import Decision, Pace, Work, decide
from stepsize.errors import require
from stepsize.tasks import LoadedTask


def check_alone(asked: EngineChoice) -> None:
    """Refuse other engines where several ranks train the same together.

    Raises:
        InputError: on all ranks.
    """
    require(
        asked.name in ("auto", "serial") or not distributed.active(),
        f"Under torch.distributed all ranks train the same together; engine={str(asked)!r} does "
        "not go with it. Leave it out, or say serial.",
    )


def choose(
    asked: EngineChoice,
    loaded: LoadedTask,
    recipe: Recipe,
    work: Work,
    seed: int = 0,
    *,
    sendable: Callable[[], object] | None = None,
) -> Decision:
    """The engine for ``work``: the one asked for, or what a few measured updates speak for.

    ``fused`` is looked at before anything is trained: what cannot be fused goes the way that
    ``auto`` would take, and the reason says so.

    Args:
        asked: the engine that the user asked for.
        loaded, recipe, seed: what is trained, how, and the first seed of it.
        work: how much of it.
        sendable: raises InputError where what is to be sent to worker processes cannot be: the
            task, the recipe, schedules or stop rules. By default the task alone is tried. They are
            then not offered.

    Raises:
        InputError: as :func:`check_alone`.
    """
    check_alone(asked)
    if distributed.active():
        return Decision(EngineChoice("serial"), "torch.distributed")
    if asked.name in ("serial", "processes", "dask"):
        return Decision(asked, "asked for")
    if work.at_once < 2:
        return Decision(EngineChoice("serial"), "one training")
    try:
        fused = asked.name == "fused"
        pace = pace_of(loaded, recipe, work, seed, fused=fused, sendable=sendable)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the training itself will tell it
        told = f"{type(error).__name__}: {error}".splitlines()[0]
        return Decision(EngineChoice("serial"), f"a trial has raised {told}")
    return _measured(asked, work, pace)


def note_of(asked: EngineChoice, decision: Decision) -> tuple[str, ...]:
    """A sentence where another engine trains than the one that was asked for.

    >>> note_of(EngineChoice("fused"), Decision(EngineChoice("serial"), "cannot be fused: no copy"))
    ('Made by engine serial instead of fused: cannot be fused: no copy.',)
    >>> note_of(EngineChoice("auto"), Decision(EngineChoice("serial"), "expected: serial 20 s"))
    ()
    """
    if asked.name in ("auto", decision.engine.name):
        return ()
    return (f"Made by engine {decision.engine} instead of {asked}: {decision.reason}.",)


def _measured(asked: EngineChoice, work: Work, pace: Pace) -> Decision:
    """What the pace speaks for."""
    decision = decide(work, pace)
    if asked.name == "auto":
        return decision
    if reason := pace.why_not.get("fused"):
        return replace(decision, reason=f"cannot be fused: {reason} ({decision.reason})")
    seconds = decision.seconds
    compiled = seconds.get("compiled", math.inf) < seconds.get("fused", math.inf)
    return Decision(asked, "asked for", compiled, pace.copies, seconds)
