"""``groups``: a model's layer groups, found by how it is built and in which order it computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from stepsize.adapters.torch.fine_tuning.layers.example_input import example_inputs
from stepsize.adapters.torch.fine_tuning.layers.forward_order import (
    ForwardOrder,
    forward_order,
    guessed_order,
    refusal,
)
from stepsize.adapters.torch.fine_tuning.layers.layer_names import unwrapped
from stepsize.adapters.torch.fine_tuning.layers.layer_tree import LayerTree, tied_owners
from stepsize.adapters.torch.fine_tuning.layers.natural_units import natural_units
from stepsize.adapters.torch.fine_tuning.layers.splitting import split_by
from stepsize.errors import InputError, require
from stepsize.fine_tuning import LayerGroups

Splitter = Callable[[nn.Module], Sequence[Any] | Mapping[str, Any]]


def groups(
    model: nn.Module,
    example: Any = None,
    *,
    splitter: Splitter | None = None,
    most: int | None = None,
) -> LayerGroups:
    """The layer groups of any model, in the order in which its forward pass uses them.

    Groups follow the model's own building blocks: the stem, the stages and the head of a ResNet;
    the embeddings, each block and the head of a transformer; each layer of an ``nn.Sequential``. A
    block that holds more than half of the layers is opened. Norm layers, embeddings and parameters
    that stand alone go with their neighbours. A weight that several layers share is listed once.

    Args:
        model: any torch module; ``torch.compile`` and ``DistributedDataParallel`` are seen through.
        example: what the model takes: a tensor, a tuple of arguments, a mapping of named ones, or a
            function of the model that makes a forward pass, such as
            ``lambda model: loss_fn(model, batch)``. Without it one is guessed; where no guess can
            be run, the groups come in the order of registration, and ``notes`` says so.
        splitter: your own groups, the first nearest the input: a function of the model that returns
            a list of modules, parameters, dotted names, or lists of these, or a mapping from
            groups' names to them. Together they must hold every parameter once.
        most: neighbouring groups are joined until there are at most so many.

    Returns:
        The groups. The model is as it was: the pass is made in eval mode without gradients, and
        whatever it changes comes back.

    Raises:
        InputError: no module, one without parameters or with lazy ones, an example that it cannot
            be run on, a splitter that leaves a parameter out or gives it twice.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    >>> print(groups(model).table())
    group  modules  parameters  trainable  without decay
    0      0, 1     56          56         3 of 4
    3      3        18          18         1 of 2
    2 layer groups in the order of the forward pass; 74 parameters, 74 trainable
    """
    inner = unwrapped(model)
    _check(inner)
    if splitter is not None:
        found = split_by(splitter(inner), inner)
    else:
        order, notes = _order(inner, example)
        tree = LayerTree(inner, order)
        found = LayerGroups(
            natural_units(tree),
            "registration" if order is None else "forward pass",
            tree.tied,
            (*notes, *tree.notes),
        )
    return found if most is None else found.merged(most)


def _check(model: nn.Module) -> None:
    parameters = list(model.parameters())
    require(
        bool(parameters), f"{type(model).__name__} has no parameters, so it has no layer groups."
    )
    if any(nn.parameter.is_lazy(parameter) for parameter in parameters):
        raise InputError(
            "The model has lazy layers whose shapes are not known yet. Run one batch through it "
            "before asking for its layer groups."
        )


def _order(model: nn.Module, example: Any) -> tuple[ForwardOrder | None, tuple[str, ...]]:
    """What a forward pass uses when, or None with the reason."""
    watched = tied_owners(model)
    if example is None:
        order = guessed_order(model, example_inputs(model), watched)
    else:
        try:
            order = forward_order(model, example, watched)
        except Exception as error:
            raise refusal(example, error) from error
    if order is None:
        return None, (_UNGUESSED,)
    return (order, ()) if order.uses else (None, (_UNSEEN,))


_UNSEEN = (
    "The forward pass calls no torch functions that could be watched (a scripted model), so the "
    "groups are in the order of registration."
)
_UNGUESSED = (
    "What the model takes could not be guessed, so the groups are in the order of registration, "
    "which need not be the order of the forward pass: give example=, what the model takes."
)
