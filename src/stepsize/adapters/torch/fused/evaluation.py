"""What each copy of a stack is worth: the loss and the metrics over held-out batches."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, final

import torch
from torch import nn
from torch.func import functional_call
from torch.utils import _pytree as pytree

from stepsize.adapters.torch.batches import to_device
from stepsize.adapters.torch.fused.detect import tolerance
from stepsize.adapters.torch.fused.gradients import Measured, kernels_of
from stepsize.adapters.torch.fused.rows import Rows
from stepsize.adapters.torch.fused.stack import Stack
from stepsize.adapters.torch.fused.streams import same
from stepsize.adapters.torch.setting import other_device
from stepsize.adapters.torch.trials.evaluation import evaluate, evaluating, examples_in
from stepsize.adapters.torch.update import Recipe
from stepsize.errors import TaskError
from stepsize.tasks import Task

Values = list[dict[str, float]]

#: Copies whose outputs are made in one pass: a validation batch may be large.
PASS = 16
#: Examples whose prediction may be another: where two classes are as likely, rounding decides.
FLIPPED = 2

#: Whether a model's copies can be evaluated together, once that is known.
_together: weakref.WeakKeyDictionary[nn.Module, bool] = weakref.WeakKeyDictionary()


def evaluated(
    stack: Stack,
    task: Task,
    batches: Iterable[Any],
    recipe: Recipe,
    prefix: str,
    copies: Sequence[int] | None = None,
    *,
    settle: bool = False,
) -> Values:
    """For each copy, what :func:`~stepsize.adapters.torch.trials.evaluate` gives, to rounding.

    Where loss and metrics do nothing with the model but call it, the outputs of all copies are made
    together, and each function is given each copy's: it may then do with them what it likes. Until
    the copies have told each other apart, this is checked against the other way, which always
    works: each copy is poured into the living task and evaluated there.

    The two ways may differ by as much as fused and serial training may. A share of the examples,
    such as an accuracy, may be off by :data:`FLIPPED` of them, or by that part of them.

    Args:
        stack: the copies.
        task: a stream's living task; copies may be left poured into it.
        batches: a loader.
        recipe: its precision is used.
        prefix: put before the names, such as ``val_``.
        copies: of the task's stream; None for all copies of the stack.
        settle: be content if the two ways agree once, though the copies may be alike: for those who
            measure how long it takes, and throw the task away.

    Raises:
        TaskError: no batch at all.
    """
    wanted = list(range(len(stack)) if copies is None else copies)
    known = _together.get(task.model)
    if known is False or len(wanted) < 2:
        return _one_by_one(stack, task, batches, recipe, prefix, wanted)
    found: Values | None = None
    try:
        found, examples = _all_at_once(stack, task, batches, recipe, prefix, wanted)
    except TaskError:
        raise
    except Exception:  # noqa: BLE001  (the user's functions, in a way they were not written for)
        known = None
    if known and found is not None:
        return found
    serial = _one_by_one(stack, task, batches, recipe, prefix, wanted)
    if found is None:
        _together[task.model] = False
        return serial
    near = tolerance(recipe, next(task.model.parameters()))
    agree = _agree(found, serial, near, examples, f"{prefix}loss")
    if agree is False:
        _together[task.model] = False
    elif agree and (settle or _tell_apart(found, serial, near, f"{prefix}loss")):
        _together[task.model] = True
    return serial


def _one_by_one(
    stack: Stack,
    task: Task,
    batches: Iterable[Any],
    recipe: Recipe,
    prefix: str,
    copies: Sequence[int],
) -> Values:
    found = []
    for copy in copies:
        stack.pour(copy)
        found.append(evaluate(task, batches, recipe, prefix))
    return found


def _all_at_once(
    stack: Stack,
    task: Task,
    batches: Iterable[Any],
    recipe: Recipe,
    prefix: str,
    copies: Sequence[int],
) -> tuple[Values, float]:
    """What is found of each copy, and of how many examples; infinite if that is not known."""
    functions = {"loss": task.loss, **task.metrics}
    device = other_device(task.model)
    sums = [dict.fromkeys(functions, 0.0) for _ in copies]
    total, counted = 0.0, True
    with evaluating(task, batches, recipe), kernels_of(Measured(task.model, task.loss)):
        outputs = _Outputs(task.model, stack.rows_of(copies))
        for given in batches:
            batch = given if device is None else to_device(given, device)
            examples = examples_in(batch)
            weight = 1.0 if examples is None else float(examples)
            total, counted = total + weight, counted and examples is not None
            outputs.forget()
            for name, function in functions.items():
                values = _floats(outputs.each(function, batch, len(copies)))
                for sum_of, value in zip(sums, values, strict=True):
                    sum_of[name] += weight * value
    if total == 0.0:
        raise TaskError(f"Task.{prefix.rstrip('_')} is empty: it gave no example to evaluate.")
    values_of = [{f"{prefix}{name}": value / total for name, value in one.items()} for one in sums]
    return values_of, total if counted else math.inf


class _OtherUseError(Exception):
    """The model was not only called."""


@final
class _Outputs:
    """Stands for the model in the user's functions: gives one copy's outputs when it is called."""

    training = False

    def __init__(self, model: nn.Module, rows: Rows) -> None:
        self._model, self._rows = model, rows
        self._copy = 0
        self._known: list[tuple[Any, Any]] = []

    def forget(self) -> None:
        """Another batch comes."""
        self._known = []

    def each(self, function: Callable[..., Any], batch: Any, copies: int) -> list[Any]:
        """What ``function`` says of each copy."""
        values = []
        for copy in range(copies):
            self._copy = copy
            values.append(function(self, batch))
        return values

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        given = (args, kwargs)
        outputs = next((known for asked, known in self._known if same(asked, given)), None)
        if outputs is None:
            outputs = self._all(args, kwargs)
            self._known.append((given, outputs))
        return pytree.tree_map(lambda tensor: tensor[self._copy], outputs)

    def __getattr__(self, name: str) -> Any:
        raise _OtherUseError(name)

    def _all(self, args: Any, kwargs: Any) -> Any:
        def output(parameters: Any, buffers: Any) -> Any:
            return functional_call(self._model, {**parameters, **buffers}, args, kwargs)

        function = torch.vmap(output, randomness="same", chunk_size=PASS)
        return function(self._rows.parameters, self._rows.buffers)


def _floats(values: Sequence[Any]) -> list[float]:
    """With one wait for the device."""
    if all(isinstance(value, torch.Tensor) and value.numel() == 1 for value in values):
        floats: list[float] = torch.stack([value.reshape(()) for value in values]).tolist()
        return floats
    return [float(value) for value in values]


def _agree(found: Values, serial: Values, near: float, examples: float, loss: str) -> bool | None:
    """Whether both ways say the same; None if what they differ by may come from flipped examples.

    A share of the examples, such as an accuracy, shows by how many; other metrics do not.
    """
    verdicts: set[bool | None] = set()
    for one, other in zip(found, serial, strict=True):
        if one.keys() != other.keys():
            return False
        for name in one:
            pair = one[name], other[name]
            if not all(map(math.isfinite, pair)):
                verdicts.add(not any(map(math.isfinite, pair)))
            elif math.isclose(*pair, rel_tol=near, abs_tol=1e-6):
                verdicts.add(True)
            else:
                verdicts.add(name != loss and _flipped(*pair, near, examples))
    return False if False in verdicts else None if None in verdicts else True


def _flipped(one: float, other: float, near: float, examples: float) -> bool | None:
    """Whether a few examples more or less make the difference of two metrics."""
    if math.isinf(examples):
        return False
    few = max(FLIPPED, near * examples)
    for unit in (1.0, 100.0):  # per cent
        counts = [value * examples / unit for value in (one, other)]
        whole = all(abs(count - round(count)) < 1e-3 + 1e-7 * abs(count) for count in counts)
        if whole and round(abs(counts[0] - counts[1])) <= few:
            return True
    return None if abs(one - other) <= few / examples * max(1.0, abs(other)) else False


def _tell_apart(found: Values, serial: Values, near: float, loss: str) -> bool:
    """Whether one copy's values, taken for all, would have been noticed."""
    for name in serial[0]:
        constant, wanted = ({one[name] for one in values} for values in (found, serial))
        if len(constant) == 1 < len(wanted):
            return False
    losses = [one[loss] for one in serial if math.isfinite(one[loss])]
    return bool(losses) and max(losses) - min(losses) > 2 * near * max(map(abs, losses))
