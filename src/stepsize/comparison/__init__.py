"""The fair comparison: which runs to make, how they are made, and what they say."""

from stepsize.comparison.arms import FOUND_NAMES, Arm, arms_of
from stepsize.comparison.conduct import conduct
from stepsize.comparison.environment import environment
from stepsize.comparison.group import Together
from stepsize.comparison.options import CompareOptions
from stepsize.comparison.plan import Plan, PlannedArm
from stepsize.comparison.ranking import PairedDifference, pairwise, rank
from stepsize.comparison.result import result_of
from stepsize.comparison.studies import DEFAULT_ARMS, STUDIES, Study
from stepsize.comparison.trial import AnyTrial, Trial
from stepsize.comparison.tuning import best_factor, scaled
from stepsize.comparison.watcher import Watcher, Watchers

__all__ = [
    "DEFAULT_ARMS",
    "FOUND_NAMES",
    "STUDIES",
    "AnyTrial",
    "Arm",
    "CompareOptions",
    "PairedDifference",
    "Plan",
    "PlannedArm",
    "Study",
    "Together",
    "Trial",
    "Watcher",
    "Watchers",
    "arms_of",
    "best_factor",
    "conduct",
    "environment",
    "pairwise",
    "rank",
    "result_of",
    "scaled",
]
