"""The schedules that a race trains: a warm-up and a level, with a decay at one time or another."""

from __future__ import annotations

from stepsize.schedules import Chain, Constant, Schedule, WarmupStableDecay, parse


def level_and_decay(lr: float, warmup_steps: int | None = None) -> Schedule:
    """The schedule that is raced, for a training of any length.

    >>> str(level_and_decay(0.1)), str(level_and_decay(0.1, 20))
    ('wsd(0.1)', 'wsd(0.1, warmup_steps=20)')
    """
    if warmup_steps is None:
        return WarmupStableDecay(lr)
    return WarmupStableDecay(lr, warmup_steps=warmup_steps)


def trunk(lr: float, updates: int, warmup_steps: int | None = None) -> WarmupStableDecay:
    """Warm-up, level and decay of a whole training: what the race trains the beginning of.

    >>> str(trunk(0.1, 1000))
    'wsd(0.1, warmup_steps=50, stable_steps=750, decay_steps=200)'
    """
    resolved = level_and_decay(lr, warmup_steps).resolve(updates)
    assert isinstance(resolved, WarmupStableDecay)
    return resolved


def cooled(whole: WarmupStableDecay, done: int, cool_down: int) -> Schedule:
    """``whole``, but the decay begins after ``done`` updates and takes ``cool_down``; then zero.

    >>> str(cooled(trunk(0.1, 1000), 250, 62))
    'chain(wsd(0.1, warmup_steps=50, stable_steps=200, decay_steps=62), constant(0))'
    """
    assert isinstance(whole.warmup_steps, int)  # resolved
    warm_up = min(whole.warmup_steps, done)
    decay = WarmupStableDecay(
        whole(warm_up), warmup_steps=warm_up, stable_steps=done - warm_up, decay_steps=cool_down
    )
    return Chain((decay, Constant(0.0)))


def warmed(kind: str, lr: float) -> Schedule:
    """Another schedule over the whole training, after a warm-up.

    >>> str(warmed("linear", 0.1))
    'warmup(linear(0.1))'
    """
    return parse(f"warmup({kind}({lr!r}), steps=5%)")
