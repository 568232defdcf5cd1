"""The training of a plan: phase after phase over one model, one optimizer and one lease."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, final

from stepsize.adapters.torch.fine_tuning.plans.phase_rates import PhaseSearch
from stepsize.adapters.torch.fine_tuning.plans.phase_start import LivingTask, Material
from stepsize.adapters.torch.fine_tuning.plans.plan_trial import PlanTrial
from stepsize.adapters.torch.trials.interrupts import Interrupts
from stepsize.adapters.torch.trials.logged_training import LoggedTraining, Part, Watch
from stepsize.adapters.torch.trials.training import Training
from stepsize.adapters.torch.trials.training_state import OwnStates
from stepsize.adapters.torch.trials.trial_facts import facts
from stepsize.adapters.torch.update import Recipe
from stepsize.fine_tuning.decision import PhaseDecision, rates_from
from stepsize.fine_tuning.timeline import Stretch
from stepsize.schedules import parse
from stepsize.tasks import Task

if TYPE_CHECKING:
    from stepsize.store import Lease

#: The folder of precomputed activations, beside the runs' checkpoints.
ACTIVATIONS = "activations"


@final
class PlanTraining:
    """A run of a plan, written down through a lease; see
    :class:`~stepsize.adapters.torch.trials.making.RunTraining`.

    A phase decides on its rates, then trains. Whatever is decided is kept in the run's facts and
    in its checkpoints, so that a run that goes on does not search again.

    Args:
        trial: what decides its numbers.
        lease: where everything is written.
        recipe: how an update is made.
        checkpoint_seconds: at least this long between two checkpoints; there is one more at the
            end of each phase.

    Attributes:
        task: what is trained, as the user made it.
        decisions: of the phases that have begun.
    """

    def __init__(
        self, trial: PlanTrial, lease: Lease, recipe: Recipe, checkpoint_seconds: float
    ) -> None:
        self._trial, self._lease, self._recipe = trial, lease, recipe
        self._checkpoint_seconds = checkpoint_seconds
        self._living = LivingTask(trial, recipe, lease.checkpoint.parent / ACTIVATIONS)
        self.task: Task = self._living.task
        self.decisions: list[PhaseDecision] = []
        self._phase = 0
        self._part: LoggedTraining | None = None  # of the phase; None while it is decided on
        self._behind: dict[str, Any] | None = None  # what a phase on other objects began with
        self._batches = ""

    @property
    def updates(self) -> int:
        """Updates done since the beginning of the run."""
        if self._part is not None:
            return self._part.updates
        return self._stretch.first_epoch * self._trial.updates_per_epoch

    @property
    def _stretch(self) -> Stretch:
        return self._trial.timeline.stretches[self._phase]

    def facts(self) -> dict[str, Any]:
        """What the run tells of itself at its beginning."""
        known = facts(self.task, self._trial.updates_per_epoch)
        if self._trial.plan.start == "scratch":  # its weights are others, and are meant to be
            known["scratch_weights"] = known.pop("initial_weights")
        del known["group_ratios"]  # each phase has its own
        return {**known, "plan": self._trial.plan.to_dict(), **self._told()}

    def run(self, interrupts: Interrupts, watch: Watch | None) -> None:
        """Train to the end.

        Raises:
            Diverged: a loss was not finite.
            InputError: no rate was found for a phase.
        """
        for number in range(self._phase, len(self._trial.timeline.stretches)):
            self._phase = number
            if self._part is None:
                self._begin(interrupts)
            assert self._part is not None
            self._part.run(interrupts, watch)
            if self.updates < self._trial.updates:
                self._end_phase()

    def stop(self) -> None:
        """Write down what is known; before an error or an interruption ends the run."""
        if self._part is not None:
            self._part.stop()
        self._lease.flush()

    def save(self) -> None:
        """Write a checkpoint, if nothing is half done; while a phase is decided on there is one."""
        if self._part is not None:
            self._part.save()

    def close(self) -> None:
        """Let go of the loader and its worker processes."""
        if self._part is not None:
            self._part.close()

    def resume(self, content: dict[str, Any]) -> None:
        """Bring everything into the state of ``content``, a checkpoint's; :meth:`replay` follows.

        Raises:
            Exception: it does not fit the task. The training cannot be used then.
        """
        known = content["plan"]
        self._phase = known["phase"]
        self.decisions = [PhaseDecision.from_dict(each) for each in json.loads(known["decisions"])]
        self._behind = known["behind"]
        if self._behind is not None:
            self._living.put(copy.deepcopy(self._behind))
        stretch = self._stretch
        trained = stretch.trainable[min(content["epoch"], stretch.epochs - 1)]
        self._living.train_last(stretch, trained)
        self._train_on(self._material(trained, self.decisions[-1].precomputed))
        assert self._part is not None
        self._part.resume(content)

    def replay(self, content: dict[str, Any]) -> None:
        """Draw again, from the epoch's beginning, the batches that the updates have used.

        Raises:
            TaskError: there are not as many.
        """
        assert self._part is not None
        self._part.replay(content)

    # -- phases -------------------------------------------------------------------------------

    def _begin(self, interrupts: Interrupts) -> None:
        """Decide on the rates of the phase, and make its training."""
        stretch, living = self._stretch, self._living
        with interrupts.let_through():  # the last phase's end is saved, and this is made again
            living.train_last(stretch, max(stretch.trainable))
            self._behind = self._living.take() if stretch.phase.precompute else None
            material = self._material(max(stretch.trainable))
            before = self.decisions[-1] if self.decisions else None
            search = PhaseSearch(self._trial, living, material, stretch, before, self._recipe)
            self.decisions.append(search.decided())
        living.train_last(stretch, stretch.trainable[0])
        self._lease.facts(**self._told())
        decision = self.decisions[-1]
        self._lease.event(
            "phase", f"{decision.phase}: peak {decision.peak:.4g}, {decision.lr_from}"
        )
        self._train_on(material)

    def _material(self, count: int, known: Any = None) -> Material:
        """What the phase is trained on; not tried again where the run knows it as refused."""
        if known is not None and "refused" in known:
            return Material(self.task, known)
        return self._living.material(self._stretch, count)

    def _train_on(self, material: Material) -> None:
        """Make the training of the phase, at its beginning."""
        stretch, decision, trial = self._stretch, self.decisions[-1], self._trial
        self._living.set_ratios(decision.ratios, decision.peak)
        replaced = material.task is not self.task
        self._behind = self._behind if replaced else None
        training = Training(
            material.task,
            parse(decision.schedule),
            seed=trial.seed if self._phase == 0 else None,
            steps=stretch.epochs * trial.updates_per_epoch,
            updates_per_epoch=trial.updates_per_epoch,
            recipe=self._recipe,
            states=OwnStates.of(material.task) if replaced else self._living.states,
        )
        training.batches.digest = self._batches
        part = Part(
            training,
            stretch.epochs,
            stretch.first_epoch,
            context=self._context,
            at_epoch=self._at_epoch,
            batches="batches_of_phases",
        )
        self._training = training
        self._part = LoggedTraining(
            trial, material.task, part, self._lease, self._recipe, self._checkpoint_seconds
        )

    def _at_epoch(self, done: int) -> None:
        """Thaw what the coming epoch of the phase trains."""
        stretch = self._stretch
        if done < stretch.epochs and stretch.trainable[done] != stretch.trainable[done - 1]:
            self._living.train_last(stretch, stretch.trainable[done])

    def _end_phase(self) -> None:
        """Save where the next phase begins, and let go of this one's training."""
        assert self._part is not None
        self._part.save()
        self._batches = self._training.batches.digest
        self._part.close()
        del self._training  # its scheduler lets go of the optimizer
        self._part = None

    # -- what is written ----------------------------------------------------------------------

    def _context(self) -> dict[str, Any]:
        """What a checkpoint holds besides the content of the phase's training."""
        decisions = json.dumps([decision.to_dict() for decision in self.decisions])
        return {"plan": {"phase": self._phase, "decisions": decisions, "behind": self._behind}}

    def _told(self) -> dict[str, Any]:
        """The decisions as facts of the run."""
        return {
            "decisions": [decision.to_dict() for decision in self.decisions],
            "search_updates": sum(decision.search_updates for decision in self.decisions),
            "rates_from": rates_from(self.decisions),
        }
