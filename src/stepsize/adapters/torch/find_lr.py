"""``find_lr``: the learning rate of an ordinary PyTorch training."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from stepsize.adapters.torch import distributed
from stepsize.adapters.torch.batches import Batches
from stepsize.adapters.torch.group_rates import GroupRates
from stepsize.adapters.torch.probe import TorchProbe, check_model_and_optimizer
from stepsize.adapters.torch.setting import describe, first_batches, other_device, several
from stepsize.adapters.torch.update import LossFn, Recipe
from stepsize.errors import require
from stepsize.finder import DEFAULT_LADDER, FindOptions, find, shown
from stepsize.rangetest import Ladder, StopRule
from stepsize.records import FindResult


def find_lr(
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: LossFn,
    loader: Iterable[Any],
    *,
    ladder: Ladder | Iterable[float] = DEFAULT_LADDER,
    repeats: int = 1,
    stop: StopRule | str | Iterable[StopRule | str] = "rise",
    equal_start: bool = False,
    held_out: Iterable[Any] | None = None,
    held_out_every: int | None = None,
    refine: bool = False,
    accumulate: int = 1,
    autocast: torch.dtype | None = None,
    scaler: Any = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    also: Iterable[object] = (),
    max_updates: int | None = None,
    max_seconds: float | None = None,
    extend_decades: float = 3.0,
    seed: int = 0,
    progress: bool = False,
    task: str | None = None,
) -> FindResult:
    """Find the learning rate of a PyTorch training, and leave no trace of having looked.

    Trains ``model`` for some hundred updates while the rate climbs, reads the loss curve, and gives
    everything back bit for bit: weights, buffers, optimizer, gradients, modes, random states,
    also after an exception or Ctrl-C. Nothing is applied: see :func:`set_lr`.

    Repeats are made one after the other, for they share one living model and one loader, in which
    each goes on where the one before it stopped. :func:`find` makes those of a task at once.

    Args:
        model: the module, at any moment of its training.
        optimizer: its optimizer. Its rates only give the ratios between groups, which are kept;
            ``lr`` is the largest group's. A scheduler may be attached; it is not stepped.
        loss_fn: ``loss_fn(model, batch)`` returns the batch's mean loss as a scalar tensor.
        loader: an iterable of batches of any kind, with or without ``len``; started again when
            it ends. Tensors in batches are moved to the model's device.
        ladder: the rates: ``Geometric``, ``Linear``, ``Segments`` or a rising list.
        repeats: sweeps over different batches, for a narrower interval.
        stop: ``"rise"`` (default), ``"4x-best"``, ``"loss>V"``, ``"lr>V"``, ``"never"``, a rule, or
            several; NaN and infinity always stop.
        equal_start: judge every rate from the same weights and batches (one more update a rate).
        held_out: batches to judge by instead of the training loss (the first few are used).
        held_out_every: measure them after every so many updates (default 5).
        refine: add a second, finer pass around the first answer.
        accumulate: batches per update.
        autocast: dtype of mixed precision, such as ``torch.bfloat16``.
        scaler: a ``torch.amp.GradScaler``.
        clip_norm: clip the gradients' norm.
        clip_value: clip each gradient.
        also: further things that ``loss_fn`` changes, to be given back too: a second model and
            its optimizer, an EMA, a module that is not inside ``model``.
        max_updates: at most this many updates per sweep.
        max_seconds: at most about this much time.
        extend_decades: how far to go beyond the ladder when the best rate lies at its end.
        seed: of the test's own randomness; the caller's is untouched.
        progress: show a progress bar on standard error.
        task: a name for plots and records.

    Returns:
        The rate with its interval, or an abstention (``result.lr`` is None, ``result.verdict`` and
        ``result.reason`` say why), with curves, other rules' answers and ``plot()``.

    Raises:
        InputError: an argument that cannot be used.
        RangeTestError: an empty loader or one that ran dry, a loss that is no scalar or has no
            gradient.

    Source: Smith 2015, "Cyclical Learning Rates for Training Neural Networks", section 3.3.

    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(512, 8); y = x @ torch.randn(8, 1)
    >>> loader = [(x[i : i + 32], y[i : i + 32]) for i in range(0, 512, 32)]
    >>> model = nn.Linear(8, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> result = find_lr(
    ...     model, optimizer, lambda m, b: nn.functional.mse_loss(m(b[0]), b[1]), loader
    ... )
    >>> result.verdict, 0.01 < result.lr < 1.0
    ('ok', True)
    """
    check_model_and_optimizer(model, optimizer)
    batches = Batches(loader, other_device(model))
    recipe = Recipe(accumulate, autocast, scaler, clip_norm, clip_value)
    options = FindOptions.of(
        ladder,
        stop,
        repeats=repeats,
        equal_start=equal_start,
        held_out_every=_held_out_every(held_out, held_out_every),
        refine=refine,
        max_updates=max_updates,
        max_seconds=max_seconds,
        extend_decades=extend_decades,
        seed=seed,
        clock=distributed.clock,
    )
    kept, others = first_batches(held_out, model), several(also)

    def make_probe(repeat: int) -> TorchProbe:
        if repeat:
            batches.reorder(seed + repeat)
        parts = (model, optimizer, loss_fn, batches)
        return TorchProbe(*parts, recipe=recipe, also=others, held_out=kept, seed=seed + repeat)

    visible = progress and distributed.rank() == 0
    with closing(batches), distributed.telling(), shown(options, visible) as watched:
        return find(
            make_probe,
            watched,
            task=task,
            group_ratios=GroupRates(optimizer).ratios,
            settings=describe(model, optimizer, recipe),
        )


def _held_out_every(held_out: Iterable[Any] | None, every: int | None) -> int:
    if held_out is None:
        require(every is None, f"held_out_every={every} needs held_out batches to measure.")
        return 0
    require(every != 0, "held_out_every must be at least 1 when there are held_out batches, got 0.")
    return 5 if every is None else every
