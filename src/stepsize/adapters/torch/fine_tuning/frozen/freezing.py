"""``Freezing``: the last layer groups are trained; the others rest, with statistics and dropout."""

from __future__ import annotations

from typing import Any, final

from torch import nn

from stepsize.adapters.torch.fine_tuning.layers.call_order import call_order
from stepsize.adapters.torch.fine_tuning.layers.layer_names import grouped_parameters, unwrapped
from stepsize.errors import require
from stepsize.fine_tuning import LayerGroups

#: What frozen layers do in training.
FROZEN = ("eval", "train")


@final
class Freezing:
    """Which layer groups of a model are trained; the way back included.

    Args:
        model: its ``requires_grad`` flags and modes are set, nothing else.
        groups: its layer groups.
        example: as for :func:`groups`; one forward pass shows which layers serve which. Without it
            one is guessed.

    Attributes:
        trained: how many of the last groups are trained; all of them until :meth:`train_last`.

    Raises:
        InputError: the groups are those of another model.

    >>> from stepsize.fine_tuning import LayerGroup
    >>> model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    >>> groups = LayerGroups((
    ...     LayerGroup("0", ("0", "1"), ("0.weight", "0.bias", "1.weight", "1.bias"), 18, 18),
    ...     LayerGroup("2", ("2",), ("2.weight", "2.bias"), 4, 4)))
    >>> freezing = Freezing(model, groups); freezing.train_last(1)
    >>> _ = model.train(); [m.training for m in model], model[0].weight.requires_grad
    ([False, False, True], False)
    >>> freezing.restore(); [m.training for m in model], model[0].weight.requires_grad
    ([True, True, True], True)
    """

    def __init__(self, model: nn.Module, groups: LayerGroups, example: Any = None) -> None:
        self._model, self.groups = unwrapped(model), groups
        self._parameters = grouped_parameters(model, groups)
        self._flags = [[p.requires_grad for p in group] for group in self._parameters]
        self._modes = [(module, module.training) for module in self._model.modules()]
        self._was_training = self._model.training
        self._order = call_order(self._model, example)
        self.trained = len(groups)

    def train_last(self, count: int, frozen: str = "eval") -> None:
        """Train the last ``count`` groups and freeze those before them.

        Parameters that were frozen when this object was made stay so. Gradients of frozen ones are
        dropped. Modules all of whose parameters are frozen (see :func:`resting`) stay in the mode
        that ``frozen`` says, through later calls of ``model.train()`` too; when they are thawed,
        they get back the mode that they had.

        Args:
            count: how many of the last groups.
            frozen: ``"eval"``: frozen layers keep their statistics and drop nothing; ``"train"``:
                they go on as in training, with weights that stay.

        Raises:
            InputError: a count that is not in 1 .. ``len(groups)``, another word, or groups in
                which nothing can be trained.
        """
        self._check(count, frozen)
        first = len(self.groups) - count
        for index, (group, flags) in enumerate(zip(self._parameters, self._flags, strict=True)):
            for parameter, flag in zip(group, flags, strict=True):
                _set_flag(parameter, flag and index >= first)
        self.trained = count
        frozen_now = self.frozen_parameters() if frozen == "eval" else []
        still = resting(self._model, frozen_now, self._order)
        self._set_modes({id(module) for module in still})

    def frozen_parameters(self) -> list[nn.Parameter]:
        """The parameters of the groups that are not trained."""
        first = len(self.groups) - self.trained
        return [parameter for group in self._parameters[:first] for parameter in group]

    def restore(self) -> None:
        """All flags and modes as they were when this object was made."""
        for group, flags in zip(self._parameters, self._flags, strict=True):
            for parameter, flag in zip(group, flags, strict=True):
                _set_flag(parameter, flag)
        for module, mode in self._modes:
            _let_go(module)
            module.training = mode
        self.trained = len(self.groups)

    def _check(self, count: int, frozen: str) -> None:
        given: Any = count
        whole = isinstance(given, int) and not isinstance(given, bool)
        require(
            whole and 1 <= count <= len(self.groups),
            f"Of {len(self.groups)} layer groups, the last 1 to {len(self.groups)} can be trained, "
            f"got {count!r}.",
        )
        require(frozen in FROZEN, f"frozen is 'eval' or 'train', got {frozen!r}.")
        names = ", ".join(self.groups.names[-count:])
        require(
            any(flag for flags in self._flags[-count:] for flag in flags),
            f"Nothing can be trained in {names}: all its parameters have requires_grad=False. "
            "Let some of them require gradients, or train more groups.",
        )

    def _set_modes(self, still: set[int]) -> None:
        for module, mode in self._modes:
            if id(module) in still:
                module.train(False)
                module.__dict__["train"] = _Still(module)
            elif _let_go(module):
                module.training = mode if self._was_training else self._model.training


def resting(
    model: nn.Module, frozen: list[nn.Parameter], order: list[nn.Module] | None = None
) -> list[nn.Module]:
    """The modules that belong to frozen parameters alone, each once.

    A module with parameters does if all of them are ``frozen``, and so does everything inside it.
    Any other without parameters belongs to the layer that it serves when it is called last: with
    statistics (a batch normalisation without weights) to the layer before it, or the first one,
    else (dropout, activations) to the layer after it.

    Args:
        model: unwrapped.
        frozen: the parameters.
        order: modules as they are called, see :func:`call_order`; modules that are not called in it
            are looked for in the order of registration.

    >>> model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.Linear(2, 2), nn.Dropout(),
    ...     nn.Linear(2, 1))
    >>> still = resting(model, [*model[0].parameters(), *model[2].parameters()])
    >>> [layer in still for layer in model]
    [True, True, True, False, False]
    """
    known = {id(parameter) for parameter in frozen}
    found: dict[int, nn.Module] = {}
    if not known:
        return []
    registered, called = _Line(list(model.modules())), _Line(order or [])
    for module in model.modules():
        own = {id(parameter) for parameter in module.parameters()}
        if own:
            belongs = own <= known
        else:
            line = called if id(module) in called.last else registered
            belongs = line.neighbour(module) in known
        if belongs:
            found.update((id(inner), inner) for inner in module.modules())
    return list(found.values())


@final
class _Line:
    """Modules one after the other.

    Attributes:
        last: by the id of a module, where it comes last.
    """

    def __init__(self, modules: list[nn.Module]) -> None:
        self.last = {id(module): place for place, module in enumerate(modules)}
        self._first = [_first_parameter(module) for module in modules]

    def neighbour(self, module: nn.Module) -> int | None:
        """The id of a parameter of the layer that a module without parameters serves."""
        place = self.last[id(module)]
        before, after = self._first[:place][::-1], self._first[place + 1 :]
        held = any(True for _ in module.buffers())
        near = [*before, *after] if held else after
        return next((key for key in near if key is not None), None)


def _first_parameter(module: nn.Module) -> int | None:
    """The first parameter that a module itself holds, by its id."""
    return next((id(parameter) for parameter in module.parameters(recurse=False)), None)


def _set_flag(parameter: nn.Parameter, flag: bool) -> None:
    if parameter.requires_grad != flag:
        parameter.requires_grad_(flag)
    if not flag:
        parameter.grad = None


@final
class _Still:
    """Takes the place of a module's ``train``: it stays in eval mode.

    It has no ``__dict__``: whoever looks for state in the model's attributes finds none here.
    """

    __slots__ = ("module",)

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self, mode: bool = True) -> nn.Module:
        return self.module

    def __reduce__(self) -> tuple[Any, ...]:
        return _Still, (self.module,)


def _let_go(module: nn.Module) -> bool:
    """Give a module its own ``train`` back; tells whether it was held."""
    if not isinstance(module.__dict__.get("train"), _Still):
        return False
    del module.__dict__["train"]
    return True
