"""Every schedule of the field, as a value."""

import importlib
from typing import Any

from stepsize.schedules.amplitude import Clip, Inverse, Multiply, Scale
from stepsize.schedules.base import Schedule
from stepsize.schedules.combine import Chain
from stepsize.schedules.cyclic import Cyclic, ExpRange, Triangular, Triangular2
from stepsize.schedules.decay import Constant, Cosine, Linear, Polynomial, Ramp, Rex
from stepsize.schedules.exponential import Exponential
from stepsize.schedules.extend import Extension, cooldown, hold, redecay, stretch
from stepsize.schedules.function import Function
from stepsize.schedules.geometric import Geometric
from stepsize.schedules.kinds import KINDS, from_dict
from stepsize.schedules.linting import Finding, lint, lint_groups
from stepsize.schedules.one_cycle import OneCycle
from stepsize.schedules.plateau import Plateau, PlateauState
from stepsize.schedules.points import Points
from stepsize.schedules.refined import Refined
from stepsize.schedules.restarts import WarmRestarts
from stepsize.schedules.resume import Difference, compare_definitions
from stepsize.schedules.root import InverseSqrt, Noam, Power
from stepsize.schedules.slanted import SlantedTriangular
from stepsize.schedules.stable import FlatCosine, Infinite, WarmupStableDecay
from stepsize.schedules.step import MultiStep, Step
from stepsize.schedules.text import parse
from stepsize.schedules.time_based import CompoundingTime, InverseTime
from stepsize.schedules.timing import Cut, Repeat, Shift, Stairs, Stretch
from stepsize.schedules.warmup import Rise, Warmup

__all__ = [
    "KINDS",
    "Chain",
    "Clip",
    "CompoundingTime",
    "Constant",
    "Cosine",
    "Cut",
    "Cyclic",
    "Difference",
    "ExpRange",
    "Exponential",
    "Extension",
    "Finding",
    "FlatCosine",
    "Function",
    "Geometric",
    "Infinite",
    "Inverse",
    "InverseSqrt",
    "InverseTime",
    "Linear",
    "MultiStep",
    "Multiply",
    "Noam",
    "OneCycle",
    "Plateau",
    "PlateauState",
    "Points",
    "Polynomial",
    "Power",
    "Ramp",
    "Refined",
    "Repeat",
    "Rex",
    "Rise",
    "Scale",
    "Schedule",
    "Shift",
    "SlantedTriangular",
    "Stairs",
    "Step",
    "Stretch",
    "Triangular",
    "Triangular2",
    "WarmRestarts",
    "Warmup",
    "WarmupStableDecay",
    "compare_definitions",
    "cooldown",
    "from_dict",
    "hold",
    "lint",
    "lint_groups",
    "parse",
    "redecay",
    "stretch",
]


def __getattr__(name: str) -> Any:
    """``bridges`` is loaded when it is first used."""
    if name == "bridges":
        return importlib.import_module("stepsize.schedules.bridges")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
