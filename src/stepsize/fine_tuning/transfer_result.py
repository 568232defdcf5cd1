"""What a comparison of transfer plans says: the ranking, what each run decided, was it worth it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from stepsize.errors import InputError, did_you_mean, require
from stepsize.fine_tuning.decision import PhaseDecision
from stepsize.fine_tuning.layer_groups import LayerGroups
from stepsize.fine_tuning.plan import TransferPlan
from stepsize.records import Comparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Version of the layout of ``transfer.json``; raised when a field changes its meaning.
FORMAT = 1
#: What can be said of transfer against training from scratch.
WORTH = ("worth it", "not distinguishable", "not worth it")
#: How the note of a comparison begins that says why nothing could be trained from scratch.
NO_SCRATCH = "Nothing was trained from scratch to compare with."


@final
@dataclass(frozen=True, slots=True)
class TransferResult:
    """Paired runs of several transfer plans, with the rates that each run has decided on.

    Attributes:
        comparison: the runs and their ranking; an arm's name is its plan's.
        plans: in the order of the arms.
        groups: the model's layer groups; a plan may have joined some (:meth:`groups_of`).
        decisions: by arm and seed, the phases that have begun, in order.
        worth: the best plan that starts from the pretrained weights against training from scratch:
            ``plan``, ``scratch`` (the arms' names), ``metric``, ``difference`` (the plan minus
            scratch, mean of the paired differences), ``ci95`` (``[low, high]`` or None), ``p``
            (adjusted as in the ranking, or None) and ``verdict``, one of :data:`WORTH`. None
            without such a pair.

    Raises:
        InputError: another verdict.
    """

    comparison: Comparison
    plans: tuple[TransferPlan, ...]
    groups: LayerGroups
    decisions: Mapping[str, Mapping[int, tuple[PhaseDecision, ...]]] = field(default_factory=dict)
    worth: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        verdict = "worth it" if self.worth is None else self.worth["verdict"]
        require(verdict in WORTH, f"A verdict is one of {', '.join(WORTH)}; got {verdict!r}.")

    def plan(self, arm: str) -> TransferPlan:
        """The plan of an arm.

        Raises:
            InputError: there is no arm of that name.
        """
        for plan in self.plans:
            if plan.name == arm:
                return plan
        names = [plan.name for plan in self.plans]
        raise InputError(
            f"There is no arm {arm!r:.80}; there is {', '.join(names)}.{did_you_mean(arm, names)}"
        )

    def groups_of(self, arm: str) -> LayerGroups:
        """The layer groups that an arm's ratios belong to."""
        most = self.plan(arm).groups
        return self.groups if most is None else self.groups.merged(most)

    def __repr__(self) -> str:
        worth = "" if self.worth is None else f"; transfer was {self.worth['verdict']}"
        return f"TransferResult({self.comparison!r}{worth})"

    def _repr_html_(self) -> str:
        from stepsize.report.transfer_html import fragment

        return fragment(self)

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw the ranking, the plans and their rates; save them when ``path`` is given.

        Raises:
            MissingDependencyError: matplotlib is not installed (``pip install 'stepsize[plot]'``).
            OutputError: ``path`` cannot be written.
        """
        from stepsize.report.transfer_figure import draw

        return draw(self, path)

    def to_dict(self) -> dict[str, Any]:
        """The content of ``transfer.json``."""
        return {
            "format": FORMAT,
            "worth": None if self.worth is None else dict(self.worth),
            "comparison": self.comparison.to_dict(),
            "plans": [plan.to_dict() for plan in self.plans],
            "groups": self.groups.to_dict(),
            "decisions": {
                arm: {str(seed): [each.to_dict() for each in known] for seed, known in runs.items()}
                for arm, runs in self.decisions.items()
            },
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TransferResult:
        """The result that :meth:`to_dict` wrote."""
        return cls(
            comparison=Comparison.from_dict(data["comparison"]),
            plans=tuple(TransferPlan.from_dict(plan) for plan in data["plans"]),
            groups=LayerGroups.from_dict(data["groups"]),
            decisions={
                arm: {
                    int(seed): tuple(PhaseDecision.from_dict(each) for each in known)
                    for seed, known in runs.items()
                }
                for arm, runs in data["decisions"].items()
            },
            worth=None if data["worth"] is None else dict(data["worth"]),
        )
