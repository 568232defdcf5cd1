"""Arms under another optimizer than the task's own."""

import importlib.util
import math
import sys
from dataclasses import replace

import pytest
import torch
from adapters.torch.trials import batches, maker, run, trial_of
from adapters.zoo import mse
from torch import nn

from stepsize.adapters.torch import Recipe, random_state
from stepsize.adapters.torch.arms import TorchArmTrainer
from stepsize.adapters.torch.arms.optimizers import OPTIMIZERS, with_optimizer
from stepsize.errors import InputError, MissingDependencyError
from stepsize.schedules import parse
from stepsize.tasks import LoadedTask, Task
from stepsize.tuner.trainer import Entry

EPOCHS, UPDATES = 3, 15
SCHEDULES = ("cosine(0.02)", "constant(0.1)")
PACKAGES = {"adamw": "torch", "schedule_free": "schedulefree", "momo": "momo"}


def need(name):
    if importlib.util.find_spec(PACKAGES[name]) is None:
        pytest.skip(f"needs {PACKAGES[name]}")


def trainer_of(make, **options):
    return TorchArmTrainer(LoadedTask("mine", make), EPOCHS, evaluation_share=100.0, **options)


def entry_of(text, optimizer):
    schedule = parse(text).resolve(steps=UPDATES, steps_per_epoch=5)
    return Entry(schedule, max(map(schedule, range(UPDATES))), optimizer)


def two_groups(decay=0.0, **options):
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 1))
    groups = [
        {"params": model[0].parameters(), "lr": 0.3, "weight_decay": decay, **options},
        {"params": model[2].parameters(), "lr": 0.1, "weight_decay": 0.0},
    ]
    return Task(model, torch.optim.SGD(groups, lr=0.1, momentum=0.9), mse, batches())


def test_adamw_is_the_training_of_a_task_with_adamw(tmp_path):
    """Bit for bit, beside arms with the task's own optimizer."""
    make = maker("batch norm", "sgd", "global")

    def with_adamw(seed):
        task = make(seed)
        return replace(task, optimizer=torch.optim.AdamW(task.model.parameters()))

    outcomes = [
        run(tmp_path / f"{number}", trial_of(with_adamw, text), every=3600.0)
        for number, text in enumerate(SCHEDULES)
    ]
    with trainer_of(make) as trainer:
        arms = [entry_of(text, "adamw") for text in SCHEDULES]
        for begin, end in ((0, 4), (4, 10), (10, 15)):
            trainer.advance(entry_of(SCHEDULES[0], ""), end)
            for arm, outcome in zip(arms, outcomes, strict=True):
                reading = trainer.advance(arm, end)
                assert reading.train_loss == math.fsum(outcome.losses[begin:end]) / (end - begin)
        assert reading.val_loss == outcomes[1].history[-1][2]["val_loss"]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_groups_keep_their_ratios_and_their_weight_decay(name):
    need(name)
    task = two_groups(0.05, maximize=True)
    if name != "adamw":
        task = two_groups(0.05)
    first, second = with_optimizer(task, name).optimizer.param_groups
    assert first["lr"] / second["lr"] == pytest.approx(3.0)
    assert (first["weight_decay"], second["weight_decay"]) == (0.05, 0.0)
    assert [p for group in (first, second) for p in group["params"]] == list(
        task.model.parameters()
    )
    assert "momentum" not in first
    assert bool(first.get("maximize")) is (name == "adamw")


def test_without_any_weight_decay_the_optimizers_own_holds():
    default = torch.optim.AdamW([torch.zeros(1)]).param_groups[0]["weight_decay"]
    groups = with_optimizer(two_groups(), "adamw").optimizer.param_groups
    assert [group["weight_decay"] for group in groups] == [default, default]


def test_an_unknown_optimizer():
    with trainer_of(maker()) as trainer, pytest.raises(InputError, match="Did you mean adamw"):
        trainer.advance(entry_of(SCHEDULES[0], "adamv"), 1)


@pytest.mark.parametrize(("name", "package"), [("schedule_free", "schedulefree"), ("momo", "momo")])
def test_a_package_that_is_not_installed(monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, package, None)
    with trainer_of(maker()) as trainer, pytest.raises(MissingDependencyError, match="pip install"):
        trainer.advance(entry_of(SCHEDULES[0], name), 1)


def by_hand(make, text, name, parts):
    """A loop as the optimizer's authors show it; the training losses and the validation losses."""
    back = random_state.remember()
    schedule = entry_of(text, name).schedule
    with random_state.seeded(0):
        task = make(0)
    groups = [{"params": list(task.model.parameters()), "lr": 0.1}]
    if name == "schedule_free":
        from schedulefree import AdamWScheduleFree

        optimizer = AdamWScheduleFree(groups)
        optimizer.train()
    else:
        from momo import MomoAdam

        optimizer = MomoAdam(groups)
    random_state.seed(0)
    losses, values = [], {}
    task.model.train()
    for _ in range(EPOCHS):
        for batch in task.train:
            optimizer.param_groups[0]["lr"] = schedule(len(losses))
            optimizer.zero_grad()
            loss = mse(task.model, batch)
            loss.backward()
            optimizer.step() if name == "schedule_free" else optimizer.step(loss=loss)
            losses.append(loss.item())
            if len(losses) == parts:
                values = judged(task, optimizer, name)
                back()
                return losses, values
    raise AssertionError


def judged(task, optimizer, name):
    with torch.no_grad():
        if name == "schedule_free":
            optimizer.eval()
            for batch in task.train:
                task.model(batch[0])
        task.model.eval()
        return torch.stack([mse(task.model, batch) for batch in task.val]).mean().item()


@pytest.mark.parametrize("model", ["plain", "batch norm"])
@pytest.mark.parametrize("name", ["schedule_free", "momo"])
def test_it_is_the_training_that_its_authors_show(name, model):
    """In parts, interleaved with another arm; where it is judged leaves no trace."""
    need(name)
    make = maker(model, "sgd", "tensor batches" if name == "momo" else "list")
    with trainer_of(make) as trainer:
        arms = [entry_of(text, name) for text in SCHEDULES]
        readings = {
            (text, end): trainer.advance(arm, end)
            for end in (4, 5, 12)
            for text, arm in zip(SCHEDULES, arms, strict=True)
        }
        spent = trainer.spent
    for (text, end), reading in readings.items():
        begin = {4: 0, 5: 4, 12: 5}[end]
        losses, val_loss = by_hand(make, text, name, end)
        assert reading.train_loss == pytest.approx(math.fsum(losses[begin:]) / (end - begin))
        assert reading.val_loss == pytest.approx(val_loss, rel=1e-5)
    renewed = name == "schedule_free" and model == "batch norm"
    assert spent == 24 + (6 * 2 if renewed else 0)  # five forward passes, each time


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_order_of_the_arms_and_their_rungs_do_not_matter(name):
    need(name)
    make = maker("batch norm", "sgd", "global")
    arms = [entry_of(text, name) for text in SCHEDULES]
    with trainer_of(make) as trainer:
        one = [[trainer.advance(arm, end) for arm in arms] for end in (4, 11)]
        trainer.branch(arms[0], other := entry_of("constant(0.01)", name))
        branched = trainer.advance(other, 15)
    with trainer_of(make) as trainer:
        for end in (4, 7):
            trainer.advance(arms[1], end)
        last = trainer.advance(arms[1], 11)
        assert last.val_loss == one[1][1].val_loss
        assert [trainer.advance(arms[0], end) for end in (4, 11)] == [row[0] for row in one]
        trainer.branch(arms[0], other)
        assert trainer.advance(other, 15) == branched


def test_momo_needs_its_loss_and_so_no_scaler():
    need("momo")
    recipe = Recipe(scaler=torch.amp.GradScaler("cpu"))
    with trainer_of(maker(), recipe=recipe) as trainer, pytest.raises(InputError, match="closure"):
        trainer.advance(entry_of(SCHEDULES[0], "momo"), 1)


def test_momo_beside_a_task_that_uses_it_itself():
    """Torch wraps a class's step when the first of its kind is made; updates count once."""
    need("momo")
    from momo import MomoAdam

    MomoAdam([nn.Parameter(torch.zeros(1))])
    make = maker("plain", "sgd", "list")
    with trainer_of(make) as trainer:
        trainer.advance(entry_of("linear(0.02)", "momo"), 15)
        vessel = trainer._vessels[0, "momo"]
        assert vessel._training._scheduler.updates == 15
