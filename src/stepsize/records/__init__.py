"""The nouns: frozen values that cross the folders. They hold results and know no framework."""

from stepsize.records.comparison import Comparison, Standing
from stepsize.records.curve import DIVERGED, Curve
from stepsize.records.find_result import FindResult
from stepsize.records.run import OVER, STATUSES, Evaluation, Run
from stepsize.records.suggestion import VERDICTS, Clr, Suggestion
from stepsize.records.trace import Trace

__all__ = [
    "DIVERGED",
    "OVER",
    "STATUSES",
    "VERDICTS",
    "Clr",
    "Comparison",
    "Curve",
    "Evaluation",
    "FindResult",
    "Run",
    "Standing",
    "Suggestion",
    "Trace",
]
