"""One run of a comparison: it is an ordinary training, paired with others, and tells everything."""

import math
import random

import numpy as np
import pytest
import torch
from adapters.fingerprint import Fingerprint
from adapters.torch.trials import BATCH, LOADERS, batches, maker, run, tensors, trial_of
from adapters.zoo import MODELS, WIDTH, mse
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from stepsize.adapters.torch import Recipe, random_state, trials
from stepsize.errors import InputError, LeaseLostError, RangeTestError, TaskError
from stepsize.schedules import parse
from stepsize.store import Store
from stepsize.tasks import Task, load, make_task


def test_it_is_the_training_that_anybody_would_write(tmp_path):
    """The same numbers as a loop by hand, bit for bit."""
    schedule, seed, epochs = parse("cosine(0.1)").resolve(steps=88, steps_per_epoch=44), 3, 2
    outcome = run(tmp_path, trial_of(load("digits"), "cosine(0.1)", seed, epochs))
    task = make_task(load("digits"), seed)
    losses, history = [], []
    for epoch in range(epochs):
        for batch in task.train:
            task.optimizer.param_groups[0]["lr"] = schedule(len(losses))
            task.optimizer.zero_grad()
            loss = task.loss(task.model, batch)
            loss.backward()
            task.optimizer.step()
            losses.append(loss.item())
        task.model.eval()
        with torch.no_grad():
            [(x, classes)] = task.val
            out = task.model(x)
            values = {
                "train_loss": pytest.approx(sum(losses[-44:]) / 44),
                "val_loss": pytest.approx(nn.functional.cross_entropy(out, classes).item()),
                "val_accuracy": pytest.approx((out.argmax(1) == classes).double().mean().item()),
            }
        task.model.train()
        history.append((epoch + 1, len(losses), values))
    assert outcome.losses == losses
    assert [lr for _, lr, _ in outcome.updates] == [schedule(t) for t in range(88)]
    assert outcome.history == history
    assert outcome.stored.status == "finished"
    assert outcome.stored.done == 88
    assert outcome.stored.seconds > 0


def test_runs_of_a_seed_are_paired(tmp_path):
    """Other schedules, the same start, the same batches; another seed, others."""
    make = maker("dropout", loader="global")
    facts = {
        (schedule, seed): run(
            tmp_path / f"{number}", trial_of(make, schedule, seed), every=3600.0
        ).stored.facts
        for number, (schedule, seed) in enumerate(
            [("constant(0.1)", 0), ("linear(0.01)", 0), ("linear(0.01)", 1)]
        )
    }
    one, other, third = facts.values()
    for name in ("initial_weights", "batches"):
        assert one[name] == other[name]
        assert one[name] != third[name]
    assert (one["updates_per_epoch"], one["group_ratios"], one["device"]) == (5, [1.0], "cpu")
    assert one["optimizer"] == {
        "name": "SGD",
        "momentum": 0.9,
        "dampening": 0,
        "nesterov": True,
        "weight_decay": 0,
    }


def test_batches_in_another_order_have_another_digest(tmp_path):
    def shuffled(order):
        return maker(train=lambda seed: [batches()[row] for row in order])

    one = run(tmp_path / "one", trial_of(shuffled([0, 1, 2, 3, 4])))
    other = run(tmp_path / "other", trial_of(shuffled([1, 0, 2, 3, 4])))
    assert one.stored.facts["batches"] != other.stored.facts["batches"]


@pytest.mark.parametrize("before", [0, 1])
def test_it_depends_on_no_random_state_and_changes_none(tmp_path, before):
    random_state.seed(before)
    fingerprint = Fingerprint()
    outcome = run(tmp_path, trial_of(maker("dropout", loader="noisy")))
    assert not fingerprint.difference(Fingerprint())
    random_state.seed(17)
    other = run(tmp_path / "other", trial_of(maker("dropout", loader="noisy")))
    other.assert_same(outcome)


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_random_states_come_back_whatever_happens(tmp_path, kind):
    def failing(model, batch):
        torch.rand(1), random.random(), np.random.rand()
        raise kind

    trial = trial_of(maker(metrics=lambda seed: {"failing": failing}))
    fingerprint = Fingerprint()
    with pytest.raises(kind):
        run(tmp_path, trial)
    assert not fingerprint.difference(Fingerprint())


def test_a_callers_modes_of_gradients_do_not_matter(tmp_path):
    trial = trial_of(maker())
    outcome = run(tmp_path / "plain", trial)
    with torch.no_grad():
        run(tmp_path / "no grad", trial).assert_same(outcome)
    with torch.inference_mode():
        run(tmp_path / "inference", trial).assert_same(outcome)


def test_what_watches_cannot_change_the_numbers(tmp_path):
    seen = []

    def watch(evaluation):
        seen.append((evaluation.epoch, evaluation.updates, dict(evaluation.values)))
        torch.rand(3), random.random(), np.random.rand()

    trial = trial_of(maker("dropout", loader="noisy"))
    watched = run(tmp_path / "watched", trial, watch=watch)
    watched.assert_same(run(tmp_path / "alone", trial))
    assert seen == watched.history


# -- divergence ---------------------------------------------------------------------------------


def exploding(at):
    """A loss that is NaN from the call ``at`` on."""

    def make(seed):
        calls = 0

        def loss(model, batch):
            nonlocal calls
            calls += model.training
            return mse(model, batch) * (math.nan if calls > at else 1.0)

        return loss

    return make


def read_together(monkeypatch, losses):
    """Read that many losses at once, as on an accelerator."""
    monkeypatch.setattr("stepsize.adapters.torch.trials.training.READ_TOGETHER", losses)
    monkeypatch.setattr(
        "stepsize.adapters.torch.trials.training.other_device", lambda model: torch.device("cpu")
    )


@pytest.mark.parametrize("together", [1, 4])
def test_divergence_is_a_result(tmp_path, monkeypatch, together):
    read_together(monkeypatch, together)
    outcome = run(tmp_path, trial_of(maker(loss=exploding(7))), (6,))
    stored = outcome.stored
    assert stored.status == "diverged"
    assert stored.error == "the loss was not finite at update 7"
    assert [number for number, _, _ in outcome.updates] == list(range(8))
    assert math.isnan(outcome.losses[-1])
    assert [(epoch, updates) for epoch, updates, _ in outcome.history] == [(1, 5)]
    assert not outcome.checkpoint.exists()
    assert not outcome.weights


def test_a_rate_that_is_too_large_diverges(tmp_path):
    outcome = run(tmp_path, trial_of(maker("plain"), "constant(1e9)", epochs=20))
    assert outcome.stored.status == "diverged"


def test_a_validation_that_is_not_finite_at_the_end_is_divergence(tmp_path):
    val = batches(8, 2)
    val[1][0][0] = math.inf
    outcome = run(tmp_path, trial_of(maker("plain", val=lambda seed: val)))
    assert outcome.stored.status == "diverged"
    assert "validation" in outcome.stored.error
    assert len(outcome.history) == 3
    assert all(values["val_loss"] == math.inf for _, _, values in outcome.history)


# -- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [1, 50])
def test_an_error_in_epoch_7_gets_out_after_everything_was_written(tmp_path, monkeypatch, together):
    read_together(monkeypatch, together)

    def loss(seed):
        calls = 0

        def failing(model, batch):
            nonlocal calls
            calls += model.training
            if calls == 33:
                raise ZeroDivisionError("in epoch 7")
            return mse(model, batch)

        return failing

    trial = trial_of(maker(loss=loss), epochs=10)
    with Store(tmp_path) as store:
        with (
            store.claim(store.add_run(trial.key, trial.definition()), {}) as lease,
            pytest.raises(ZeroDivisionError),
        ):
            trials.train(trial, lease)
        assert len(list(store.updates(lease.run_id))) == 32
        assert len(store.read(lease.run_id).history) == 6
        assert store.status(lease.run_id) == "interrupted"


class Short(list):
    """Gives a batch less in the second epoch."""

    epoch = 0

    def __iter__(self):
        self.epoch += 1
        return iter(self[: 5 - (self.epoch == 2)])


def test_an_epoch_that_is_short_of_batches_is_an_error(tmp_path):
    trial = trial_of(maker(train=lambda seed: Short(batches())))
    with pytest.raises(TaskError, match=r"gave 4 batches in epoch 2, and 5"):
        run(tmp_path, trial)


class Long(list):
    """Says less than it has."""

    def __len__(self):
        return 3


def test_more_batches_than_counted_are_left(tmp_path):
    trial = trial_of(maker(train=lambda seed: Long(batches())))
    assert trial.updates == 9
    assert len(run(tmp_path, trial, (4,)).updates) == 9


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"val": lambda seed: None}, "validation"),
        ({"metrics": lambda seed: {"loss": lambda model, batch: 0.0}}, "val_loss"),
        ({"model": lambda seed: nn.LazyLinear(1)}, "lazy"),
        ({"val": lambda seed: []}, "empty"),
    ],
)
def test_tasks_that_cannot_be_compared(tmp_path, fields, message):
    trial = trial_of(maker(**fields))
    with pytest.raises(TaskError, match=message):
        run(tmp_path, trial)


def test_a_loss_that_nothing_can_be_learned_from(tmp_path):
    detached = maker(loss=lambda seed: lambda model, batch: mse(model, batch).detach())
    with pytest.raises(RangeTestError, match="gradient"):
        run(tmp_path, trial_of(detached))


def test_a_run_that_another_process_has_taken_over_stops(tmp_path):
    trial = trial_of(maker())
    with Store(tmp_path) as store:
        lease = store.claim(store.add_run(trial.key, trial.definition()), {})
        lease.finish("interrupted")
        other = store.claim(lease.run_id, {})
        lease._over = False
        with pytest.raises(LeaseLostError):
            trials.train(trial, lease)
        other.finish("interrupted")


# -- how much -----------------------------------------------------------------------------------


class Stream(IterableDataset):
    """No length, and a state of its own."""

    def __init__(self):
        self.passes = 0
        self.generator = torch.Generator().manual_seed(4)

    def __iter__(self):
        self.passes += 1
        torch.rand(1), torch.rand(1, generator=self.generator)
        return iter(list(zip(*tensors(), strict=True)))


def test_updates_are_counted_where_there_is_no_length():
    stream = Stream()
    loader = DataLoader(stream, BATCH)
    task = Task(nn.Linear(1, 1), torch.optim.SGD([torch.zeros(1)]), mse, loader)
    fingerprint = Fingerprint(stream)
    assert trials.updates_per_epoch(task) == 5
    assert trials.updates_per_epoch(task, Recipe(accumulate=2)) == 2
    assert not fingerprint.difference(Fingerprint(stream))


def test_a_stream_without_length_trains(tmp_path):
    trial = trial_of(maker(train=lambda seed: DataLoader(Stream(), BATCH)))
    run(tmp_path, trial, (3, 8)).assert_same(run(tmp_path / "whole", trial))


@pytest.mark.parametrize(("loader", "accumulate"), [([], 1), (batches(), 6)])
def test_too_few_batches_for_an_update(loader, accumulate):
    task = Task(nn.Linear(1, 1), torch.optim.SGD([torch.zeros(1)]), mse, loader)
    with pytest.raises(TaskError, match=f"{len(loader)} batches"):
        trials.updates_per_epoch(task, Recipe(accumulate=accumulate))


def test_a_loader_without_end(monkeypatch):
    class Endless:
        def __iter__(self):
            while True:
                yield batches()[0]

    monkeypatch.setattr("stepsize.adapters.torch.trials.epoch_batches.MOST_BATCHES", 10)
    task = Task(nn.Linear(1, 1), torch.optim.SGD([torch.zeros(1)]), mse, Endless())
    with pytest.raises(TaskError, match="__len__"):
        trials.updates_per_epoch(task)


def test_what_a_loader_does_after_its_last_batch_is_done(tmp_path):
    """Its epoch counter goes on, as in a loop that walks through all of it."""
    trial = trial_of(maker(loader="counting"))
    loader = LOADERS["counting"](0)
    by_hand = [batch for _ in range(3) for batch in loader]
    assert loader.epoch == 3
    outcome = run(tmp_path, trial)
    first = [(*x.shape, x.sum().item()) for x, _ in by_hand[::5]]
    assert len(set(first)) == 3
    made = []
    spied = maker(train=lambda seed: Spied(LOADERS["counting"](seed), made))
    run(tmp_path / "spied", trial_of(spied)).assert_same(outcome)
    assert made[-15:] == [x.sum().item() for x, _ in by_hand]


class Spied:
    """Notes what another loader gives."""

    def __init__(self, loader, notes):
        self.loader, self.notes = loader, notes

    def __len__(self):
        return len(self.loader)

    def __iter__(self):
        for batch in self.loader:
            self.notes.append(batch[0].sum().item())
            yield batch


# -- evaluation ---------------------------------------------------------------------------------


def test_metrics_are_means_over_examples(tmp_path):
    """The last batch is smaller, and weighs less."""
    x, y = tensors(10)
    val = [(x[:4], y[:4]), (x[4:8], y[4:8]), (x[8:], y[8:])]
    numbers = iter(range(1000))
    fields = {
        "val": lambda seed: val,
        "metrics": lambda seed: {"number": lambda model, batch: next(numbers)},
    }
    outcome = run(tmp_path, trial_of(maker("plain", **fields), epochs=1))
    assert outcome.history[0][2]["val_number"] == (4 * 0 + 4 * 1 + 2 * 2) / 10


@pytest.mark.parametrize(
    "shape",
    [
        lambda x, y: {"x": x, "y": y},
        lambda x, y: [[x], {"y": y}],
        lambda x, y: (3, x, y),
    ],
)
def test_batches_of_any_shape_weigh_by_their_examples(tmp_path, shape):
    x, y = tensors(10)
    val = [shape(x[:8], y[:8]), shape(x[8:], y[8:])]
    sizes = {"size": lambda model, batch: float(batch is val[1])}
    loss = {"loss": lambda seed: lambda model, batch: model(torch.ones(4, WIDTH)).square().mean()}
    fields = {"val": lambda seed: val, "metrics": lambda seed: sizes, **loss}
    outcome = run(tmp_path, trial_of(maker("plain", **fields), epochs=1))
    assert outcome.history[0][2]["val_size"] == 0.2


def test_every_layer_gets_its_own_mode_back(tmp_path):
    """A layer that is frozen in eval mode stays so; the others train, and are evaluated in eval."""
    modes = []

    def note(model, batch):
        modes.append([module.training for module in model])
        return 0.0

    def loss(model, batch):
        note(model, batch)
        return mse(model, batch)

    fields = {"metrics": lambda seed: {"noted": note}, "loss": lambda seed: loss}
    run(tmp_path, trial_of(maker("frozen norm", **fields), epochs=2))
    training, evaluating = [True, False, True, True], [False] * 4
    per_epoch = [training] * 5 + [evaluating] * 4  # two batches, loss and metric
    assert modes == per_epoch * 2


def test_a_model_in_eval_mode_is_trained(tmp_path):
    modes = set()

    def loss(model, batch):
        modes.add((model.training, torch.is_grad_enabled()))
        return mse(model, batch)

    run(tmp_path, trial_of(maker("eval before", loss=lambda seed: loss)))
    assert modes == {(True, True), (False, False)}


# An embedding with max_norm writes to its weights whenever it is used, in any loop.
@pytest.mark.parametrize("model", sorted(set(MODELS) - {"embedding"}))
def test_evaluating_leaves_no_trace(tmp_path, model):
    """With another validation, even a random one, the training is the same."""
    val = {"val": lambda seed: DataLoader(TensorDataset(*tensors(12, 5)), BATCH, shuffle=True)}
    one = run(tmp_path / "one", trial_of(maker(model, **val)))
    other = run(tmp_path / "other", trial_of(maker(model)))
    assert one.losses == other.losses


def test_validation_draws_the_same_each_time(tmp_path):
    def noise(model, batch):
        return torch.rand(()).item()

    loader = {"val": lambda seed: DataLoader(TensorDataset(*tensors(12, 5)), BATCH, shuffle=True)}
    metrics = {"metrics": lambda seed: {"noise": noise}}
    outcome = run(tmp_path, trial_of(maker(**loader, **metrics)))
    assert len({values["val_noise"] for _, _, values in outcome.history}) == 1


def test_the_test_set_is_read_with_the_final_weights(tmp_path):
    make = maker("batch norm", test=lambda seed: batches(8, 2))
    trial = trial_of(make)
    outcome = run(tmp_path, trial)
    fingerprint = Fingerprint()
    values = trials.test_values(trial, outcome.weights_path)
    assert not fingerprint.difference(Fingerprint())
    final = outcome.history[-1][2]
    assert values == {"test_loss": final["val_loss"], "test_mean": final["val_mean"]}


def test_without_a_test_set_no_weights_are_kept(tmp_path):
    trial = trial_of(maker(test=lambda seed: None))
    outcome = run(tmp_path, trial)
    assert not outcome.weights_path.exists()
    with pytest.raises(TaskError, match="test"):
        trials.test_values(trial, outcome.weights_path)


def test_a_scaler_that_skips_updates(tmp_path):
    """The rate that is logged is the one that the update would have used: the schedule waits."""

    def steep(seed):
        return lambda model, batch: 1000.0 * mse(model, batch)

    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=10_000)
    recipe = Recipe(scaler=scaler)
    trial = trial_of(maker("plain", loss=steep), "linear(0.1)", recipe=recipe)
    outcome = run(tmp_path, trial, (4, 6), recipe=recipe)
    used = list(dict.fromkeys(lr for _, lr, _ in outcome.updates))
    assert 1 < len(used) < 15
    assert used == [trial.schedule(t) for t in range(len(used))]
    outcome.assert_same(run(tmp_path / "whole", trial, recipe=recipe))


def test_a_recipe_that_an_optimizer_cannot_follow(tmp_path):
    recipe = Recipe(scaler=torch.amp.GradScaler("cpu"))
    with pytest.raises(InputError, match="closure"):
        run(tmp_path, trial_of(maker("plain", "lbfgs"), recipe=recipe), recipe=recipe)
