"""Which learning rate, which schedule, and how do you know?

Importing stepsize loads nothing but this file: each name is loaded when it is first used, and only
``find``, ``find_lr``, ``compare``, ``tune``, ``torch``, ``keras`` and ``jax`` load a framework.

>>> import stepsize as ss
>>> curve = ss.Curve(lr=(0.01, 0.1, 1.0), loss=(2.0, 1.0, 3.0))
>>> ss.suggest.nine_tenths([curve]).verdict
'too_few_points'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from stepsize.version import __version__ as __version__

if TYPE_CHECKING:
    from stepsize import comparison as comparison
    from stepsize import errors as errors
    from stepsize import finder as finder
    from stepsize import schedules as schedules
    from stepsize import suggest as suggest
    from stepsize import tasks as tasks
    from stepsize import transfer as transfer
    from stepsize.adapters import jax as jax
    from stepsize.adapters import keras as keras
    from stepsize.adapters import torch as torch
    from stepsize.adapters.torch import compare as compare
    from stepsize.adapters.torch import find as find
    from stepsize.adapters.torch import find_lr as find_lr
    from stepsize.adapters.torch import tune as tune
    from stepsize.comparison import Arm as Arm
    from stepsize.comparison import CompareOptions as CompareOptions
    from stepsize.comparison import Study as Study
    from stepsize.errors import DataError as DataError
    from stepsize.errors import EngineError as EngineError
    from stepsize.errors import InputError as InputError
    from stepsize.errors import LeaseLostError as LeaseLostError
    from stepsize.errors import MissingDependencyError as MissingDependencyError
    from stepsize.errors import OutputError as OutputError
    from stepsize.errors import RangeTestError as RangeTestError
    from stepsize.errors import StepsizeError as StepsizeError
    from stepsize.errors import StoreError as StoreError
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
    from stepsize.records import Comparison as Comparison
    from stepsize.records import Cost as Cost
    from stepsize.records import Curve as Curve
    from stepsize.records import Evaluation as Evaluation
    from stepsize.records import FindResult as FindResult
    from stepsize.records import RaceArm as RaceArm
    from stepsize.records import Reading as Reading
    from stepsize.records import Recommendation as Recommendation
    from stepsize.records import Run as Run
    from stepsize.records import Standing as Standing
    from stepsize.records import Suggestion as Suggestion
    from stepsize.store import Store as Store
    from stepsize.tasks import Task as Task

#: Where each public name lives.
_HOMES = {
    "comparison": "Arm CompareOptions Study",
    "errors": "DataError EngineError InputError LeaseLostError MissingDependencyError OutputError "
    "RangeTestError StepsizeError StoreError TaskError",
    "finder": "FindOptions",
    "rangetest": "Geometric Linear LossAbove RateAbove Rise Segments TimesBest range_test",
    "records": "Clr Comparison Cost Curve Evaluation FindResult RaceArm Reading Recommendation Run "
    "Standing Suggestion",
    "store": "Store",
    "tasks": "Task",
    "adapters.torch": "compare find find_lr tune",
}
_NAMES = {name: home for home, names in _HOMES.items() for name in names.split()}
#: Folders that are public as they are, by their public name.
_MODULES = {
    "comparison": "comparison",
    "errors": "errors",
    "finder": "finder",
    "jax": "adapters.jax",
    "keras": "adapters.keras",
    "schedules": "schedules",
    "suggest": "suggest",
    "tasks": "tasks",
    "torch": "adapters.torch",
    "transfer": "transfer",
}
#: Packages that an adapter needs, by the extra that brings them.
_EXTRAS = {"jax": "JAX", "keras": "Keras 3", "torch": "PyTorch"}


def __getattr__(name: str) -> Any:
    home = _NAMES.get(name) or _MODULES.get(name)
    if home is None:
        raise AttributeError(f"module 'stepsize' has no attribute {name!r}")
    try:
        module = importlib.import_module(f"stepsize.{home}")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in _EXTRAS:
            way_out = f"{_EXTRAS[package]}: pip install 'stepsize[{package}]'"
        elif name == "keras" and package == "tensorflow":
            way_out = (
                "a backend that is installed: set KERAS_BACKEND=torch or KERAS_BACKEND=jax before "
                "Keras is imported; its own default is TensorFlow."
            )
        else:
            raise
        from stepsize.errors import MissingDependencyError

        raise MissingDependencyError(f"stepsize.{name} needs {way_out}") from error
    value = module if name in _MODULES else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*_NAMES, *_MODULES, "__version__"])
