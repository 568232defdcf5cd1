"""A run that was stopped anywhere ends with the numbers of one that was not, bit for bit."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from adapters.torch.trials import LOADERS, LOSSES, Stopping, maker, run, trial_of
from adapters.zoo import MODELS, OPTIMIZERS

from stepsize.adapters.torch import Recipe, trials
from stepsize.store import Store
from stepsize.tasks import load

#: Updates at which runs of 15 are stopped: in the first epoch, at both sides of its end, late.
STOPS = (2, 4, 5, 12)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """It takes most of the time, and no test here pulls the plug."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


def check(tmp_path, trial, stops=STOPS, **options):
    """Stopped and whole runs are the same; stopped ones have resumed."""
    whole = run(tmp_path / "whole", trial, every=3600.0, **options)
    stopped = run(tmp_path / "stopped", trial, stops, **options)
    stopped.assert_same(whole)
    assert whole.stored.status == "finished"
    assert len(whole.updates) == trial.updates
    assert whole.resumed == []
    assert stopped.resumed == [f"after {stop} updates" for stop in stops]
    assert not stopped.checkpoint.exists()


@pytest.mark.parametrize("model", MODELS)
def test_every_model(tmp_path, model):
    check(tmp_path, trial_of(maker(model)))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer(tmp_path, optimizer):
    check(tmp_path, trial_of(maker("batch norm", optimizer)))


@pytest.mark.parametrize("loader", LOADERS)
def test_every_loader(tmp_path, loader):
    check(tmp_path, trial_of(maker(loader=loader)))


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss(tmp_path, loss):
    check(tmp_path, trial_of(maker(loss=loss)))


def test_accumulated_batches(tmp_path):
    recipe = Recipe(accumulate=2, clip_norm=1.0)
    trial = trial_of(maker(loader="global"), recipe=recipe)
    assert trial.updates == 6
    check(tmp_path, trial, (1, 2, 5), recipe=recipe)


def test_bfloat16(tmp_path):
    recipe = Recipe(autocast=torch.bfloat16)
    check(tmp_path, trial_of(maker("plain"), recipe=recipe), recipe=recipe)


class Scaler(torch.amp.GradScaler):
    """Works on the CPU, and grows often."""

    def __init__(self):
        super().__init__("cpu", init_scale=3.0, growth_factor=1.7, growth_interval=2)


def test_a_scaler_goes_on_and_is_given_back(tmp_path):
    recipe = Recipe(scaler=Scaler())
    before = recipe.scaler.get_scale()
    check(tmp_path, trial_of(maker("plain"), recipe=recipe), recipe=recipe)
    assert recipe.scaler.get_scale() == before


def test_groups_keep_their_ratios(tmp_path):
    def two_groups(seed):
        task = maker("plain")(seed)
        first, *rest = task.model.parameters()
        groups = [{"params": [first], "lr": 0.003}, {"params": rest, "lr": 0.01}]
        fields = {name: getattr(task, name) for name in ("model", "loss", "train", "val", "test")}
        return type(task)(optimizer=torch.optim.AdamW(groups), **fields)

    check(tmp_path, trial_of(two_groups, "warmup(cosine(0.05), steps=4)"))
    whole = run(tmp_path / "again", trial_of(two_groups, "warmup(cosine(0.05), steps=4)"))
    assert whole.stored.facts["group_ratios"] == pytest.approx([0.3, 1.0])


def test_losses_read_in_blocks(tmp_path, monkeypatch):
    """As on an accelerator, where reading waits for it."""
    trial = trial_of(maker("batch norm"))
    one_by_one = run(tmp_path / "one", trial, every=3600.0)
    monkeypatch.setattr("stepsize.adapters.torch.trials.training.READ_TOGETHER", 3)
    monkeypatch.setattr(
        "stepsize.adapters.torch.trials.training.other_device", lambda model: torch.device("cpu")
    )
    run(tmp_path / "blocks", trial, every=3600.0).assert_same(one_by_one)
    run(tmp_path / "stopped", trial, STOPS).assert_same(one_by_one)


def test_between_checkpoints_nothing_is_lost_but_time(tmp_path):
    """What was logged after the last checkpoint is made again."""
    trial = trial_of(maker())
    whole = run(tmp_path / "whole", trial, every=3600.0)
    stopped = run(tmp_path / "stopped", trial, (3, 7), every=3600.0)
    assert stopped.resumed == []
    stopped.assert_same(whole)


@pytest.mark.parametrize("every", [3600.0, 1e-9])
def test_what_is_made_again_is_forgotten_first(tmp_path, every):
    """Without a checkpoint, and with an early one."""
    trial = trial_of(maker())
    with Store(tmp_path) as store:
        run_id = store.add_run(trial.key, trial.definition())
        for stop in (12, 5):
            lease = store.claim(run_id, {})
            stopping = Stopping(lease, stop, ValueError("stopped"))
            with lease, pytest.raises(ValueError, match="stopped"):
                trials.train(trial, stopping, checkpoint_seconds=every)
            assert len(list(store.updates(run_id))) == stop
            assert len(store.read(run_id).history) == stop // 5


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143)], ids=["^C", "SIGTERM"])
def test_an_interruption_between_updates_saves(tmp_path, error):
    trial = trial_of(maker())
    whole = run(tmp_path / "whole", trial, every=3600.0)

    def stop(evaluation):
        if evaluation.epoch == 2 and not stopped:
            stopped.append(evaluation)
            raise error

    stopped = []
    with Store(tmp_path / "store") as store:
        lease = store.claim(store.add_run(trial.key, trial.definition()), {})
        with lease, pytest.raises(type(error)):
            trials.train(trial, lease, watch=stop)
        assert store.status(lease.run_id) == "interrupted"
    after = run(tmp_path / "store", trial, every=3600.0)
    after.assert_same(whole)
    assert after.resumed == ["after 10 updates"]


class Signalling(Stopping):
    """A lease whose ``log`` sends a signal, and lets the update be."""

    def log(self, update, lr, loss):
        self._lease.log(update, lr, loss)
        if update == self._update:
            signal.raise_signal(self._error)


def test_ctrl_c_waits_for_the_end_of_an_update_and_saves(tmp_path):
    trial = trial_of(maker("dropout", "adam"))
    whole = run(tmp_path / "whole", trial, every=3600.0)
    handler = signal.getsignal(signal.SIGINT)
    with Store(tmp_path / "store") as store:
        lease = store.claim(store.add_run(trial.key, trial.definition()), {})
        with lease, pytest.raises(KeyboardInterrupt):
            trials.train(trial, Signalling(lease, 7, signal.SIGINT))
        assert store.read(lease.run_id).done == 8
        assert store.status(lease.run_id) == "interrupted"
        assert lease.checkpoint.is_file()
    assert signal.getsignal(signal.SIGINT) is handler
    after = run(tmp_path / "store", trial, every=3600.0)
    after.assert_same(whole)
    assert after.resumed == ["after 8 updates"]


def test_in_another_thread_there_are_no_signals(tmp_path):
    outcomes = []
    trial = trial_of(maker())
    thread = threading.Thread(target=lambda: outcomes.append(run(tmp_path, trial, (3,))))
    thread.start()
    thread.join()
    assert outcomes[0].stored.status == "finished"


KILLED = """
import sys, time
sys.path.insert(0, {tests!r})
from adapters.torch import trials
from stepsize.adapters.torch.trials import trial
import stepsize.tasks, torch
torch.set_num_threads(1)
made = trials.trial_of(stepsize.tasks.load("digits"), "cosine(0.1)")
with trials.Store({folder!r}) as store:
    with store.claim(store.add_run(made.key, made.definition()), {{}}) as lease:
        class Slow(trials.Stopping):
            def log(self, update, lr, loss):
                lease.log(update, lr, loss)
                if update == 60:
                    print("there", flush=True)
                    time.sleep(60)
        trial.train(made, Slow(lease, None, None), checkpoint_seconds=0)
"""


def test_a_run_that_was_killed(tmp_path):
    """kill -9 in another process, which has no chance to do anything."""
    trial = trial_of(load("digits"), "cosine(0.1)")
    whole = run(tmp_path / "whole", trial, every=3600.0)
    tests = str(Path(__file__).parents[2])
    code = KILLED.format(tests=tests, folder=str(tmp_path / "killed"))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "there\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    after = run(tmp_path / "killed", trial, every=3600.0)
    after.assert_same(whole)
    assert len(after.resumed) == 1


def garbage(content, path):
    path.write_bytes(b"no checkpoint")


def truncated(content, path):
    path.write_bytes(path.read_bytes()[:-200])


def other_run(content, path):
    torch.save({**content, "key": "another"}, path)


def other_layout(content, path):
    torch.save({**content, "format": 0}, path)


def other_model(content, path):
    objects = content["state"]["objects"]
    torch.save({**content, "state": {**content["state"], "objects": objects[:-1]}}, path)


def with_code(content, path):
    torch.save({**content, "code": Scaler()}, path)


@pytest.mark.parametrize(
    "damage", [garbage, truncated, other_run, other_layout, other_model, with_code]
)
def test_a_checkpoint_that_cannot_be_used_is_set_aside(tmp_path, damage):
    trial = trial_of(maker("batch norm", "adam"))
    whole = run(tmp_path / "whole", trial, every=3600.0)
    with Store(tmp_path / "store") as store:
        lease = store.claim(store.add_run(trial.key, trial.definition()), {})
        error = ValueError("stopped")
        with lease, pytest.raises(ValueError, match="stopped"):
            trials.train(trial, Stopping(lease, 7, error), checkpoint_seconds=0)
        path = lease.checkpoint
    damage(torch.load(path), path)
    after = run(tmp_path / "store", trial, every=3600.0)
    after.assert_same(whole)
    assert after.resumed == []
    assert path.with_name(path.name + ".unreadable").is_file()
    assert any(kind == "checkpoint" and "set aside" in text for kind, text in after.events)


def test_a_checkpoint_that_is_ahead_of_the_store_is_not_resumed_from(tmp_path):
    """After a power failure the last rows may be gone, and would be missing for ever."""
    trial = trial_of(maker("batch norm", "adam"))
    whole = run(tmp_path / "whole", trial, every=3600.0)
    with Store(tmp_path / "store") as store:
        lease = store.claim(store.add_run(trial.key, trial.definition()), {})
        with lease, pytest.raises(ValueError, match="stopped"):
            trials.train(trial, Stopping(lease, 7, ValueError("stopped")), checkpoint_seconds=0)
        with store.claim(lease.run_id, {}) as again:
            again.rewind(5)
    after = run(tmp_path / "store", trial, every=3600.0)
    after.assert_same(whole)
    assert after.resumed == []


def test_a_checkpoint_that_cannot_be_written_is_told_once(tmp_path, monkeypatch):
    def full(path, key, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stepsize.adapters.torch.trials.checkpoint.save_checkpoint", full)
    outcome = run(tmp_path, trial_of(maker()))
    assert outcome.stored.status == "finished"
    told = [text for kind, text in outcome.events if kind == "checkpoint"]
    assert len(told) == 1
    assert "No space left" in told[0]


def test_what_a_checkpoint_counts_is_in_the_store_before_it(tmp_path, monkeypatch):
    """Or a sudden end just after it would leave a gap in what is logged."""
    trial = trial_of(maker())
    store = Store(tmp_path)
    run_id = store.add_run(trial.key, trial.definition())
    gaps = []

    def spy(path, key, content):
        done = content["epoch"] * trial.updates_per_epoch + content["done"]
        gaps.append(done - len(list(store.updates(run_id))))

    monkeypatch.setattr("stepsize.adapters.torch.trials.checkpoint.save_checkpoint", spy)
    monkeypatch.setattr("stepsize.store.lease.COMMIT_SECONDS", 3600.0)
    run(tmp_path, trial)
    store.close()
    assert gaps == [0] * trial.updates


def test_nothing_is_left_beside_the_results(tmp_path):
    outcome = run(tmp_path, trial_of(maker()), STOPS)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and ".db-" not in path.name]
    assert sorted(files) == sorted([tmp_path / "stepsize.db", outcome.weights_path])


def test_the_time_of_checkpoints_is_a_small_part(tmp_path):
    """One that took long puts off the next."""
    trial = trial_of(maker())
    began = time.monotonic()
    outcome = run(tmp_path, trial, (14,), every=1e-9)
    assert time.monotonic() - began < 60
    assert outcome.resumed != ["after 14 updates"]
