"""The PyTorch adapter: ``find_lr``, ``find``, ``sweep``, ``set_lr`` and what they are made of."""

from stepsize.adapters.torch.find_lr import find_lr
from stepsize.adapters.torch.find_task import find
from stepsize.adapters.torch.group_rates import set_lr
from stepsize.adapters.torch.probe import TorchProbe
from stepsize.adapters.torch.sweep import Sweep, sweep
from stepsize.adapters.torch.transaction import Transaction
from stepsize.adapters.torch.update import Recipe

__all__ = ["Recipe", "Sweep", "TorchProbe", "Transaction", "find", "find_lr", "set_lr", "sweep"]
