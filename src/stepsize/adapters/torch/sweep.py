"""``sweep``: the range test of a loop that is entirely the user's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import torch
from torch import nn
from torch.optim import Optimizer

from stepsize.adapters.torch import distributed
from stepsize.adapters.torch.group_rates import GroupRates
from stepsize.adapters.torch.probe import check_model_and_optimizer
from stepsize.adapters.torch.setting import several
from stepsize.adapters.torch.transaction import Transaction
from stepsize.adapters.torch.update import device_of
from stepsize.errors import RangeTestError, require
from stepsize.finder import DEFAULT_LADDER, FindOptions, read
from stepsize.rangetest import Ladder, StopRule, climb
from stepsize.records import Curve, FindResult

#: A loss as the user's loop has it: a number, or a tensor of one element that stays unread.
Loss = float | torch.Tensor


def sweep(
    model: nn.Module | Sequence[nn.Module],
    optimizer: Optimizer,
    lrs: Ladder | Iterable[float] = DEFAULT_LADDER,
    *,
    stop: StopRule | str | Iterable[StopRule | str] = "rise",
    also: Iterable[object] = (),
    loader: object = None,
    max_updates: int | None = None,
    max_seconds: float | None = None,
    extend_decades: float = 3.0,
    task: str | None = None,
) -> Sweep:
    """Range-test any loop: GANs, recurrent state, closures, dict batches, several optimizers.

    Set the stage with ``with``, take the rates with ``for``, make one update per rate and report
    its loss. Everything named is given back bit for bit when the block is left, however it is left.

    Args:
        model: the module, or all modules, that an update changes.
        optimizer: the optimizer whose rate is swept; others run at their own rates.
        lrs: a ladder or rising rates.
        stop: as for :func:`find_lr`.
        also: a list of other things an update changes: further optimizers, a scheduler, a
            GradScaler, an EMA.
        loader: the loader, so that its random generators are given back too.
        max_updates: at most this many updates.
        max_seconds: at most about this much time.
        extend_decades: how far to go on above the ladder while the loss is lowest there.
        task: a name for plots and records.

    >>> model = nn.Linear(4, 1); optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> x = torch.randn(64, 4); y = x.sum(1, keepdim=True)
    >>> with sweep(model, optimizer) as test:
    ...     for lr in test:
    ...         loss = nn.functional.mse_loss(model(x), y)
    ...         optimizer.zero_grad(); loss.backward(); optimizer.step()
    ...         test.report(loss)
    >>> test.result.verdict
    'ok'
    """
    options = FindOptions.of(
        lrs,
        stop,
        repeats=1,
        max_updates=max_updates,
        max_seconds=max_seconds,
        extend_decades=extend_decades,
        clock=distributed.clock,
    )
    many = isinstance(model, Iterable) and not isinstance(model, nn.Module)
    models: list[Any] = list(model) if many else [model]  # type: ignore[arg-type]
    require(bool(models), "sweep needs at least one model.")
    for each in models:
        check_model_and_optimizer(each, optimizer)
    return Sweep(models, optimizer, options, several(also), loader, task)


class Sweep:
    """A range test whose updates are made by the body of a ``for`` loop. Made by :func:`sweep`.

    Attributes:
        curve: the curve, once the loop has ended.
        result: the suggestion or abstention with its evidence, once the loop has ended.
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        optimizer: Optimizer,
        options: FindOptions,
        also: tuple[object, ...],
        loader: object,
        task: str | None,
    ) -> None:
        self._optimizer, self._options, self._task = optimizer, options, task
        self._rates = GroupRates(optimizer)
        self._transaction = Transaction(*models, optimizer, *also, loader=loader)
        self.block = 1 if device_of(models[0]).type == "cpu" else 16
        self._loss: Loss | None = None
        self._awaited = False  # whether the loop is at a rate whose loss is not reported yet
        self._taken = False  # whether the loop has begun
        self._inside = False
        self._curve: Curve | None = None

    def __enter__(self) -> Self:
        self._transaction.__enter__()
        self._inside = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._inside = self._awaited = False
        self._transaction.__exit__(kind, error, traceback)
        if self._curve is None:
            distributed.tell(error or RangeTestError("This rank left the loop early."))

    def __iter__(self) -> Iterator[float]:
        require(
            self._inside and not self._taken,
            "A sweep is taken once, inside its block: with sweep(...) as test: for lr in test: ...",
        )
        self._taken = True
        options = self._options
        steps = climb(
            self,
            options.ladder,
            stop=options.stop,
            max_updates=options.max_updates,
            max_seconds=options.max_seconds,
            extend_decades=options.extend_decades,
            clock=options.clock,
        )
        try:
            lr = next(steps)
            while True:
                self._rates.set(lr)
                self._loss, self._awaited = None, True
                yield lr
                if self._loss is None:
                    raise RangeTestError(
                        f"No loss was reported at the rate {lr:g}: call test.report(loss) once in "
                        "every turn of the loop."
                    )
                lr = steps.send(self._loss)
        except StopIteration as end:
            self._curve = end.value
        finally:
            self._awaited = False

    def report(self, loss: Loss) -> None:
        """Hand over the loss of the update just made; a tensor is not waited for.

        Raises:
            RangeTestError: not a number or a tensor of one element; a second report in one turn of
                the loop, or one outside it; or another rank failed.
        """
        if not self._awaited:
            raise RangeTestError(
                "report(loss) belongs inside the loop over the sweep, once in every turn. For "
                "several losses, report the one to judge by."
            )
        if isinstance(loss, torch.Tensor):
            if loss.numel() != 1:
                raise RangeTestError(
                    f"report(loss) takes a scalar, got a tensor of shape {tuple(loss.shape)}. "
                    "Take the mean: loss.mean()."
                )
            loss = loss.detach().reshape(()).clone()  # the loop may go on to change its own
        elif not isinstance(loss, (int, float)):
            try:
                loss = float(loss)
            except (TypeError, ValueError):
                raise RangeTestError(
                    f"report(loss) takes a number or a scalar tensor, got {loss!r:.60}."
                ) from None
        self._loss, self._awaited = loss, False
        distributed.agree(None)

    def read(self, losses: Sequence[Loss]) -> list[float]:
        """The values of the reported losses, the mean over all ranks."""
        if all(isinstance(loss, torch.Tensor) for loss in losses) and losses:
            values = torch.stack([torch.as_tensor(loss) for loss in losses]).tolist()
        else:
            values = [float(loss) for loss in losses]
        return distributed.mean(values)

    @property
    def curve(self) -> Curve:
        """The curve that was measured.

        Raises:
            RangeTestError: the loop has not ended yet.
        """
        if self._curve is None:
            raise RangeTestError("The sweep has no curve before its loop has ended.")
        return self._curve

    @property
    def result(self) -> FindResult:
        """The suggestion or abstention, with its evidence.

        Raises:
            RangeTestError: the loop has not ended yet.
        """
        return read(
            [self.curve],
            self._options,
            task=self._task,
            group_ratios=self._rates.ratios,
            settings={"optimizer": type(self._optimizer).__name__},
        )
