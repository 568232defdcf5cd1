"""The nouns: frozen values that cross the folders. They hold results and know no framework."""

from stepsize.records.curve import DIVERGED, Curve
from stepsize.records.find_result import FindResult
from stepsize.records.suggestion import VERDICTS, Clr, Suggestion

__all__ = ["DIVERGED", "VERDICTS", "Clr", "Curve", "FindResult", "Suggestion"]
