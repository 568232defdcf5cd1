"""Several runs of a comparison in one stack, each with its own log, evaluations and checkpoint."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, final

import torch

from stepsize.adapters.torch import random_state
from stepsize.adapters.torch.fused.evaluation import evaluated
from stepsize.adapters.torch.fused.stack import Stack
from stepsize.adapters.torch.fused.strand import Strand
from stepsize.adapters.torch.trials import checkpoint
from stepsize.adapters.torch.trials.fresh_task import fresh_task
from stepsize.adapters.torch.trials.interrupts import Interrupts
from stepsize.adapters.torch.trials.logged_training import CHECKPOINT_SHARE
from stepsize.adapters.torch.trials.trial_facts import facts
from stepsize.adapters.torch.update import Recipe
from stepsize.comparison.trial import Trial
from stepsize.errors import LeaseLostError
from stepsize.records import Evaluation
from stepsize.store import Lease

#: Losses are read this many updates at a time.
READ_TOGETHER = 10


class Tell(NamedTuple):
    """Who is told of what happens.

    Attributes:
        watch: a run, by its place, has been evaluated.
        over: a run is done with: its lease is given back.
    """

    watch: Callable[[int, Evaluation], None]
    over: Callable[[int], None]


@final
@dataclass(eq=False)
class Logged:
    """A run, and what waits to be written down.

    Attributes:
        place: what it is told by.
        trial: what decides its numbers.
        lease: where everything is written.
        losses: of the epoch so far.
    """

    place: int
    trial: Trial
    lease: Lease
    losses: list[float] = field(default_factory=list)


@final
class TogetherTraining:
    """The training of several runs that stand at the same update.

    Making one makes the seeds' tasks, and seeds the global random generators.

    Args:
        runs: at least one; of one task, recipe and length.
        recipe: how an update is made.
        tell: who is told.
        compiled: compile the update.
        checkpoint_seconds: at least this long between two checkpoints.
    """

    def __init__(
        self,
        runs: Sequence[Logged],
        recipe: Recipe,
        tell: Tell,
        *,
        compiled: bool,
        checkpoint_seconds: float,
    ) -> None:
        self._recipe, self._tell = recipe, tell
        self._copies: list[Logged | None] = list(runs)  # by their places in the stack
        self._checkpoint_seconds = checkpoint_seconds
        self._began = self._next_checkpoint = time.monotonic()
        self._next_checkpoint += checkpoint_seconds
        self._first = runs[0].trial
        seeds = dict.fromkeys(run.trial.seed for run in runs)
        self._strands = {
            seed: Strand(
                fresh_task(self._first.task, seed),
                next(run.trial for run in runs if run.trial.seed == seed),
                recipe,
                alone=len(seeds) == 1,
            )
            for seed in seeds
        }
        places = {seed: place for place, seed in enumerate(seeds)}
        streams = [strand.stream for strand in self._strands.values()]
        copies = [places[run.trial.seed] for run in runs]
        self._stack = Stack(streams, copies, recipe, compiled=compiled)
        self._share = 1.0 / len(runs)  # of the time
        self._unread: list[tuple[list[float], torch.Tensor]] = []
        self._epoch = self._done = 0
        self._settled = True  # between two updates
        self._told = False  # that a checkpoint could not be written

    @property
    def updates(self) -> int:
        """Updates that each run has made."""
        return self._epoch * self._first.updates_per_epoch + self._done

    def begin(self, contents: Sequence[dict[str, Any]] | None) -> None:
        """Begin all runs, or go on from the contents of their checkpoints."""
        standing = self._standing()
        if contents is None:
            for _, run in standing:
                run.lease.rewind(0)
                told = facts(self._strand(run).task, run.trial.updates_per_epoch)
                run.lease.facts(**told, engine="fused")
                run.lease.event("started", f"{run.trial.updates} updates, fused with others")
            return
        self._epoch, self._done = contents[0]["epoch"], contents[0]["done"]
        for seed, strand in self._strands.items():  # one after the other: it sets global generators
            for (copy, run), content in zip(standing, contents, strict=True):
                if run.trial.seed == seed:
                    strand.training.resume(content, on_change="ignore")
                    self._stack.scoop(copy)
                    run.losses = content["losses"].tolist()
                    last = content
            strand.replay(last)
        for _, run in standing:
            run.lease.rewind(self.updates)
            run.lease.event("resumed", f"after {self.updates} updates, fused with others")

    def run(self, interrupts: Interrupts) -> None:
        """Train to the end; each run is finished when it is."""
        while self._standing() and self.updates < self._first.updates:
            self._settled = False
            self._update()
            if self._done == self._first.updates_per_epoch:
                self._end_epoch()
            self._settled = True
            if time.monotonic() >= self._next_checkpoint:
                self.save()
            interrupts.deliver()
        for copy, run in self._standing():
            with self._losing(copy):
                self._finish(copy, run, "finished")

    def save(self) -> None:
        """Write a checkpoint of every run, if nothing is half done."""
        if not self._settled:
            return
        self._read()
        began = time.monotonic()
        for copy, run in self._standing():
            self._stack.pour(copy)
            content = self._strand(run).content(run.trial.schedule)
            content["losses"] = torch.tensor(run.losses, dtype=torch.float64, device="cpu")
            with self._losing(copy):
                run.lease.flush()  # what the checkpoint counts as done must be in the store before
                try:
                    checkpoint.save_checkpoint(run.lease.checkpoint, run.trial.key, content)
                except (OSError, RuntimeError) as error:
                    if not self._told:
                        run.lease.event("checkpoint", f"could not be written: {error}")
                    self._told = True
        now = time.monotonic()
        wait = max(self._checkpoint_seconds, CHECKPOINT_SHARE * (now - began))
        self._next_checkpoint = now + wait

    def give_back(self, status: str) -> None:
        """Give back the leases of all runs that are not over."""
        for copy, run in self._standing():
            with self._losing(copy):
                self._end(copy, run, status)

    def close(self) -> None:
        """Let go of the loaders and their worker processes."""
        for strand in self._strands.values():
            strand.training.close()

    # -- updates ------------------------------------------------------------------------------

    def _update(self) -> None:
        step = self.updates
        rates = [0.0 if run is None else run.trial.schedule(step) for run in self._copies]
        self._unread.append((rates, self._stack.update(rates)))
        self._done += 1
        for strand in self._strands.values():
            strand.training.done = self._done
        if len(self._unread) >= READ_TOGETHER:
            self._read()

    def _read(self) -> None:
        """Read the losses that are still on their device, and write them down."""
        if not self._unread:
            return
        losses = torch.stack([loss for _, loss in self._unread], dim=1).tolist()
        rates = list(zip(*(rates for rates, _ in self._unread), strict=True))
        first, self._unread = self.updates - len(self._unread), []
        for copy, run in self._standing():
            own = losses[copy]
            end = next((i for i, loss in enumerate(own) if not math.isfinite(loss)), len(own))
            run.losses += own
            with self._losing(copy):
                run.lease.log_all(first, rates[copy][: end + 1], own[: end + 1])
                if end < len(own):
                    error = f"the loss was not finite at update {first + end}"
                    self._diverged(copy, run, error)
        self._compact()

    def _compact(self) -> None:
        """Forget the copies that are out, once they are half of all."""
        standing = [copy for copy, _ in self._standing()]
        if 0 < len(standing) <= len(self._copies) // 2:
            self._stack.keep(standing)
            self._copies = [self._copies[copy] for copy in standing]

    # -- epochs -------------------------------------------------------------------------------

    def _end_epoch(self) -> None:
        self._read()
        for strand in self._strands.values():
            strand.end_epoch()
        self._epoch, self._done = self._epoch + 1, 0
        values = self._values()
        for copy, run in self._standing():
            train_loss = math.fsum(run.losses) / len(run.losses)
            run.losses = []
            found = {"train_loss": train_loss, **values[copy]}
            evaluation = Evaluation(self._epoch, self.updates, found)
            with self._losing(copy):
                run.lease.facts(batches=self._strand(run).training.batches.digest)
                run.lease.evaluate(evaluation)
                with random_state.kept():
                    self._tell.watch(run.place, evaluation)
                if self.updates == self._first.updates and not math.isfinite(found["val_loss"]):
                    error = "the validation loss was not finite at the end"
                    self._diverged(copy, run, error)

    def _values(self) -> dict[int, dict[str, float]]:
        """What the validation says of each copy."""
        found: dict[int, dict[str, float]] = {}
        for seed, strand in self._strands.items():
            copies = [copy for copy, run in self._standing() if run.trial.seed == seed]
            assert strand.task.val is not None  # fresh_task has checked it
            if copies:
                values = evaluated(
                    self._stack, strand.task, strand.task.val, self._recipe, "val_", copies
                )
                found.update(zip(copies, values, strict=True))
        return found

    # -- ends ---------------------------------------------------------------------------------

    def _diverged(self, copy: int, run: Logged, error: str) -> None:
        run.lease.event("diverged", error)
        self._finish(copy, run, "diverged", error)

    def _finish(self, copy: int, run: Logged, status: str, error: str = "") -> None:
        task = self._strand(run).task
        if status == "finished" and task.test is not None:
            self._stack.pour(copy)
            checkpoint.save(run.lease.weights, task.model.state_dict())
        path = run.lease.checkpoint
        self._end(copy, run, status, error)
        path.unlink(missing_ok=True)

    def _end(self, copy: int, run: Logged, status: str, error: str = "") -> None:
        seconds = (time.monotonic() - self._began) * self._share
        run.lease.finish(status, error, seconds=seconds)
        self._leave(copy)

    def _leave(self, copy: int) -> None:
        run, self._copies[copy] = self._copies[copy], None
        self._stack.freeze(copy)
        if run is not None:
            with random_state.kept():
                self._tell.over(run.place)

    @contextlib.contextmanager
    def _losing(self, copy: int) -> Iterator[None]:
        """A run that another process has taken over leaves the stack; the others go on."""
        try:
            yield
        except LeaseLostError:
            self._leave(copy)

    def _standing(self) -> list[tuple[int, Logged]]:
        """The runs that are not over, by their places in the stack."""
        return [(copy, run) for copy, run in enumerate(self._copies) if run is not None]

    def _strand(self, run: Logged) -> Strand:
        return self._strands[run.trial.seed]
