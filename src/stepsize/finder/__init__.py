"""The finder: range tests, repeated and extended, read into one answer."""

from stepsize.finder.find import find, read, refine
from stepsize.finder.options import DEFAULT_LADDER, FindOptions
from stepsize.finder.progress import shown
from stepsize.finder.sweeps import MakeProbe, OneByOne, Sweeps, swept

__all__ = [
    "DEFAULT_LADDER",
    "FindOptions",
    "MakeProbe",
    "OneByOne",
    "Sweeps",
    "find",
    "read",
    "refine",
    "shown",
    "swept",
]
