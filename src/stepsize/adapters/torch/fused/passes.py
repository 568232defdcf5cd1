"""Forward and backward passes of a stack's rows, with the random numbers of serial runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

from stepsize.adapters.torch.fused.gradients import (
    Gradients,
    Measured,
    UnevenGradientsError,
    each_its_own,
    gradients_of,
    joined,
    kernels_of,
    used_by,
)
from stepsize.adapters.torch.fused.rows import Rows
from stepsize.adapters.torch.fused.streams import RandomStates, Stream, in_turn, same
from stepsize.adapters.torch.trials.object_state import ObjectState
from stepsize.adapters.torch.update import Recipe

#: These updates are looked at, and every so many later.
LOOKS, EVERY = (1, *range(10, 100, 10)), 100
#: Where a compiler makes the others, which may take a twentieth of the time.
RARE_LOOKS, RARELY = (1, 10, 100), 1000


@final
class Passes:
    """Makes losses and gradients: of the rows of all streams at once, or stream by stream.

    At once, all rows run through one stream's model and loss. That is right only where a forward
    pass leaves nothing behind: no random numbers drawn, no state of the model's or the loss's own
    changed, such as a counter. Random numbers are looked for at every update, and a pass that has
    drawn some is made again. A state is looked for now and then (:data:`LOOKS`, :data:`EVERY`), and
    everything is where a compiler makes the passes (:data:`RARE_LOOKS`, :data:`RARELY`): what
    begins between two looks is noticed at the second.

    Args:
        streams: living tasks that are alike but for their seeds.
        recipe: accumulation and precision.
        trained: names of the parameters that are trained.
        compiled: whether a compiler makes the passes between two looks.

    Attributes:
        measured: each stream's model with its loss.
        looking: whether this update is looked at.
        draws: whether a forward pass draws random numbers.
        keeps: whether a forward pass changes a state of the model's or the loss's own.
    """

    def __init__(
        self, streams: Sequence[Stream], recipe: Recipe, trained: Sequence[str], *, compiled: bool
    ) -> None:
        self.measured = [Measured(stream.model, stream.loss) for stream in streams]
        self.looking = self.draws = self.keeps = False
        self._streams, self._recipe, self._trained = streams, recipe, trained
        self._compiled = compiled
        self._updates = 0
        self._random: RandomStates | None = None  # as they were before the last pass at once
        self._used: list[str] | None = None  # parameters that the loss of a recurrent model needs

    def begin(self) -> None:
        """Another update comes."""
        self._updates += 1
        again = self._updates == 2 and (self.draws or self.keeps)  # the first may fill a cache
        looks, every = (RARE_LOOKS, RARELY) if self._compiled else (LOOKS, EVERY)
        self.looking = again or self._updates in looks or self._updates % every == 0

    def found(self, rows: Rows, owners: Sequence[int], drawn: Mapping[int, list[Any]]) -> Gradients:
        """The gradients of all rows; nothing is written.

        Args:
            rows: of all copies.
            owners: the place of each row's stream; the rows of a stream follow each other.
            drawn: each stream's batches.

        Raises:
            RangeTestError: a loss that is no scalar, or has no gradient.
            UnevenGradientsError: other parameters get gradients than before.
        """
        first = owners[0]
        if self.measured[first].recurrent and self.looking:
            self._look_at_used(first, drawn[first][0])
        if len(self._streams) == 1:
            return self._of_one(rows, drawn[0])
        found: Gradients | None = None
        if self._updates > 1 and not self.draws and not self.keeps:
            together = self.stacked(owners, drawn)
            found = None if together is None else self._at_once(rows, first, together)
        return self._by_stream(rows, owners, drawn) if found is None else found

    def stacked(self, owners: Sequence[int], drawn: Mapping[int, list[Any]]) -> list[Any] | None:
        """Each stream's batches as one for every row; None where they are not alike."""
        places = list(drawn)
        rows = [places.index(owner) for owner in owners]
        together = [each_its_own(batches, rows) for batches in zip(*drawn.values(), strict=True)]
        return together if None not in together else None

    def _of_one(self, rows: Rows, batches: list[Any]) -> Gradients:
        """Of the only stream; where no compiler is to know it, nobody looks."""
        if not (self._compiled and self.looking):
            return self._of(0, rows, batches)
        random, own = RandomStates(), _OwnState(self._streams[0])
        found = self._of(0, rows, batches)
        self.draws = random != RandomStates(random)
        self._learn(own.changed())
        return found

    def _at_once(self, rows: Rows, place: int, batches: list[Any]) -> Gradients | None:
        """By one pass; None, and everything as it was, if that does more than compute."""
        random = self._random = RandomStates(self._random)
        own = _OwnState(self._streams[place]) if self.looking else None
        found = self._of(place, rows, batches)
        self.draws = random != RandomStates(random)
        self._learn(own is not None and own.changed())
        if not self.draws and not self.keeps:
            return found
        random.put()
        if own is not None:
            own.put_back()
        return None

    def _by_stream(
        self, rows: Rows, owners: Sequence[int], drawn: Mapping[int, list[Any]]
    ) -> Gradients:
        used = {place: self._streams[place] for place in dict.fromkeys(owners)}
        random = {place: stream.random for place, stream in used.items()}
        own = [_OwnState(stream) for stream in used.values() if self.looking]

        def of_stream(place: int) -> Gradients:
            start = owners.index(place)
            return self._of(place, rows.part(start, start + owners.count(place)), drawn[place])

        parts = in_turn(used, of_stream)
        if self.looking:
            self.draws = any(stream.random != random[place] for place, stream in used.items())
            self._learn(any(one.changed() for one in own))
        return joined(list(parts.values()))

    def _learn(self, changed: bool) -> None:
        """What is changed once, by the first pass alone, is a cache."""
        self.keeps = changed or (self.keeps and self._updates > 2)

    def _look_at_used(self, place: int, batch: Any) -> None:
        """Where gradients are made inside the map, those that are not there do not show."""
        used = used_by(self.measured[place], self._recipe, batch, self._trained)
        if self._used is not None and used != self._used:
            raise UnevenGradientsError
        self._used = used

    def _of(self, place: int, rows: Rows, batches: list[Any]) -> Gradients:
        """The gradients of rows through one stream's model and loss."""
        measured = self.measured[place]
        with kernels_of(measured):
            return gradients_of(
                measured,
                self._recipe,
                batches,
                rows.parameters,
                rows.buffers,
                self._used or self._trained,
                inside=bool(measured.recurrent),
            )


@final
class _OwnState:
    """What a stream's model and loss keep in attributes and enclosed names, as it is now."""

    def __init__(self, stream: Stream) -> None:
        self._objects = ObjectState(stream.model, stream.loss)
        self._before = self._objects.take()

    def changed(self) -> bool:
        """Whether it is another now."""
        return not same(self._before, self._objects.take())

    def put_back(self) -> None:
        """Make it what it was."""
        self._objects.put(self._before)
