"""How the range tests of a search are made: one after the other, or several at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, final, runtime_checkable

from stepsize.finder.options import FindOptions
from stepsize.rangetest import Probe, range_test
from stepsize.records import Curve

#: Makes the probe of one repeat; repeat 0 comes first.
MakeProbe = Callable[[int], Probe]


@runtime_checkable
class Sweeps(Protocol):
    """Makes the range tests of several repeats; their curves do not depend on how."""

    @property
    def together(self) -> int:
        """How many are made at once; at least 1."""
        ...

    def sweep(self, repeats: Sequence[int], options: FindOptions) -> list[Curve]:
        """The curves of ``repeats``, in their order; each may take all of ``max_seconds``."""
        ...


@final
class OneByOne:
    """One range test after the other.

    Args:
        make_probe: called with the number of each repeat.
    """

    together = 1

    def __init__(self, make_probe: MakeProbe) -> None:
        self.make_probe = make_probe

    def sweep(self, repeats: Sequence[int], options: FindOptions) -> list[Curve]:
        """The curves of ``repeats``, in their order."""
        return [swept(self.make_probe(repeat), options) for repeat in repeats]


def swept(probe: Probe, options: FindOptions) -> Curve:
    """The range test of one probe."""
    return range_test(probe, options.ladder, **options.climbing())
