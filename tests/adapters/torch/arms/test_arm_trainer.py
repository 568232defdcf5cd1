"""Arms trained in parts, in one living task, have the numbers of trainings of their own."""

import gc
import math
import multiprocessing
import random
import signal

import numpy as np
import pytest
import torch
from adapters.fingerprint import Fingerprint
from adapters.torch.trials import (
    BATCH,
    LOADERS,
    LOSSES,
    Own,
    batches,
    maker,
    run,
    tensors,
    trial_of,
)
from adapters.zoo import MODELS, OPTIMIZERS, WIDTH, mse
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from stepsize.adapters.torch import Recipe
from stepsize.adapters.torch.arms import TorchArmTrainer
from stepsize.errors import InputError, RangeTestError, TaskError
from stepsize.schedules import Function, parse
from stepsize.tasks import LoadedTask, load
from stepsize.tuner.trainer import Entry

EPOCHS, UPDATES = 3, 15
#: In the first epoch, at both sides of its end, late.
PARTS = (2, 4, 5, 7, 12, 15)
SCHEDULES = ("cosine(0.02)", "warmup(linear(0.005), steps=20%)", "constant(0.0004)")


def entry_of(text, updates=UPDATES, **fields):
    per_epoch = updates // EPOCHS
    schedule = parse(text).resolve(steps=updates, steps_per_epoch=per_epoch)
    return Entry(schedule, max(map(schedule, range(updates))), **fields)


def trainer_of(make, **options):
    loaded = make if isinstance(make, LoadedTask) else LoadedTask("mine", make)
    return TorchArmTrainer(loaded, EPOCHS, **{"evaluation_share": 100.0, **options})


def check(tmp_path, make, parts=PARTS, texts=SCHEDULES, recipe=Recipe(), seed=0):
    """Interleaved arms, part by part, against runs of a comparison; bit for bit."""
    outcomes = [
        run(
            tmp_path / f"{number}",
            trial_of(make, text, seed, EPOCHS, recipe),
            every=3600.0,
            recipe=recipe,
        )
        for number, text in enumerate(texts)
    ]
    with trainer_of(make, recipe=recipe, seed=seed) as trainer:
        per_epoch = trainer.updates_per_epoch
        arms = [(entry_of(text, trainer.updates, seed=seed), []) for text in texts]
        for part in parts:
            for entry, readings in arms:
                readings.append(trainer.advance(entry, part))
        assert trainer.spent == parts[-1] * len(texts)
        assert trainer.evaluations == len(parts) * len(texts)
    for (_, readings), outcome in zip(arms, outcomes, strict=True):
        assert [reading.updates for reading in readings] == list(parts)
        losses = outcome.losses
        for begin, reading in zip((0, *parts), readings, strict=False):
            part = losses[begin : reading.updates]
            assert reading.train_loss == math.fsum(part) / len(part)
        by_updates = {updates: values["val_loss"] for _, updates, values in outcome.history}
        assert [r.val_loss for r in readings if r.updates % per_epoch == 0] == [
            by_updates[r.updates] for r in readings if r.updates % per_epoch == 0
        ]
    return outcomes


def both(seed):
    """Dropout and batch norm."""
    return nn.Sequential(
        nn.Linear(WIDTH, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Tanh(), nn.Linear(5, 1)
    )


# -- the numbers are those of a comparison ------------------------------------------------------


def test_digits(tmp_path):
    parts = (1, 2, 30, 43, 44, 45, 100, 132)
    check(tmp_path, load("digits"), parts, ("cosine(0.1)", "linear(0.01)"), seed=3)


@pytest.mark.parametrize("parts", [PARTS, tuple(range(1, UPDATES + 1))])
def test_dropout_batch_norm_and_a_shuffled_loader(tmp_path, parts):
    """Also update by update: each training loss is then one of a logged update."""
    outcomes = check(tmp_path, maker(both, "adam", "global"), parts)
    assert outcomes[0].losses != outcomes[1].losses


@pytest.mark.parametrize("name", ["noisy", "counting", "persistent workers"])
def test_one_arm_alone(tmp_path, name):
    """It stays where it is between two parts, whatever the caller draws there."""
    check(tmp_path, maker(both, "adam", name), texts=SCHEDULES[:1])


class Ending(Own):
    """Does something when a pass is given up, too."""

    def begin(self, seed):
        self.passes = 0

    def order(self):
        try:
            for row in range(5):
                yield (row * (self.passes + 1)) % 5
        finally:
            self.passes += 1


def test_a_loader_that_hears_of_the_end_of_a_pass(tmp_path):
    check(tmp_path, maker(train=Ending))


# An embedding with max_norm writes to its weights whenever it is used: also when it is evaluated.
@pytest.mark.parametrize("model", sorted(set(MODELS) - {"embedding"}))
def test_every_model(tmp_path, model):
    # A metric runs a model that keeps something from batch to batch once more: no metric here.
    check(tmp_path, maker(model, metrics=lambda seed: {}))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer(tmp_path, optimizer):
    check(tmp_path, maker("batch norm", optimizer))


@pytest.mark.parametrize("loader", LOADERS)
def test_every_loader(tmp_path, loader):
    check(tmp_path, maker(loader=loader))


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss(tmp_path, loss):
    check(tmp_path, maker(loss=loss))


RECIPES = {
    "accumulated": lambda: Recipe(accumulate=2, clip_norm=1.0),
    "bfloat16": lambda: Recipe(autocast=torch.bfloat16),
    "scaler": lambda: Recipe(
        scaler=torch.amp.GradScaler("cpu", init_scale=3.0, growth_factor=1.7, growth_interval=2)
    ),
}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe(tmp_path, name):
    recipe = RECIPES[name]()
    scaler = None if recipe.scaler is None else recipe.scaler.state_dict()
    parts = (1, 2, 4, 6) if recipe.accumulate == 2 else PARTS
    check(tmp_path, maker("plain", loader="global"), parts, recipe=recipe)
    assert recipe.scaler is None or recipe.scaler.state_dict() == scaler


@pytest.mark.parametrize("together", [2, 4])
def test_losses_that_are_read_together(tmp_path, monkeypatch, together):
    """As on an accelerator."""
    module = "stepsize.adapters.torch.trials.training"
    monkeypatch.setattr(f"{module}.READ_TOGETHER", together)
    monkeypatch.setattr(f"{module}.other_device", lambda model: torch.device("cpu"))
    check(tmp_path, maker())


def test_ratios_between_groups_are_kept_from_arm_to_arm(tmp_path):
    def make(seed):
        task = maker()(seed)
        first, *others = task.model.parameters()
        groups = [{"params": [first], "lr": 0.3}, {"params": others, "lr": 0.1}]
        task.optimizer.param_groups.clear()
        for group in groups:
            task.optimizer.add_param_group(group)
        return task

    check(tmp_path, make)


# -- what cannot be put back --------------------------------------------------------------------


class InPlace:
    """Shuffles a large list, or a large tensor that is no order, in place."""

    def __init__(self, kind):
        self.rows = list(range(3_000)) if kind == "list" else torch.arange(3_000.0)
        self.random = random.Random(4)
        self.batches = batches()

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        if isinstance(self.rows, list):
            self.random.shuffle(self.rows)
        else:
            self.rows.mul_(1.37).remainder_(911.0)
        for row in range(5):
            yield self.batches[(int(self.rows[row]) + row) % 5]


class Meter:
    """Neither called nor iterated, so nobody looks into it."""

    def __init__(self):
        self.updates = 0


def metered(seed):
    meter = Meter()

    def loss(model, batch):
        meter.updates += model.training
        return mse(model, batch) * (1.0 + meter.updates)

    return loss


@pytest.mark.parametrize(
    ("fields", "made"),
    [
        ({"train": lambda seed: InPlace("list")}, 1),
        ({"train": lambda seed: InPlace("tensor")}, 4),
        ({"loss": metered}, 3),
    ],
)
def test_tasks_that_have_to_be_made_anew(tmp_path, fields, made):
    """One arm after the other: what is not looked into does not survive an interruption either."""
    make, calls = maker(**fields), []
    outcomes = [run(tmp_path / text[:6], trial_of(make, text), every=3600.0) for text in SCHEDULES]

    def counted(seed):
        calls.append(seed)
        return make(seed)

    with trainer_of(counted) as trainer:
        for text, outcome in zip(SCHEDULES, outcomes, strict=True):
            reading = trainer.advance(entry_of(text), 5)
            assert reading.train_loss == math.fsum(outcome.losses[:5]) / 5
            assert reading.val_loss == pytest.approx(outcome.history[0][2]["val_loss"])
    assert len(calls) == made


def test_the_task_is_made_once_for_each_seed():
    calls = []

    def counted(seed):
        calls.append(seed)
        return maker(both, "adam", "global")(seed)

    with trainer_of(counted) as trainer:
        arms = [entry_of(text, seed=seed) for text in SCHEDULES for seed in (0, 1)]
        for part in (2, 7):
            for entry in arms:
                trainer.advance(entry, part)
        assert trainer.start_loss(0) != trainer.start_loss(1)
    assert calls == [0, 1]


# -- arms ---------------------------------------------------------------------------------------


def readings_of(make, order, parts=(2, 7, 15), texts=SCHEDULES, start_first=False):
    with trainer_of(make) as trainer:
        if start_first:
            trainer.start_loss()
        found = {
            (number, part): trainer.advance(entry_of(texts[number]), part)
            for part in parts
            for number in order
        }
        return found, trainer.start_loss()


@pytest.mark.parametrize("model", [both, "embedding", "lstm", "bookkeeper"])
def test_the_order_of_the_arms_does_not_matter(model):
    make = maker(model, "adam", "noisy", "callable")
    assert readings_of(make, (0, 1, 2)) == readings_of(make, (2, 0, 1), start_first=True)


@pytest.mark.parametrize("at", [3, 5, 7])
@pytest.mark.parametrize("alone", [True, False])
def test_a_branch_goes_on_as_the_arm_would_have(at, alone):
    """With another schedule from there on; the arm itself stays as it is."""
    make, (one, other) = maker(both, "sgd", "global"), map(entry_of, SCHEDULES[:2])
    joined = Entry(switched(one.schedule, other.schedule, at), one.lr)
    with trainer_of(make) as trainer:
        expected = [trainer.advance(joined, part) for part in (at, 15)]
        plain = [trainer.advance(one, part) for part in (at, 15)]
    with trainer_of(make) as trainer:
        assert trainer.advance(one, at) == plain[0] == expected[0]
        trainer.branch(one, other)
        if not alone:
            trainer.advance(entry_of(SCHEDULES[2]), 6)
        spent = trainer.spent
        assert trainer.advance(other, at) == plain[0]
        assert trainer.spent == spent
        assert trainer.advance(other, 15) == expected[1] != plain[1]
        assert trainer.advance(one, 15) == plain[1]


def switched(first, second, at):
    """The second schedule from update ``at`` on."""
    return Function(lambda t: first(t) if t < at else second(t)).resolve(steps=UPDATES)


def test_a_branch_of_what_was_never_advanced_begins_at_the_start():
    one, other = map(entry_of, SCHEDULES[:2])
    with trainer_of(maker()) as trainer:
        expected = trainer.advance(other, 4)
    with trainer_of(maker()) as trainer:
        trainer.advance(other, 2)  # forgotten
        trainer.branch(one, other)
        assert trainer.advance(other, 4) == expected


@pytest.mark.parametrize("fields", [{"seed": 1}, {"optimizer": "adamw"}])
def test_a_branch_keeps_seed_and_optimizer(fields):
    with trainer_of(maker()) as trainer, pytest.raises(InputError, match="seed and optimizer"):
        trainer.branch(entry_of(SCHEDULES[0]), entry_of(SCHEDULES[1], **fields))


def test_what_was_dropped_begins_anew():
    one, other = map(entry_of, SCHEDULES[:2])
    with trainer_of(maker()) as trainer:
        trainer.drop(one)
        first = trainer.advance(one, 4)
        trainer.advance(other, 4)
        trainer.drop(one)
        assert trainer.advance(one, 4) == first
        assert trainer.spent == 12


def test_an_arm_is_not_taken_back_or_beyond_the_end():
    entry = entry_of(SCHEDULES[0])
    with trainer_of(maker()) as trainer:
        reading = trainer.advance(entry, 4)
        assert trainer.advance(entry, 4) == reading
        assert (trainer.spent, trainer.evaluations) == (4, 1)
        for updates in (3, 16, 0):
            with pytest.raises(InputError, match="made 4 updates"):
                trainer.advance(entry, updates)
        assert trainer.advance(entry, 15).updates == 15
        assert trainer.advance(entry, 15).updates == 15


# -- divergence ---------------------------------------------------------------------------------


def exploding(seed):
    """Not finite where the rate is high."""

    def loss(model, batch):
        value = mse(model, batch)
        return value * math.inf if value > 1e6 else value

    return loss


@pytest.mark.parametrize("together", [1, 4])
def test_divergence_is_a_reading(monkeypatch, together):
    module = "stepsize.adapters.torch.trials.training"
    monkeypatch.setattr(f"{module}.READ_TOGETHER", together)
    monkeypatch.setattr(f"{module}.other_device", lambda model: torch.device("cpu"))
    steep, flat, other = map(entry_of, ("constant(1e6)", *SCHEDULES[:2]))
    make = maker("plain", loss=exploding)
    with trainer_of(make) as trainer:
        expected = trainer.advance(flat, 7)
    with trainer_of(make) as trainer:
        reading = trainer.advance(steep, 15)
        assert (reading.val_loss, reading.train_loss) == (math.inf, math.inf)
        assert 1 < reading.updates == trainer.spent < 15
        assert trainer.evaluations == 0
        with pytest.raises(InputError, match="diverged"):
            trainer.advance(steep, 15)
        with pytest.raises(InputError, match="diverged"):
            trainer.branch(steep, other)
        assert trainer.advance(flat, 7) == expected


def test_a_validation_loss_that_is_not_finite_is_infinite():
    def loss(seed):
        return lambda model, batch: mse(model, batch) * (1.0 if model.training else math.nan)

    entry = entry_of(SCHEDULES[0])
    with trainer_of(maker(loss=loss)) as trainer:
        assert trainer.start_loss() == math.inf
        assert trainer.advance(entry, 3).val_loss == math.inf
        with pytest.raises(InputError, match="diverged"):
            trainer.advance(entry, 4)


# -- errors and Ctrl-C --------------------------------------------------------------------------


def failing(at, error):
    """A loss that calls ``error`` at a call in training, of whichever arm."""
    meter = Meter()

    def loss(model, batch):
        meter.updates += model.training
        torch.rand(1), random.random(), np.random.rand()
        if meter.updates == at:
            error()
        return mse(model, batch)

    return lambda seed: loss


def raises():
    raise ZeroDivisionError("in the task")


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (raises, TaskError, r"mine raised ZeroDivisionError: in the task .*while it was trained"),
        (lambda: exec("raise SystemExit(3)"), TaskError, r"sys\.exit\(3\)"),
    ],
)
def test_what_the_tasks_code_raises_says_where(error, expected, message):
    fingerprint = Fingerprint()
    with trainer_of(maker(loss=failing(4, error))) as trainer:
        with pytest.raises(expected, match=message):
            trainer.advance(entry_of(SCHEDULES[0]), 7)
        assert not fingerprint.difference(Fingerprint())
        assert trainer.spent == 3


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"val": lambda seed: None}, TaskError, "validation"),
        ({"val": lambda seed: []}, TaskError, "empty"),
        ({"train": lambda seed: []}, TaskError, "0 batches"),
        ({"model": lambda seed: nn.LazyLinear(1)}, TaskError, "lazy"),
    ],
)
def test_tasks_that_cannot_be_judged(fields, error, message):
    with pytest.raises(error, match=message):
        trainer_of(maker(**fields))


def test_a_loss_without_gradient():
    detached = maker(loss=lambda seed: lambda model, batch: mse(model, batch).detach())
    with trainer_of(detached) as trainer, pytest.raises(RangeTestError, match="gradient"):
        trainer.advance(entry_of(SCHEDULES[0]), 1)


@pytest.mark.parametrize("epochs", [0, 1.5])
def test_epochs_that_make_no_sense(epochs):
    with pytest.raises(InputError, match="epochs"):
        TorchArmTrainer(LoadedTask("mine", maker()), epochs)


@pytest.mark.parametrize("loader", ["global", "persistent workers"])
def test_after_ctrl_c_every_arm_goes_on_from_its_last_reading(loader):
    """It waits for the end of the update; nothing is left in the caller's world."""

    def ctrl_c():
        signal.raise_signal(signal.SIGINT)

    def make(at):
        return maker(both, loader=loader, loss=failing(at, ctrl_c))

    one, other = map(entry_of, SCHEDULES[:2])
    with trainer_of(make(-1)) as trainer:
        plain = [[trainer.advance(entry, part) for entry in (one, other)] for part in (4, 9)]
    fingerprint, handler = Fingerprint(), signal.getsignal(signal.SIGINT)
    with trainer_of(make(11)) as trainer:
        first = [trainer.advance(entry, 4) for entry in (one, other)]
        with pytest.raises(KeyboardInterrupt):
            trainer.advance(one, 9)
        assert trainer.spent == 11
        assert not fingerprint.difference(Fingerprint())
        assert signal.getsignal(signal.SIGINT) is handler
        assert [first, [trainer.advance(entry, 9) for entry in (one, other)]] == plain


@pytest.mark.parametrize("before", [0, 1])
def test_it_depends_on_no_random_state_and_changes_none(before):
    torch.manual_seed(before), random.seed(before), np.random.seed(before)
    fingerprint = Fingerprint()
    with torch.inference_mode():
        found = readings_of(maker(both, "adam", "noisy"), (0, 1))
    assert not fingerprint.difference(Fingerprint())
    assert found == readings_of(maker(both, "adam", "noisy"), (0, 1))


# -- how much is evaluated ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "batches_used"), [(100.0, 5), (5 / 3 / 15, 5), (0.99 / 15, 2), (1 / 15, 3), (1e-9, 1)]
)
def test_evaluation_costs_at_most_its_share(share, batches_used):
    """A forward pass costs a third of an update."""
    held_out = batches(20, 2)
    seen = []

    def loss(seed):
        def noted(model, batch):
            seen.append((model.training, batch[0].sum().item()))
            return mse(model, batch)

        return noted

    make = maker("plain", loss=loss, val=lambda seed: held_out)
    with trainer_of(make, evaluation_share=share) as trainer:
        assert trainer.evaluation_updates == pytest.approx(batches_used / 3)
        start = trainer.start_loss()
        assert seen == [(False, x.sum().item()) for x, _ in held_out[:batches_used]]
        trainer.advance(entry_of(SCHEDULES[0]), 2)
        assert trainer.evaluations == 2
        assert trainer.start_loss() == start
        assert trainer.evaluations == 2


def test_a_smaller_last_batch_costs_less():
    x, y = tensors(6, 2)
    val = [(x[:4], y[:4]), (x[4:], y[4:])]
    with trainer_of(maker(val=lambda seed: val)) as trainer:
        assert trainer.evaluation_updates == pytest.approx(6 / 12)
    with trainer_of(maker(val=lambda seed: val), recipe=Recipe(accumulate=2)) as trainer:
        assert trainer.evaluation_updates == pytest.approx(6 / 24)


def test_batches_without_examples_count_as_one():
    def loss(seed):
        return lambda model, batch: model(torch.ones(4, WIDTH)).square().mean() * len(batch)

    fields = {"loss": loss, "train": lambda seed: ["ab", "cd", "e", "f", "g"]}
    with trainer_of(maker(val=lambda seed: ["ab", "c"], metrics=lambda seed: {}, **fields)) as t:
        assert t.evaluation_updates == pytest.approx(2 / 3)
        assert t.advance(entry_of(SCHEDULES[0]), 6).updates == 6


def test_a_shuffled_validation_is_the_same_each_time():
    val = {"val": lambda seed: DataLoader(TensorDataset(*tensors(12, 5)), BATCH, shuffle=True)}
    with trainer_of(maker(**val), evaluation_share=0.01) as trainer:
        one, other = map(entry_of, SCHEDULES[:2])
        trainer.advance(one, 3)
        whole = trainer.advance(other, 4)
    with trainer_of(maker(**val), evaluation_share=0.01) as trainer:
        assert trainer.advance(other, 4) == whole


# -- what is left in memory ---------------------------------------------------------------------


def tensors_alive():
    gc.collect()
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


def test_arms_that_were_dropped_or_have_ended_leave_nothing():
    with trainer_of(maker(both, "adam")) as trainer:
        trainer.advance(entry_of("constant(0.01)"), 15)
        before = tensors_alive()
        for number in range(1, 6):
            trainer.advance(entry_of(f"constant(0.0{number}2)"), 15)
            trainer.advance(entry_of(f"constant(0.0{number}3)"), 4)
            trainer.drop(entry_of(f"constant(0.0{number}3)"))
        trainer.advance(entry_of("constant(0.02)"), 15)
        assert tensors_alive() == before


def test_worker_processes_end():
    with trainer_of(maker(loader="persistent workers")) as trainer:
        trainer.advance(entry_of(SCHEDULES[0]), 3)
        assert multiprocessing.active_children()
    gc.collect()
    assert multiprocessing.active_children() == []
