"""The problem to train: a model, its optimizer, its loss and its batches."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, final

from stepsize.errors import TaskError

#: Losses of PyTorch itself: they take (outputs, targets) and so cannot be a task's loss.
_BARE_LOSSES = frozenset({"torch.nn.modules.loss", "torch.nn.functional"})


@final
@dataclass(frozen=True, eq=False)
class Task:
    """One training problem, made from a seed by a callable ``make(seed: int) -> Task``.

    A task holds living objects that training changes, so two tasks are equal only when they are
    the same one.

    Attributes:
        model: what is trained, e.g. a ``torch.nn.Module``.
        optimizer: the optimizer over the model's parameters. Its learning rates are placeholders;
            the ratios between its parameter groups are kept.
        loss: ``loss(model, batch)``, the mean loss of a batch as a scalar tensor.
        train: the training batches; can be iterated again and again, ``len()`` is optional.
        val: the validation batches, or None.
        metrics: ``metric(model, batch) -> float`` by name, each a mean over a batch; reported as
            ``val_<name>``.
        test: batches that no choice is made on, or None. Only :func:`stepsize.compare` reads them,
            once, when the choice is made.

    Raises:
        TaskError: a field that cannot work, as far as that shows without running the task.

    >>> task = Task("model", "optimizer", lambda model, batch: 0.0, train=[1, 2, 3])
    >>> task.val is None, task.metrics
    (True, {})
    """

    model: Any
    optimizer: Any
    loss: Callable[[Any, Any], Any]
    train: Iterable[Any]
    val: Iterable[Any] | None = None
    metrics: Mapping[str, Callable[[Any, Any], float]] = field(default_factory=dict)
    test: Iterable[Any] | None = None

    def __post_init__(self) -> None:
        _check_instance("model", self.model)
        _check_instance("optimizer", self.optimizer)
        _check_function("loss", self.loss)
        _check_batches("train", self.train)
        for name in ("val", "test"):
            if getattr(self, name) is not None:
                _check_batches(name, getattr(self, name))
        if not isinstance(self.metrics, Mapping):
            raise TaskError(
                "Task.metrics must map names to functions metric(model, batch) -> float, "
                f"got {_described(self.metrics)}."
            )
        for name, metric in self.metrics.items():
            if not isinstance(name, str):
                raise TaskError(f"A metric's name must be a string, got {name!r}.")
            _check_function(f"metrics[{name!r}]", metric)
        object.__setattr__(self, "metrics", dict(self.metrics))  # the caller's may change later

    def __repr__(self) -> str:
        metrics = f", metrics={sorted(self.metrics)}" if self.metrics else ""
        return (
            f"Task({type(self.model).__name__}, {type(self.optimizer).__name__}, "
            f"train={_described(self.train)}, val={_described(self.val)}{metrics})"
        )


def _described(value: object) -> str:
    if value is None:
        return "None"
    try:
        return f"{type(value).__name__} of {len(value)}"  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - a loader over a stream raises whatever it likes here
        return type(value).__name__


def _check_instance(field_name: str, value: object) -> None:
    if value is None or isinstance(value, type):
        got = "None" if value is None else f"the class {value.__name__}, not an instance of it"
        raise TaskError(f"Task.{field_name} must be the {field_name} itself, got {got}.")


def _check_function(field_name: str, value: object) -> None:
    """Refuse what cannot be called as ``value(model, batch)``."""
    if isinstance(value, type) or not callable(value):
        got = f"the class {value.__name__}" if isinstance(value, type) else _described(value)
        raise TaskError(f"Task.{field_name} must be a function of (model, batch), got {got}.")
    if getattr(value, "__module__", None) in _BARE_LOSSES:
        name = getattr(value, "__name__", type(value).__name__)
        raise TaskError(
            f"Task.{field_name} is called with (model, batch), but {name} takes (outputs, "
            "targets). Wrap it: lambda model, batch: criterion(model(batch[0]), batch[1])."
        )
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return  # callables written in C need not tell their signature
    try:
        signature.bind(None, None)
    except TypeError as error:
        raise TaskError(
            f"Task.{field_name} is called with (model, batch), but its signature is "
            f"{signature}: {error}."
        ) from error


def _check_batches(field_name: str, value: object) -> None:
    """Refuse what cannot be iterated, and what can be iterated only once."""
    iterable = hasattr(type(value), "__iter__") or hasattr(type(value), "__getitem__")
    if not iterable or isinstance(value, type | str | bytes | Mapping):
        raise TaskError(f"Task.{field_name} must be an iterable of batches, got {value!r:.80}.")
    # Some loaders are their own iterator and rewind themselves; those offer reset().
    if isinstance(value, Iterator) and not hasattr(value, "reset"):
        raise TaskError(
            f"Task.{field_name} is a {type(value).__name__}, which can be walked through only "
            "once. Give the loader itself, a list, or an object whose __iter__ starts afresh."
        )
