"""In which order a forward pass uses a model's parameters."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from stepsize.adapters.torch.batches import to_device
from stepsize.adapters.torch.transaction import Transaction
from stepsize.adapters.torch.update import device_of
from stepsize.errors import InputError

#: How deep tensors may lie in the arguments of a torch function.
_DEEPEST = 4


class ForwardOrder:
    """What a forward pass used first.

    Attributes:
        uses: by the id of a parameter, the number of the first use; unused ones are absent.
        calls: by the id of a module, the number of its first call.
    """

    def __init__(self) -> None:
        self.uses: dict[int, int] = {}
        self.calls: dict[int, int] = {}


def forward_order(
    model: nn.Module, example: Any, watched: Iterable[nn.Module] = ()
) -> ForwardOrder:
    """Run one forward pass in eval mode without gradients, and see what it uses when.

    A parameter is used where a torch function that gives tensors takes it, or a container that it
    lies in; reading its ``dtype`` or ``shape`` is no use. Everything the pass changes comes back:
    buffers, modes, attributes, random numbers.

    Args:
        model: unwrapped; see ``layer_names``.
        example: what the model takes: a tensor, a tuple or list of arguments, a mapping of named
            ones; or a function of the model that makes the forward pass.
        watched: modules whose first calls are wanted.

    Raises:
        Exception: whatever the forward pass raises.

    >>> model = nn.ModuleDict({"last": nn.Linear(2, 1), "first": nn.Linear(3, 2)})
    >>> order = forward_order(model, lambda m: m["last"](m["first"](torch.zeros(1, 3))))
    >>> order.uses[id(model["first"].weight)] < order.uses[id(model["last"].weight)]
    True
    """
    with Transaction(model):
        return _watched(model, example, watched)


def guessed_order(
    model: nn.Module, guesses: Iterable[Any], watched: Iterable[nn.Module] = ()
) -> ForwardOrder | None:
    """The same of the first guess that the model can be run on, or None.

    >>> guessed_order(nn.Linear(2, 1), [torch.zeros(3), torch.zeros(2)]) is None
    False
    """
    with Transaction(model) as transaction:
        for guess in guesses:
            try:
                return _watched(model, guess, watched)
            except Exception:  # noqa: BLE001 - a model may raise anything; the next may do
                transaction.restore()
    return None


def _watched(model: nn.Module, example: Any, watched: Iterable[nn.Module]) -> ForwardOrder:
    """One pass; what is changed here, hooks and modes included, the transaction takes back."""
    found = ForwardOrder()
    for module in watched:
        module.register_forward_pre_hook(_noting(found))
    model.eval()
    _uncompile(model)
    known = {id(parameter) for parameter in model.parameters()}
    with warnings.catch_warnings(), torch.no_grad(), _Uses(known, found):
        warnings.simplefilter("ignore")  # a guess may be an odd input
        call(model, example)
    return found


def _uncompile(model: nn.Module) -> None:
    """Have compiled modules run as plain Python: compiled code calls no torch functions."""
    for module in model.modules():
        module._compiled_call_impl = None
        if "_orig_mod" in module._modules:
            module.__dict__["forward"] = module._modules["_orig_mod"]


class _Uses(TorchFunctionMode):
    """Notes the first torch function that each known parameter is an argument of."""

    def __init__(self, known: set[int], found: ForwardOrder) -> None:
        super().__init__()
        self._known, self._found = known, found

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Any = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if next(_tensors(result), None) is not None:
            for tensor in _tensors((args, kwargs)):
                if id(tensor) in self._known:
                    self._found.uses.setdefault(id(tensor), len(self._found.uses))
        return result


def _tensors(value: Any, depth: int = 0) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif depth < _DEEPEST and isinstance(value, Mapping):
        yield from _tensors(tuple(value.values()), depth)
    elif depth < _DEEPEST and isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item, depth + 1)


def _noting(found: ForwardOrder) -> Callable[[nn.Module, Any], None]:
    def note(module: nn.Module, _: Any) -> None:
        found.calls.setdefault(id(module), len(found.calls))

    return note


def call(model: nn.Module, example: Any) -> None:
    """Make a forward pass of a model on what it takes; see :func:`forward_order`."""
    if callable(example) and not isinstance(example, (torch.Tensor, Mapping)):
        example(model)
        return
    given = to_device(example, device_of(model))
    if isinstance(given, Mapping):
        model(**given)
    elif isinstance(given, (tuple, list)):
        model(*given)
    else:
        model(given)


def refusal(example: Any, error: Exception) -> InputError:
    """What to say of an example that the model does not take."""
    given = type(example).__name__
    return InputError(
        f"The model cannot be run on the example, a {given}: {type(error).__name__}: {error}. "
        "example is what the model takes: a tensor, a tuple of arguments, a dictionary of named "
        "ones, or a function of the model that makes a forward pass."
    )
