"""Trackers that people already use: what a comparison stores, sent on to them."""

from stepsize.trackers.base import (
    ComparisonInfo,
    RunInfo,
    RunTracker,
    Tracker,
    TrackerWarning,
)
from stepsize.trackers.mirror import Mirror
from stepsize.trackers.mirrored import Mirrored, mirrored
from stepsize.trackers.registry import TRACKERS, open_tracker

__all__ = [
    "TRACKERS",
    "ComparisonInfo",
    "Mirror",
    "Mirrored",
    "RunInfo",
    "RunTracker",
    "Tracker",
    "TrackerWarning",
    "mirrored",
    "open_tracker",
]
