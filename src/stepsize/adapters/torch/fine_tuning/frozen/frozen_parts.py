"""``FrozenParts``: the calls of a forward pass that frozen layers alone decide, taken over."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import nn
from torch.utils import _pytree as pytree

from stepsize.adapters.torch.fused.streams import RandomStates
from stepsize.errors import InputError

#: What a module may return beside tensors.
_PLAIN = (type(None), bool, int, float, str)

#: The stretch of one dimension that matters: the dimension, where it starts, where it stops.
Window = tuple[int, int, int]

#: Answers a call: its module's name, and what makes the call.
Take = Callable[[str, Callable[[], Any]], Any]


class Refused(InputError):
    """Why activations cannot be computed once; the training goes through the frozen layers then."""


@final
@dataclass(frozen=True)
class Call:
    """One call of a module whose parameters, if it has any, are all frozen.

    Attributes:
        name: the module's.
        frozen: whether its outputs depend on frozen parameters and the batch alone.
        form: the structure of its outputs, as ``torch.utils._pytree`` has it.
        needed: for each of the outputs, whether a gradient asks for it: the loss depends on it in
            another way than through later calls that are frozen too.
        windows: for each of the outputs, the stretch of a dimension that is needed; None: it is
            needed whole.
    """

    name: str
    frozen: bool
    form: Any
    needed: tuple[bool, ...] = ()
    windows: tuple[Window | None, ...] = ()


@final
class FrozenParts:
    """The modules of a model that hold nothing that is trained.

    Args:
        model: the user's own, not compiled.
        trained: the parameters of the groups that are trained.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> for parameter in model[0].parameters():
    ...     _ = parameter.requires_grad_(False)
    >>> parts = FrozenParts(model, list(model[2].parameters()))
    >>> calls = parts.script(lambda: model(torch.ones(4, 2)).mean())
    >>> [(call.name, call.frozen) for call in calls]
    [('0', True), ('1', True)]
    """

    def __init__(self, model: nn.Module, trained: list[nn.Parameter]) -> None:
        held = {id(parameter) for parameter in trained}
        self.modules = {
            name: module
            for name, module in model.named_modules()
            if name and not held & {id(parameter) for parameter in module.parameters()}
        }

    @contextlib.contextmanager
    def taken_over(self, take: Take, names: frozenset[str] | None = None) -> Iterator[None]:
        """In the block, calls of the modules are answered by ``take``.

        Calls inside of such a call are not. ``names`` leaves all other modules alone.
        """
        inside = False

        def stand_in(name: str, forward: Callable[..., Any]) -> Callable[..., Any]:
            def taken(*args: Any, **kwargs: Any) -> Any:
                nonlocal inside
                if inside:
                    return forward(*args, **kwargs)
                inside = True
                try:
                    return take(name, functools.partial(forward, *args, **kwargs))
                finally:
                    inside = False

            return taken

        # Beside the class's own forward, where calls look first; some libraries have theirs there.
        chosen = {n: m for n, m in self.modules.items() if names is None or n in names}
        before = {n: m.__dict__["forward"] for n, m in chosen.items() if "forward" in m.__dict__}
        for name, module in chosen.items():
            module.__dict__["forward"] = stand_in(name, module.forward)
        try:
            yield
        finally:
            for name, module in chosen.items():
                module.__dict__.pop("forward", None)
                if name in before:
                    module.__dict__["forward"] = before[name]

    def script(
        self,
        loss: Callable[[], Any],
        begin: Callable[[], None] = lambda: None,
        generators: Callable[[], object] = RandomStates,
        draws_matter: bool = True,
    ) -> tuple[Call, ...]:
        """The outermost calls that computing a loss makes, in order.

        A call is frozen if no output has a gradient, no random number was drawn, no statistics
        were written. Layers without parameters of which that is not true (dropout before the head)
        stay in the training. A module that returns other things than tensors gives way to those
        inside it.

        Args:
            loss: computes it, with gradients.
            begin: called before each attempt.
            generators: the states of all random generators that it may draw from, comparable.
            draws_matter: whether the random numbers are others the next time.

        Raises:
            Refused: random numbers are drawn in a frozen layer or before it, which may decide what
                it is given; it writes to its statistics or returns something that cannot be kept;
                or none is called.
        """
        while True:
            calls: list[Call] = []
            odd: list[str] = []
            begin()
            drawn = _Drawn(generators, draws_matter)
            with self.taken_over(functools.partial(self._look, calls, odd, drawn)):
                loss()
            if not odd:
                break
            for name in odd:
                self.modules.pop(name, None)
        self._check_worth(calls)
        return tuple(calls)

    def without(self, calls: tuple[Call, ...], same: list[bool]) -> tuple[Call, ...]:
        """The calls, those of the frozen ones no longer frozen that are not the ``same`` again.

        Raises:
            Refused: no frozen layer is left.
        """
        left = iter(same)
        kept = [replace(call, frozen=next(left)) if call.frozen else call for call in calls]
        self._check_worth(kept)
        return tuple(kept)

    def frozen_weights(self) -> list[torch.Tensor]:
        """The parameters of the modules."""
        found = [p for m in self.modules.values() for p in m.parameters(recurse=False)]
        return list(found)

    def _check_worth(self, calls: list[Call]) -> None:
        if not any(call.frozen and self._has_weights(call.name) for call in calls):
            raise Refused(
                "No layer of the frozen groups is called where its outputs depend on the batch "
                "alone: there is nothing to compute beforehand."
            )

    def _look(
        self,
        calls: list[Call],
        odd: list[str],
        drawn: _Drawn,
        name: str,
        call: Callable[[], Any],
    ) -> object:
        module = self.modules[name]
        before, inside, statistics = drawn.by_now(), _Drawn(drawn.generators), _statistics(module)
        output = call()
        leaves, form = pytree.tree_flatten(output)
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        frozen = not any(tensor.requires_grad for tensor in tensors)
        if frozen:
            reason = ""
            if inside.by_now():
                reason = "draws random numbers"
            elif not _same(statistics, _statistics(module)):
                reason = "writes to its statistics (frozen='train'?)"
            elif before and self._has_weights(name):
                reason = (
                    "is called after random numbers were drawn (augmentation in the loss, dropout "
                    "between frozen layers?)"
                )
            if reason and self._has_weights(name):
                raise Refused(f"The frozen layer {name!r} {reason}: its outputs may change.")
            frozen = not reason
        if frozen and any(not isinstance(leaf, (torch.Tensor, *_PLAIN)) for leaf in leaves):
            self._check_divisible(name, output)
            odd.append(name)
        calls.append(Call(name, frozen, form, (True,) * len(leaves), (None,) * len(leaves)))
        return output

    def _check_divisible(self, name: str, output: object) -> None:
        if self._has_weights(name) and not any(True for _ in self.modules[name].children()):
            raise Refused(
                f"The frozen layer {name!r} returns {type(output).__name__}, whose parts cannot be "
                "kept: tensors in lists, tuples and dictionaries can."
            )

    def _has_weights(self, name: str) -> bool:
        return any(True for _ in self.modules[name].parameters())


@final
class _Drawn:
    """Whether random numbers have been drawn since it was made."""

    def __init__(self, generators: Callable[[], object], matters: bool = True) -> None:
        self.generators, self._matters = generators, matters
        self._before = generators()

    def by_now(self) -> bool:
        """Whether some have been."""
        return self._matters and self._before != self.generators()


def _statistics(module: nn.Module) -> list[torch.Tensor]:
    """The buffers as they are now; batch normalisation writes to its own without counting it."""
    return [buffer.detach().clone() for buffer in module.buffers()]


def _same(ones: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return len(ones) == len(others) and all(map(torch.equal, ones, others))
