"""From the engine that was asked for to the one that trains."""

from __future__ import annotations

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
    asked: EngineChoice, loaded: LoadedTask, recipe: Recipe, work: Work, seed: int = 0
) -> Decision:
    """The engine for ``work``: the one asked for, or what a few measured updates speak for.

    ``fused`` is looked at before anything is trained: what cannot be fused goes the way that
    ``auto`` would take, and the reason says so.

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
        pace = pace_of(loaded, recipe, work, seed, fused=asked.name == "fused")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the training itself will tell it
        return Decision(EngineChoice("serial"), f"a trial has raised {type(error).__name__}")
    return _measured(asked, work, pace)


def _measured(asked: EngineChoice, work: Work, pace: Pace) -> Decision:
    """What the pace speaks for."""
    decision = decide(work, pace)
    if asked.name == "auto":
        return decision
    if reason := pace.why_not.get("fused"):
        return replace(decision, reason=f"cannot be fused: {reason} ({decision.reason})")
    return Decision(asked, "asked for", pace.compiled < pace.fused, pace.copies)
