"""Which learning rate, which schedule, and how do you know?

The core is pure Python: importing stepsize loads no framework. What needs one is loaded when it is
first used (``stepsize.find_lr``, ``stepsize.find``, ``stepsize.torch``).

>>> import stepsize as ss
>>> curve = ss.Curve(lr=(0.01, 0.1, 1.0), loss=(2.0, 1.0, 3.0))
>>> ss.suggest.nine_tenths([curve]).verdict
'too_few_points'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from stepsize import errors as errors
from stepsize import suggest as suggest
from stepsize.errors import DataError as DataError
from stepsize.errors import InputError as InputError
from stepsize.errors import MissingDependencyError as MissingDependencyError
from stepsize.errors import OutputError as OutputError
from stepsize.errors import RangeTestError as RangeTestError
from stepsize.errors import StepsizeError as StepsizeError
from stepsize.errors import TaskError as TaskError
from stepsize.finder import FindOptions as FindOptions
from stepsize.rangetest import Geometric as Geometric
from stepsize.rangetest import Linear as Linear
from stepsize.rangetest import LossAbove as LossAbove
from stepsize.rangetest import RateAbove as RateAbove
from stepsize.rangetest import Rise as Rise
from stepsize.rangetest import Segments as Segments
from stepsize.rangetest import TimesBest as TimesBest
from stepsize.rangetest import range_test as range_test
from stepsize.records import Clr as Clr
from stepsize.records import Curve as Curve
from stepsize.records import FindResult as FindResult
from stepsize.records import Suggestion as Suggestion
from stepsize.tasks import Task as Task
from stepsize.version import __version__ as __version__

if TYPE_CHECKING:
    from stepsize.adapters import torch as torch
    from stepsize.adapters.torch import find as find
    from stepsize.adapters.torch import find_lr as find_lr

#: Loaded on first use: the adapter module, and the name in it (None: the module itself).
_ON_FIRST_USE = {
    "torch": ("stepsize.adapters.torch", None),
    "find": ("stepsize.adapters.torch", "find"),
    "find_lr": ("stepsize.adapters.torch", "find_lr"),
}


def __getattr__(name: str) -> Any:
    if name not in _ON_FIRST_USE:
        raise AttributeError(f"module 'stepsize' has no attribute {name!r}")
    module_name, member = _ON_FIRST_USE[name]
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingDependencyError(
            f"stepsize.{name} needs PyTorch: pip install 'stepsize[torch]'"
        ) from error
    value = module if member is None else getattr(module, member)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_ON_FIRST_USE})
