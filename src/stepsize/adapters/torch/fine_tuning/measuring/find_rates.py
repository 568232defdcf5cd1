"""``find_rates``: a range test for each layer group, read into a rate for each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from stepsize.adapters.torch import distributed
from stepsize.adapters.torch.fine_tuning.measuring.group_probe import OBJECTIVE
from stepsize.adapters.torch.fine_tuning.measuring.group_sweeps import GroupSweeps
from stepsize.adapters.torch.probe import check_model_and_optimizer
from stepsize.adapters.torch.setting import describe, several
from stepsize.adapters.torch.transaction import Transaction
from stepsize.adapters.torch.update import LossFn, Recipe
from stepsize.errors import require
from stepsize.finder import FindOptions, read, shown
from stepsize.fine_tuning.fall import LEVEL_SHARE, SHARE, fall
from stepsize.fine_tuning.layer_groups import LayerGroups
from stepsize.fine_tuning.layer_reading import compared, judged, layer_reading, suggested
from stepsize.fine_tuning.layer_tests import LayerRangeTests
from stepsize.rangetest import Geometric, Ladder
from stepsize.records import Curve, FindResult

#: Seven decades, twelve updates each: as the finder's own, coarser, for there are several.
LADDER = Geometric(1e-6, 10.0, rates=84)
#: What the other groups do while one is tested.
OTHERS = ("frozen", "training")


def find_rates(
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: LossFn,
    loader: Iterable[Any],
    groups: LayerGroups,
    *,
    others: str = "frozen",
    ladder: Ladder | Iterable[float] = LADDER,
    repeats: int = 1,
    common: bool = True,
    accumulate: int = 1,
    autocast: torch.dtype | None = None,
    scaler: Any = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    also: Iterable[object] = (),
    seed: int = 0,
    progress: bool = False,
    task: str | None = None,
) -> LayerRangeTests:
    """Range-test each layer group, and read out of the curves one rate for each.

    First each group climbs alone, which gives the rates, then all climb together at the ratios
    found, which limits them: what groups do alone they may overdo together. All
    tests see the same batches, and each loss is compared with what the same batch loses without
    training (:class:`GroupProbe`): fine-tuning's small falls would drown in the noise of batches.

    Everything is given back bit for bit, as by :func:`find_lr`: weights, buffers, optimizer and
    its groups, gradients, ``requires_grad``, modes, random states, the loader. Nothing is applied:
    see :func:`regroup` and :func:`set_ratios`.

    Args:
        model: at the moment at which the rates will be used, such as after its head was trained.
        optimizer: its optimizer; differences between its groups are kept within a layer group.
        loss_fn: ``loss_fn(model, batch)`` returns the batch's mean loss as a scalar tensor.
        loader: an iterable of batches. As many as one test has updates are kept in memory.
        groups: all of the model's, or only some: parameters outside them rest.
        others: ``"frozen"``, or ``"training"`` at the rate that a first test of all together finds;
            this costs another run of updates for each group.
        ladder: the rates to climb, never extended.
        repeats: tests over different batches, for narrower intervals.
        common: test all groups together too.
        accumulate: batches per update.
        autocast: dtype of mixed precision, such as ``torch.bfloat16``.
        scaler: a ``torch.amp.GradScaler``.
        clip_norm: clip the gradients' norm.
        clip_value: clip each gradient.
        also: further things that ``loss_fn`` changes, to be given back too.
        seed: of the tests' own randomness; the caller's is untouched.
        progress: show a progress bar on standard error.
        task: a name for plots and records.

    Returns:
        A test for each group, the suggested rates with intervals (None where nothing informs), and
        which neighbours cannot be told apart. ``updates`` counts three forward passes without an
        update as one.

    Raises:
        InputError: an argument that cannot be used, groups of another model.
        RangeTestError: an empty loader or one that ran dry, a loss that is no scalar.

    >>> from stepsize.adapters.torch.fine_tuning import groups
    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(512, 8); y = x @ torch.randn(8, 1)
    >>> loader = [(x[i : i + 32], y[i : i + 32]) for i in range(0, 512, 32)]
    >>> model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> loss = lambda m, b: nn.functional.mse_loss(m(b[0]), b[1])
    >>> tests = find_rates(model, optimizer, loss, loader, groups(model))
    >>> [test.informative for test in tests.tests], 0.001 < tests.rates.peak < 1.0
    ([True, True], True)
    """
    require(others in OTHERS, f"others is one of {', '.join(OTHERS)}, got {others!r}.")
    recipe = Recipe(accumulate, autocast, scaler, clip_norm, clip_value)
    started = distributed.clock()
    training = others == "training"
    tests = len(groups) + common + training  # other updates have no points to show
    options = _options(ladder, repeats, seed)
    parts = (model, optimizer, loss_fn, loader, groups)
    with _sweeping(*parts, options, recipe, several(also), tests * progress) as sweeps:
        settings = {**_settings(model, optimizer, recipe), "others": others}
        found = _tests(sweeps, others, common, task, settings)
    return replace(found, seconds=distributed.clock() - started)


def find_common(
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: LossFn,
    loader: Iterable[Any],
    groups: LayerGroups,
    *,
    ratios: Sequence[float] | None = None,
    ladder: Ladder | Iterable[float] = LADDER,
    repeats: int = 1,
    accumulate: int = 1,
    autocast: torch.dtype | None = None,
    scaler: Any = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    also: Iterable[object] = (),
    seed: int = 0,
    progress: bool = False,
    task: str | None = None,
) -> FindResult:
    """Range-test all layer groups together, at given ratios, as :func:`find_rates` does last.

    The range test for fine-tuning: :func:`find_lr` sees the loss of different batches, whose
    differences hide a small fall; here each loss is compared with what the same batch loses
    without training. Everything is given back bit for bit.

    Args:
        model: as for :func:`find_rates`; so are the others not named here.
        optimizer: its optimizer.
        loss_fn: ``loss_fn(model, batch)`` returns the batch's mean loss.
        loader: an iterable of batches.
        groups: all of the model's layer groups, or only those that are trained.
        ratios: each group's rate as a multiple of the swept one; all 1 by default.
        ladder: the rates to climb.
        repeats: tests over different batches.
        accumulate: batches per update.
        autocast: dtype of mixed precision.
        scaler: a ``torch.amp.GradScaler``.
        clip_norm: clip the gradients' norm.
        clip_value: clip each gradient.
        also: further things that ``loss_fn`` changes.
        seed: of the test's own randomness.
        progress: show a progress bar on standard error.
        task: a name for plots and records.

    Returns:
        The rate of groups of ratio 1, or an abstention, with the curve. ``updates`` counts three
        forward passes without an update as one.

    Raises:
        InputError: an argument that cannot be used, another number of ratios than of groups.
        RangeTestError: an empty loader, a loss that is no scalar or has no gradient.

    >>> from stepsize.adapters.torch.fine_tuning import groups
    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(512, 8); y = x @ torch.randn(8, 1)
    >>> loader = [(x[i : i + 32], y[i : i + 32]) for i in range(0, 512, 32)]
    >>> model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> loss = lambda m, b: nn.functional.mse_loss(m(b[0]), b[1])
    >>> find_common(model, optimizer, loss, loader, groups(model), ratios=(0.3, 1.0)).verdict
    'ok'
    """
    chosen = (1.0,) * len(groups) if ratios is None else tuple(ratios)
    require(
        len(chosen) == len(groups) and all(0.0 <= ratio < math.inf for ratio in chosen),
        f"There must be one finite ratio from 0 on for each of the {len(groups)} layer groups, "
        f"got {chosen!r}.",
    )
    recipe = Recipe(accumulate, autocast, scaler, clip_norm, clip_value)
    started = distributed.clock()
    parts = (model, optimizer, loss_fn, loader, groups)
    options = _options(ladder, repeats, seed)
    with _sweeping(*parts, options, recipe, several(also), int(progress)) as sweeps:
        settings = _settings(model, optimizer, recipe)
        result = _result(sweeps, sweeps.together(chosen), LEVEL_SHARE, task, settings, chosen)
    return replace(result, updates=sweeps.spent, seconds=distributed.clock() - started)


def _options(ladder: Ladder | Iterable[float], repeats: int, seed: int) -> FindOptions:
    return FindOptions.of(
        ladder, repeats=repeats, extend_decades=0.0, seed=seed, clock=distributed.clock
    )


def _settings(model: nn.Module, optimizer: Optimizer, recipe: Recipe) -> dict[str, Any]:
    return {**describe(model, optimizer, recipe), "objective": OBJECTIVE}


@contextmanager
def _sweeping(
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: LossFn,
    loader: Iterable[Any],
    groups: LayerGroups,
    options: FindOptions,
    recipe: Recipe,
    also: tuple[object, ...],
    tests_to_show: int,
) -> Iterator[GroupSweeps]:
    """The sweeps inside a transaction, with a bar for so many tests (none for 0)."""
    check_model_and_optimizer(model, optimizer)
    everything = Transaction(model, optimizer, recipe.scaler, loss_fn, *also, loader=loader)
    planned = replace(options, repeats=options.repeats * max(tests_to_show, 1))
    bar = shown(planned, tests_to_show > 0 and distributed.rank() == 0)
    with distributed.telling(), everything, bar as watched:
        options = replace(options, on_point=watched.on_point)
        sweeps = GroupSweeps(
            model, optimizer, loss_fn, loader, groups, options, recipe=recipe, also=also
        )
        with closing(sweeps):
            yield sweeps


def _tests(
    sweeps: GroupSweeps, others: str, common: bool, task: str | None, settings: dict[str, Any]
) -> LayerRangeTests:
    """All tests in their order, and what they come to."""

    def together(ratios: Sequence[float]) -> FindResult:
        return _result(sweeps, sweeps.together(ratios), LEVEL_SHARE, task, settings, ratios)

    rate = None
    if others == "training":
        first = together((1.0,) * len(sweeps.groups))
        rate = sweeps.present_rate if first.lr is None else first.lr
    alone = []
    for index, name in enumerate(sweeps.groups.names):
        curves = sweeps.alone(index, rate)
        found = _result(sweeps, curves, SHARE, name, settings) if curves else None
        alone.append(judged(name, found))
    tests = compared(alone)
    reading = layer_reading(tests)
    ratios = (1.0,) * len(tests) if reading is None else reading.ratios
    return suggested(tests, reading, together(ratios) if common else None, sweeps.spent)


def _result(
    sweeps: GroupSweeps,
    curves: Sequence[Curve],
    share: float,
    name: str | None,
    settings: dict[str, Any],
    ratios: Sequence[float] = (1.0,),
) -> FindResult:
    """Curves with the rate at which ``share`` of their fall is made."""
    seen = read(curves, sweeps.options, task=name, group_ratios=ratios, settings=settings)
    return replace(seen, suggestion=fall(curves, share))
