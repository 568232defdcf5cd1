"""Runs of real trainings by workers without the store: the numbers of serial ones, bit for bit."""

import os
import shutil

import pytest
import torch
from adapters.torch.test_runs_elsewhere import TASK, events, rows, serially, trials
from engines.clusters import LONG_SECONDS, Cluster, eventually

from stepsize.adapters.torch import Recipe
from stepsize.adapters.torch.elsewhere.far_runs import far_away
from stepsize.adapters.torch.elsewhere.run_order import Orders
from stepsize.adapters.torch.trials import test_values as values_of
from stepsize.adapters.torch.trials import train
from stepsize.comparison import conduct
from stepsize.engines.conducting import conduct_with
from stepsize.engines.dask_crew import DaskCrew
from stepsize.store import Store
from stepsize.tasks import load

pytestmark = pytest.mark.skipif(os.name != "posix", reason="ends processes by their session")


@pytest.fixture(scope="module")
def crew(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        cluster.start_worker()
        cluster.start_worker()
        with DaskCrew(cluster.address, patience=LONG_SECONDS) as made:
            eventually(lambda: made.workers == 2)
            yield made


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "runs.db") as opened:
        yield opened


@pytest.fixture
def task(tmp_path):
    """A task of a user's file, which needs another one beside it, with test batches."""
    folder = tmp_path / "task"
    folder.mkdir()
    text = TASK.replace("val=DataLoader(data, 20)", "val=DataLoader(data, 20), test=[data[:9]]")
    (folder / "task.py").write_text(text)
    (folder / "beside_the_task.py").write_text("WIDTH = 3\n")
    return load(f"{folder / 'task.py'}:make")


def values_on_test(wanted, store, ids):
    """The values on the test batches of the trials that have some."""
    return [
        values_of(trial, store.weights(run_id))
        for trial, run_id in zip(wanted, ids, strict=True)
        if store.weights(run_id).exists()
    ]


def test_numbers_over_a_cluster_are_the_serial_ones_bit_for_bit(crew, store, task, tmp_path):
    """The user's files go along: where the workers are, they are not."""
    wanted = [
        *trials(load("digits"), ("cosine(0.1)", "linear(0.1)"), (0, 1)),
        *trials(task, seeds=(0, 1), epochs=2),
    ]
    with Store(tmp_path / "near.db") as near:
        near_ids = conduct(wanted, near, train, environment={})
        expected, facts = rows(near, near_ids), [near.read(i).facts for i in near_ids]
        values = values_on_test(wanted, near, near_ids)
    orders = Orders(Recipe(), checkpoint_seconds=0.0)
    for trial in wanted:
        orders.of(trial)
    shutil.move(tmp_path / "task", tmp_path / "elsewhere")
    ids = conduct_with(crew, wanted, store, far_away(store, orders, {}), environment={})
    shutil.move(tmp_path / "elsewhere", tmp_path / "task")
    assert [store.status(run_id) for run_id in ids] == ["finished"] * 6
    assert rows(store, ids) == expected
    assert [store.read(i).facts for i in ids] == facts
    assert len(values) == 2
    assert values_on_test(wanted, store, ids) == values


def test_a_worker_killed_in_the_midst_of_a_run_changes_no_number(crew, store, task, tmp_path):
    wanted = trials(task, seeds=(0, 1), epochs=3)
    serial = serially(wanted, tmp_path)
    (tmp_path / "task" / "kill-1").touch()
    begin = far_away(store, Orders(Recipe(), checkpoint_seconds=0.0), {})
    ids = conduct_with(crew, wanted, store, begin, environment={})
    assert rows(store, ids) == serial
    assert events(store, ids[0]) == ["worker", "started"]
    assert not (tmp_path / "task" / "kill-1").exists()
    assert torch.load(store.weights(ids[1]), weights_only=True)
    assert [path.suffix for path in store.files.iterdir()] == [".weights"] * 2
