"""What kind of optimizer it is, as far as its rates go."""

from __future__ import annotations

from torch.optim import Optimizer


def optimizer_family(optimizer: Optimizer) -> str:
    """What to expect of an optimizer's rates: ``sgd``, ``momentum``, ``adam`` or ``other``.

    >>> import torch
    >>> optimizer_family(torch.optim.SGD([torch.zeros(1)], lr=0.1, momentum=0.9))
    'momentum'
    """
    defaults = optimizer.defaults
    if "momentum" in defaults and not {"betas", "alpha"} & set(defaults):
        return "momentum" if defaults["momentum"] else "sgd"
    return "adam" if {"betas", "beta2_decay", "alpha", "rho"} & set(defaults) else "other"
