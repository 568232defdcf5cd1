"""The nouns: frozen values that cross the folders. They hold results and know no framework."""

from stepsize.records.comparison import Comparison, Standing
from stepsize.records.curve import DIVERGED, Curve
from stepsize.records.find_result import FindResult
from stepsize.records.race import FATES, STAGES, RaceArm, Reading
from stepsize.records.recommendation import TUNE_VERDICTS, Alternative, Cost, Recommendation
from stepsize.records.run import OVER, STATUSES, Evaluation, Run
from stepsize.records.suggestion import VERDICTS, Clr, Suggestion
from stepsize.records.trace import Trace

__all__ = [
    "DIVERGED",
    "FATES",
    "OVER",
    "STAGES",
    "STATUSES",
    "TUNE_VERDICTS",
    "VERDICTS",
    "Alternative",
    "Clr",
    "Comparison",
    "Cost",
    "Curve",
    "Evaluation",
    "FindResult",
    "RaceArm",
    "Reading",
    "Recommendation",
    "Run",
    "Standing",
    "Suggestion",
    "Trace",
]
