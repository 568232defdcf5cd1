"""What is timed, and for how long."""

from types import SimpleNamespace

import pytest
import torch
from adapters.torch.trials import maker
from adapters.zoo import mse

from stepsize.adapters.torch import Recipe
from stepsize.adapters.torch.engine import bench, pace
from stepsize.adapters.torch.engine.pace import pace_of
from stepsize.adapters.torch.fused import evaluation
from stepsize.engines.auto import MEASURING, Work
from stepsize.tasks import LoadedTask, Task

UPDATE, BATCH = 0.01, 0.05


class Clock:
    """Goes on by what the task says it takes."""

    def __init__(self):
        self.now, self.made, self.updates, self.evaluations = 0.0, [], 0, 0

    def task(self, evaluation=1.0, model="batch norm"):
        def make(seed):
            self.made.append(seed)
            made = maker(model)(seed)
            return Task(made.model, made.optimizer, loss, Drawn(self, made.train), made.val[:1])

        def loss(model, batch):
            self.updates += model.training
            self.evaluations += not model.training
            self.now += UPDATE if model.training else evaluation
            return mse(model, batch)

        return LoadedTask("clocked", make)


class Drawn:
    """Batches that take time."""

    def __init__(self, clock, batches):
        self.clock, self.batches = clock, batches

    def __iter__(self):
        for batch in self.batches:
            self.clock.now += BATCH
            yield batch


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch):
    """A compiler takes seconds."""
    monkeypatch.setattr(pace, "worth_compiling", lambda work, pace: False)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(bench, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


@pytest.fixture
def stacks(monkeypatch):
    """The seeds of each stack's copies."""
    made = []
    stack = bench.Stack

    def stack_of(streams, copies, recipe, **options):
        made.append(list(copies))
        return stack(streams, copies, recipe, **options)

    monkeypatch.setattr(bench, "Stack", stack_of)
    return made


def measured(task, *work, **fields):
    return pace_of(task, Recipe(), Work(*work, **fields), sendable=lambda: None)


@pytest.mark.parametrize(("updates", "evaluations"), [(10, 1), (100, 0)])
def test_short_work_costs_a_glance(clock, updates, evaluations):
    """An evaluation only where the updates do not tell that it is long."""
    work = Work(2, updates, 2, evaluations=1)
    found = bench.Bench(clock.task(), Recipe(), work, 0).glance()
    assert found == pytest.approx((UPDATE + BATCH, evaluations * 1.0))
    assert (clock.made, clock.updates, clock.evaluations) == ([0], 2, evaluations)
    if evaluations:
        assert measured(clock.task(), 2, updates, 2, evaluations=1).serial == pytest.approx(found)
        assert (clock.made, clock.updates, clock.evaluations) == ([0, 0], 4, 2)


def test_batches_take_time_as_they_do_in_a_training(clock):
    """Copies of one seed share them."""
    found = measured(clock.task(), 4, 10_000, 4)
    assert found.serial.update == pytest.approx(UPDATE + BATCH)
    assert found.fused.update == pytest.approx((UPDATE + BATCH) / 4)


@pytest.mark.parametrize(
    ("trainings", "updates", "evaluations", "evaluation"),
    [(64, 1000, 10, 0.01), (64, 1000, 10, 1.0), (64, 1000, 10, 30.0), (12, 10, 1, 30.0)],
)
def test_measuring_is_a_small_part_of_the_work(clock, trainings, updates, evaluations, evaluation):
    task = clock.task(evaluation)
    measured(task, trainings, updates, trainings, evaluations=evaluations)
    whole = trainings * (updates * (UPDATE + BATCH) + evaluations * evaluation)
    assert clock.now < max(1.2 * MEASURING * whole, 1.1 * evaluation)


def test_the_way_to_evaluate_copies_is_found_out_once(monkeypatch):
    """Then they are evaluated that way."""
    ways = []
    for name in ("_all_at_once", "_one_by_one"):
        way = getattr(evaluation, name)
        told = lambda *given, name=name, way=way: ways.append(name) or way(*given)  # noqa: E731
        monkeypatch.setattr(evaluation, name, told)
    loaded = LoadedTask("mine", maker("batch norm"))
    measured(loaded, 8, 10**6, 8, evaluations=20)
    assert ways.count("_one_by_one") == 1
    assert ways.count("_all_at_once") > 2


def test_each_seed_has_a_stream(stacks):
    loaded = LoadedTask("mine", maker("dropout"))
    measured(loaded, 6, 10**6, 6, seeds=3)
    assert stacks == [[0, 1, 2, 0, 1, 2]]


def test_many_seeds_are_worked_out_from_a_few(stacks):
    loaded = LoadedTask("mine", maker("dropout"))
    found = measured(loaded, 16, 10**6, 16, seeds=16)
    assert [max(places) + 1 for places in stacks] == [4, 4, 2]
    assert {len(places) for places in stacks} == {16}
    assert found.fused.update > 0.0


def test_seeds_that_are_not_alike_have_stacks_of_their_own(stacks):
    def make(seed):
        made = maker("batch norm")(seed)
        return Task(
            made.model, made.optimizer, lambda m, b: mse(m, b) * (1 + seed), made.train, made.val
        )

    loaded = LoadedTask("mine", make)
    found = measured(loaded, 12, 10**6, 12, seeds=3)
    assert stacks == [[0, 0, 0, 0]]
    assert found.copies == 12
    assert "seed" in measured(loaded, 3, 10**6, 3, seeds=3).why_not["fused"]


def test_serial_updates_change_next_to_nothing(monkeypatch):
    rates = set()
    update = bench.Update.__call__

    def told(self):
        rates.update(group["lr"] for group in self.optimizer.param_groups)
        return update(self)

    monkeypatch.setattr(bench.Update, "__call__", told)

    def make(seed):
        made = maker("batch norm")(seed)
        optimizer = torch.optim.SGD(made.model.parameters(), lr=1e9)
        return Task(made.model, optimizer, made.loss, made.train, made.val)

    measured(LoadedTask("mine", make), 4, 10**6, 4)
    assert min(rates) == bench.RATE
    assert max(rates) <= 1e-3  # of the two copies that are tried


def test_copies_differ_and_serial_updates_change_nothing(monkeypatch):
    rates = []
    update = bench.Stack.update
    monkeypatch.setattr(
        bench.Stack, "update", lambda self, given: rates.append(tuple(given)) or update(self, given)
    )
    models = []

    def make(seed):
        made = maker("batch norm")(seed)
        optimizer = torch.optim.SGD(made.model.parameters(), lr=1e9)
        models.append((made.model, [p.detach().clone() for p in made.model.parameters()]))
        return Task(made.model, optimizer, made.loss, made.train, made.val)

    measured(LoadedTask("mine", make), 4, 10**6, 4)
    rates = [given for given in rates if len(given) == 4]  # two copies are tried before
    assert rates
    assert all(len(set(given)) == 4 and max(given) < 1e-3 for given in rates)
    for model, before in models:
        for parameter, was in zip(model.parameters(), before, strict=True):
            assert torch.allclose(parameter, was, atol=1e-2)
