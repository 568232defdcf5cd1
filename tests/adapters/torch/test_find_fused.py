"""find with repeats as one model: the curves of a serial search, to float tolerance."""

import pytest
import torch
from adapters.fingerprint import Fingerprint, assert_unchanged
from adapters.test_find import make_regression
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from stepsize import Geometric
from stepsize.adapters.torch import Recipe, distributed, find, find_engine
from stepsize.adapters.torch.fused import Stack, UnevenGradientsError, sweeps
from stepsize.adapters.torch.fused.sweeps import FusedSweeps
from stepsize.engines import EngineChoice
from stepsize.engines.auto import Decision
from stepsize.errors import InputError, RangeTestError
from stepsize.tasks import Task

SHORT = Geometric(1e-4, 10.0, rates=60)


class Breaking:
    """Batches of which the last but one cannot be read."""

    def __init__(self, batches, act):
        self.batches, self.act = batches, act

    def __iter__(self):
        for number, batch in enumerate(self.batches):
            if number == len(self.batches) - 2:
                self.act()
            yield batch


def make_small(seed, *middle, optimizer=torch.optim.Adam, shuffle=False):
    """A network, and a loader that may draw its order from the global generator."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), *middle, nn.Linear(16, 1))
    x = torch.randn(64, 6, generator=torch.Generator().manual_seed(3))
    data = TensorDataset(x, x.sum(1, keepdim=True).sin())

    def loss(model, batch):
        return nn.functional.mse_loss(model(batch[0]), batch[1])

    val = DataLoader(data, batch_size=32)
    train = DataLoader(data, batch_size=8, shuffle=shuffle)
    return Task(model, optimizer(model.parameters(), lr=0.1), loss, train, val=val)


def make_dropout(seed):
    return make_small(seed, nn.Dropout(0.3), nn.BatchNorm1d(16), shuffle=True)


def make_shuffled(seed):
    return make_small(seed, shuffle=True)


def both(task, **options):
    """The answers of a serial search and of a fused one."""
    return tuple(find(task, engine=engine, **options) for engine in ("serial", "fused"))


def assert_alike(fused, serial, points=None):
    """Equal curves, to float tolerance up to ``points``."""
    assert fused.settings["engine"] == "fused"
    assert serial.settings["engine"] == "serial"
    assert len(fused.repeats) == len(serial.repeats) > 1
    for one, other in zip(fused.repeats, serial.repeats, strict=True):
        shared = min(len(one), len(other)) if points is None else points
        assert one.lr[:shared] == pytest.approx(other.lr[:shared])
        assert one.loss[:shared] == pytest.approx(other.loss[:shared], rel=2e-3)
        assert one.lag == other.lag


def test_digits_have_the_same_answer():
    serial, fused = both("digits", repeats=3)
    assert_alike(fused, serial, 200)
    assert fused.verdict == serial.verdict == "ok"
    assert fused.lr == pytest.approx(serial.lr, rel=0.02)
    assert [curve.stop for curve in fused.repeats] == [curve.stop for curve in serial.repeats]
    assert fused.notes == serial.notes


@pytest.mark.parametrize(
    "options",
    [
        {"repeats": 4},
        {"repeats": 3, "seed": 5, "max_updates": 40, "recipe": Recipe(2, clip_norm=0.5)},
        {"repeats": 2, "held_out_every": 4},
        {"repeats": 2, "equal_start": True, "stop": "lr>0.1"},
        {"repeats": 2, "equal_start": True, "held_out_every": 1, "stop": "lr>0.01"},
    ],
)
@pytest.mark.parametrize("task", [make_dropout, make_shuffled])
def test_curves_are_those_of_a_serial_search(task, options):
    serial, fused = both(task, ladder=SHORT, **options)
    assert_alike(fused, serial, min(len(curve) for curve in serial.repeats) // 2)


def test_one_that_ends_leaves_the_others_alone():
    """The repeats end one after the other; the last climbs on by itself."""
    serial, fused = both(make_dropout, ladder=SHORT, repeats=4, stop="loss>5")
    lengths = [len(curve) for curve in serial.repeats]
    assert len(set(lengths)) == 4
    assert [len(curve) for curve in fused.repeats] == lengths
    assert_alike(fused, serial)


@pytest.mark.parametrize("refine", [False, True])
def test_a_ladder_is_lowered_and_refined_as_in_a_serial_search(refine):
    ladder = Geometric(3.0, 3e3, rates=60)
    serial, fused = both(make_regression, ladder=ladder, repeats=2, refine=refine)
    assert fused.repeats[0].lr[0] == pytest.approx(serial.repeats[0].lr[0])
    assert fused.repeats[0].lr[0] < 3.0
    assert fused.notes == serial.notes
    assert fused.verdict == serial.verdict == "ok"
    assert fused.lr == pytest.approx(serial.lr, rel=0.02)
    assert fused.updates > serial.updates


@pytest.mark.parametrize("middle", [nn.Identity, lambda: nn.BatchNorm1d(16)])
def test_repeats_that_are_identical_count_once(middle):
    serial, fused = both(lambda seed: make_small(0, middle()), ladder=SHORT, repeats=5)
    assert fused.settings["engine"] == "fused"
    assert len(fused.repeats) == len(serial.repeats) == 1
    assert fused.notes == serial.notes


@pytest.mark.parametrize(("together", "repeats"), [(2, 5), (3, 4), (7, 9)])
def test_identical_repeats_count_once_however_many_are_made_together(
    monkeypatch, together, repeats
):
    monkeypatch.setattr(FusedSweeps, "together", together)
    options = {"ladder": SHORT, "repeats": repeats, "engine": "fused"}
    found = find(lambda seed: make_small(0, nn.BatchNorm1d(16)), **options)
    assert len(found.repeats) == 1


@pytest.mark.parametrize("compiled", [False, True])
def test_updates_are_compiled_where_that_was_chosen(monkeypatch, compiled):
    made = []

    def stack(*given, **options):
        made.append(options["compiled"])
        return Stack(*given, compiled=False)

    decision = Decision(EngineChoice("fused"), "asked for", compiled=compiled, copies=2)
    monkeypatch.setattr(sweeps, "Stack", stack)
    monkeypatch.setattr(find_engine, "choose", lambda *given, **options: decision)
    assert find(make_shuffled, ladder=SHORT, repeats=2).settings["engine"] == "fused"
    assert made == [compiled]


def test_every_point_is_told():
    told = []
    result = find(
        make_shuffled, ladder=SHORT, repeats=2, engine="fused", on_point=lambda *p: told.append(p)
    )
    points = [pair for curve in result.repeats for pair in zip(curve.lr, curve.loss, strict=True)]
    assert sorted(told) == sorted(points)


def interrupt():
    raise KeyboardInterrupt


def fail():
    raise RangeTestError("on purpose")


@pytest.mark.parametrize(("act", "error"), [(fail, RangeTestError), (interrupt, KeyboardInterrupt)])
def test_an_early_end_leaves_no_trace(act, error):
    tasks = []

    def make(seed):
        task = make_dropout(seed)
        train = Breaking(list(task.train), act) if seed == 1 else task.train
        made = Task(task.model, task.optimizer, task.loss, train, val=task.val)
        tasks.append((made, Fingerprint(made.model, made.optimizer, made.train)))
        return made

    before = Fingerprint()
    with pytest.raises(error):
        find(make, ladder=SHORT, repeats=3, held_out_every=3, engine="fused")
    assert_unchanged(before)
    assert len(tasks) >= 3
    for made, as_made in tasks:
        now = Fingerprint(made.model, made.optimizer, made.train)
        assert all(name.endswith(" random") for name in as_made.difference(now))


def test_the_callers_random_states_are_untouched():
    before = Fingerprint()
    find(make_dropout, ladder=SHORT, repeats=2, engine="fused")
    assert_unchanged(before)


def test_what_cannot_be_fused_is_swept_serially_and_a_note_says_why():
    def make(seed):
        return make_small(seed, optimizer=torch.optim.LBFGS)

    serial, asked = both(make, ladder=SHORT, repeats=2, max_updates=5)
    assert asked.settings["engine"] == "serial"
    assert asked.repeats == serial.repeats
    assert len(asked.notes) == len(serial.notes) + 1


def scaled(seed):
    task = make_shuffled(seed)
    return Task(task.model, task.optimizer, lambda m, b: task.loss(m, b) * (1 + seed), task.train)


def decayed(seed):
    task = make_shuffled(seed)
    optimizer = torch.optim.Adam(task.model.parameters(), weight_decay=0.1 * seed)
    return Task(task.model, optimizer, task.loss, task.train)


def activated(seed):
    task = make_shuffled(seed)
    task.model[1] = nn.Tanh() if seed else nn.ReLU()
    return task


def sized(seed):
    width = 16 + 8 * seed
    return make_small(0, nn.Linear(16, width), nn.Tanh(), nn.Linear(width, 16))


@pytest.mark.parametrize("task", [scaled, decayed, activated, sized])
def test_what_else_depends_on_the_seed_is_not_fused(task):
    serial, asked = both(task, ladder=SHORT, repeats=2, max_updates=20)
    assert asked.settings["engine"] == "serial"
    assert asked.repeats == serial.repeats


def test_a_later_repeat_that_differs_is_made_by_itself():
    def make(seed):
        return scaled(seed) if seed == 4 else make_shuffled(seed)

    serial, fused = both(make, ladder=SHORT, repeats=6, max_updates=20)
    assert_alike(fused, serial)


class Uneven(Stack):
    """Other parameters get gradients in the eleventh update."""

    made = 0

    def update(self, rates):
        self.made += 1
        if self.made > 10:
            raise UnevenGradientsError
        return super().update(rates)


def test_what_shows_on_the_way_is_made_by_itself(monkeypatch):
    monkeypatch.setattr(sweeps, "Stack", Uneven)
    serial, found = both(make_dropout, ladder=SHORT, repeats=3, max_updates=30)
    assert found.repeats == serial.repeats


def test_a_single_repeat_is_swept_here():
    result = find(make_shuffled, ladder=SHORT, repeats=1, engine="processes:3")
    assert result.settings["engine"] == "serial"


@pytest.mark.parametrize("engine", ["fused", "processes", "processes:2", "dask://here:1"])
def test_several_ranks_have_no_other_engine(monkeypatch, engine):
    monkeypatch.setattr(distributed, "active", lambda: True)
    with pytest.raises(InputError, match="distributed"):
        find(make_shuffled, repeats=2, engine=engine)


def test_an_engine_is_named():
    with pytest.raises(InputError, match="engine"):
        find(make_shuffled, engine="quantum")
