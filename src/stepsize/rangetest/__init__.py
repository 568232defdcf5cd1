"""The range test: ladders, stop rules, the probe protocol, and the climb that leaves a curve."""

from stepsize.rangetest.climb import OnPoint, climb, range_test
from stepsize.rangetest.ladders import (
    Geometric,
    Ladder,
    Linear,
    Rates,
    Rung,
    Segment,
    Segments,
    as_ladder,
)
from stepsize.rangetest.probe import Deferred, HeldOut, Probe, Restartable, Transactional
from stepsize.rangetest.stops import LossAbove, RateAbove, Rise, StopRule, TimesBest, parse_stop

__all__ = [
    "Deferred",
    "Geometric",
    "HeldOut",
    "Ladder",
    "Linear",
    "LossAbove",
    "OnPoint",
    "Probe",
    "RateAbove",
    "Rates",
    "Restartable",
    "Rise",
    "Rung",
    "Segment",
    "Segments",
    "StopRule",
    "TimesBest",
    "Transactional",
    "as_ladder",
    "climb",
    "parse_stop",
    "range_test",
]
