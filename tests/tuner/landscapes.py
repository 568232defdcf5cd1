"""Trainings that are formulas: what a race drives in tests, with the accounts of a real trainer."""

import math
import random
import statistics
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from stepsize.records import Reading
from stepsize.tuner import TuneOptions, recommend
from stepsize.tuner.alternatives import PEAKS
from stepsize.tuner.rates import CENTRES
from stepsize.tuner.trainer import Advanced

#: Where the search of these trainings begins.
CENTRE = 10.0 ** CENTRES["other"]


@dataclass(eq=False)
class Landscape:
    """A valley over the logarithm of the rate; the loss falls towards its floor along it.

    ``best``: the best peak of a whole training; that of a part of it is higher by the part to the
    power of minus ``drift``. ``width``: of the valley, in decades. ``limit``: decades above the
    best from which on it diverges, after ``ends_after`` updates. ``overfits_after``: updates from
    which on the validation loss rises. ``wobble``: what the loss on the level is above that after a
    decay. ``gain``: what there is to learn. ``noise``: of the losses of batches, and a tenth of
    it of the validation, whose examples are many and always the same.
    ``better``: what other kinds of schedules and other optimizers gain in addition, by name.
    ``at_once``: arms that are trained at the same time; then they are read in any order.
    ``interrupt_at``: the reading, counted from 0, that Ctrl-C comes in the middle of.
    """

    best: float = CENTRE
    updates: int = 3200
    updates_per_epoch: int = 100
    evaluation_updates: float = 0.0
    drift: float = 0.0
    width: float = 1.2
    limit: float = math.inf
    ends_after: int = 2
    overfits_after: float = math.inf
    wobble: float = 0.05
    gain: float = 2.0
    noise: float = 0.0
    noise_seed: int = 0
    scale: float = 1.0
    offset: float = 0.0
    better: dict = field(default_factory=dict)
    interrupt_at: int | None = None
    at_once: int = 1

    def __post_init__(self):
        self.spent = self.evaluations = 0
        self.stands, self.asked, self.together = {}, [], []
        luck = self._random("batches")  # which all arms have in common
        self.luck = [luck.gauss(0, self.noise) for _ in range(self.updates if self.noise else 0)]

    def fresh(self, **changes):
        """The same, untouched."""
        return replace(self, **changes)

    def start_loss(self, seed=0):
        self.evaluations += 1
        return self.offset + self.scale * (
            2.3 + self._random("start", seed).gauss(0, self.noise / 10)
        )

    def advance_all(self, requests):
        self.together.append(len(requests))
        assert self.at_once > 1 or len(requests) == 1
        assert len({entry for entry, _ in requests}) == len(requests)
        order = list(range(len(requests)))
        self._random("order", len(self.asked)).shuffle(order)
        for place in order:
            before = self.spent
            reading = self.advance(*requests[place])
            yield Advanced(place, reading, self.spent - before)

    def advance(self, entry, updates):
        done, alive = self.stands.get(entry, (0, True))
        assert alive, f"{entry.schedule} has ended"
        assert done < updates <= self.updates, (done, updates)
        if len(self.asked) == self.interrupt_at:
            self.spent += (updates - done) // 2
            raise KeyboardInterrupt
        end = self.ends(entry)
        made = min(updates, max(done + 1, end))
        self.spent += made - done
        self.asked.append((entry, made))
        finite = made < end
        self.stands[entry] = (made, finite)
        if not finite:
            return Reading(made, math.inf, math.inf, math.inf)
        self.evaluations += 1
        return self._reading(entry, done, made)

    def branch(self, entry, onto):
        assert self.stands[entry][1]
        self.stands[onto] = self.stands[entry]

    def drop(self, entry):
        self.stands.pop(entry, None)

    def ends(self, entry):
        """The update in which it diverges."""
        return self.ends_after if self._off(entry, self.updates) > self.limit else math.inf

    def loss(self, entry, updates):
        """The loss without noise, scale and offset."""
        learned = 1.0 - 1.0 / (1.0 + 40.0 * updates / self.updates)
        learned *= math.exp(-0.5 * (self._off(entry, updates) / self.width) ** 2)
        level = self.wobble * entry.schedule(updates - 1) / entry.lr
        better = self.better.get(entry.optimizer or kind_of(entry.schedule), 0.0)
        return 2.3 - self.gain * (learned * (1.0 - level) + better)

    def _off(self, entry, updates):
        place = math.log10(entry.lr / self.best / PEAKS.get(kind_of(entry.schedule), 1.0))
        return place + self.drift * math.log10(updates / self.updates)

    def _reading(self, entry, done, made):
        loss = self.loss(entry, made)
        luck = self._random(entry.lr, str(entry.schedule), made)
        val = loss + luck.gauss(0, self.noise / 10)
        val += 0.5 * math.log(max(1.0, made / self.overfits_after))
        losses = [loss + each for each in self.luck[done:made] or [0.0]]
        error = statistics.stdev(losses) / math.sqrt(len(losses)) if len(losses) > 1 else 0.0
        mean = statistics.fmean(losses)
        shown = (self.offset + self.scale * each for each in (val, mean))
        return Reading(made, *shown, self.scale * error)

    def _random(self, *key):
        return random.Random(f"{self.noise_seed} {key}")


def kind_of(schedule):
    """``"wsd"``, or what comes after a warm-up."""
    first, second, *_ = str(schedule).split("(")
    return first if first == "wsd" else second


def answer_of(landscape, budget=1.0, **options):
    return recommend(landscape, TuneOptions(budget, **options), task="a landscape")


def decades_off(answer, landscape):
    """Between the recommended peak and the best of such a schedule."""
    return abs(math.log10(answer.lr / landscape.best / PEAKS.get(kind_of(answer.schedule), 1.0)))


@st.composite
def valleys(draw, decades=4.0):
    """Clean valleys near and far, some with an edge."""
    return Landscape(
        best=CENTRE * 10.0 ** draw(st.floats(-decades, decades)),
        updates=draw(st.integers(1000, 20_000)),
        drift=draw(st.floats(0.0, 0.25)),
        width=draw(st.floats(0.5, 1.5)),
        limit=draw(st.floats(0.7, 3.0) | st.just(math.inf)),
    )


@st.composite
def landscapes(draw):
    """Anything: edges, late ends, noise, overfitting, nothing to learn, dear evaluations."""
    updates = draw(st.integers(5, 5000))
    return Landscape(
        best=CENTRE * 10.0 ** draw(st.floats(-9, 9)),
        updates=updates,
        evaluation_updates=draw(st.just(0.0) | st.floats(0.0, 0.02 * updates)),
        drift=draw(st.floats(-0.3, 0.6)),
        width=draw(st.floats(0.2, 3.0)),
        limit=draw(st.floats(-9.0, 3.0) | st.just(math.inf)),
        ends_after=draw(st.integers(1, updates)),
        overfits_after=draw(st.floats(1.0, float(updates)) | st.just(math.inf)),
        gain=draw(st.sampled_from([2.0, 0.5, 0.0, -1.0])),
        noise=draw(st.sampled_from([0.0, 0.01])),
        noise_seed=draw(st.integers(0, 99)),
        scale=draw(st.sampled_from([1.0, 1e-6, 1e6])),
        offset=draw(st.sampled_from([0.0, -2.3, 50.0])),
        better=draw(
            st.dictionaries(
                st.sampled_from(["linear", "cosine", "adamw", "momo", "schedule_free"]),
                st.floats(-0.1, 0.1),
            )
        ),
    )
