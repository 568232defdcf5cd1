"""A comparison's numbers are the same whichever engine makes its runs."""

import pytest

import stepsize as ss
from stepsize.adapters.torch.engine import bench, run_engine
from stepsize.adapters.torch.fused.runs import train_together
from stepsize.comparison import Watcher
from stepsize.engines import auto
from stepsize.errors import EngineError

ARMS = ["constant(0.01)", "linear(0.1)", "cosine(0.03)"]


class Told(Watcher):
    """Keeps the engines it is told."""

    def __init__(self):
        self.engines = []

    def engine(self, name, reason):
        self.engines.append(name)


def compared(folder, engine, **options):
    told = Told()
    result = ss.compare(
        "digits", ARMS, 2, [0, 1], store=folder, engine=engine, watchers=[told], **options
    )
    return result, told.engines


def losses(folder):
    with ss.Store(folder) as store:
        return {each.key: [loss for _, _, loss in store.updates(each.id)] for each in store.runs()}


def test_fused_is_serial_to_the_last_digits(tmp_path):
    serial, _ = compared(tmp_path / "serial", "serial")
    fused, told = compared(tmp_path / "fused", "fused")
    assert told == ["fused"]
    assert fused.settings["engine"] == "fused"
    assert [row.arm for row in fused.ranking] == [row.arm for row in serial.ranking]
    alone, together = losses(tmp_path / "serial"), losses(tmp_path / "fused")
    assert alone.keys() == together.keys()
    for key, own in alone.items():
        assert together[key] == pytest.approx(own, rel=1e-3)


def test_runs_of_one_engine_are_kept_by_another(tmp_path):
    compared(tmp_path, "serial")
    before = losses(tmp_path)
    _, told = compared(tmp_path, "fused")
    assert told == []  # nothing is left to do
    assert losses(tmp_path) == before


def test_rates_are_tuned_on_the_engine_too(tmp_path):
    result, told = compared(tmp_path, "fused", rate_factors=[0.3, 1.0])
    assert told == ["fused", "fused"]
    assert len(result.runs) == 6


def test_as_many_at_a_time_as_fit(tmp_path, monkeypatch):
    sizes = []

    def counted(trials, leases, **options):
        sizes.append(len(trials))
        train_together(trials, leases, **options)

    monkeypatch.setattr(bench, "most_copies", lambda stream, recipe, seeds: 4)
    monkeypatch.setattr(run_engine, "train_together", counted)
    result, _ = compared(tmp_path, "fused")
    assert sizes == [4, 2]
    assert {run.status for run in result.runs} == {"finished"}


def test_auto_takes_the_quickest(tmp_path, monkeypatch):
    monkeypatch.setattr(auto, "SHORT_SECONDS", 0.0)
    monkeypatch.setattr(auto, "START_SECONDS", 1000.0)
    monkeypatch.setattr(
        auto, "expected", lambda work, pace: {"serial": 2.0, "processes": 3.0, "fused": 1.0}
    )
    _, told = compared(tmp_path, "auto")
    assert told == ["fused"]


def test_a_note_tells_of_another_engine_than_the_one_asked_for(tmp_path):
    result = ss.compare(make_unfusable, ARMS[:1], 1, [0, 1], store=None, engine="fused", test=False)
    assert any("cannot be fused" in note for note in result.notes)


def test_an_arm_with_a_task_of_its_own_has_an_engine_of_its_own(tmp_path):
    arms = [ss.Arm(rate, name=f"{name} {rate}", task=task) for rate in ARMS[:2]
            for name, task in (("plain", None), ("own", make_unfusable))]  # fmt: skip
    told = Told()
    result = ss.compare(
        "digits", arms, 1, [0], store=tmp_path, engine="fused", watchers=[told], test=False
    )
    assert told.engines == ["fused", "serial"]
    assert {run.status for run in result.runs} == {"finished"}


def test_auto_goes_on_serially_where_workers_fail(tmp_path, monkeypatch):
    def failing(*args, **options):
        raise EngineError("no worker can be started")

    monkeypatch.setattr(auto, "SHORT_SECONDS", 0.0)
    monkeypatch.setattr(auto, "expected", lambda work, pace: {"serial": 2.0, "processes": 1.0})
    monkeypatch.setattr(run_engine, "conduct_with", failing)
    result, told = compared(tmp_path, "auto")
    assert told == ["processes:2"]
    assert {run.status for run in result.runs} == {"finished"}
    assert any("no worker" in note for note in result.notes)
    with pytest.raises(EngineError):
        compared(tmp_path / "asked", "processes")


def make_unfusable(seed):
    import dataclasses

    from stepsize.tasks import load, make_task

    task = make_task(load("digits"), seed)

    def loss(model, batch):
        value = task.loss(model, batch)
        return value if value.item() < 1e9 else value * 2

    return dataclasses.replace(task, loss=loss)
