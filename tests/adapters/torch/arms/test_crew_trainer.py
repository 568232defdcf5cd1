"""Arms trained by workers: the readings of arms trained here, to the last bit."""

import itertools
import math

import pytest
import torch
from adapters.torch.arms.desks import Desks, Sent
from adapters.zoo import MODELS

from stepsize.adapters.torch import Recipe
from stepsize.adapters.torch.arms import TorchArmTrainer, aside
from stepsize.adapters.torch.arms.crew_trainer import CrewArmTrainer
from stepsize.adapters.torch.elsewhere import arms
from stepsize.engines.crew import TRIES
from stepsize.errors import EngineError, InputError, TaskError
from stepsize.schedules import parse
from stepsize.tuner import TuneOptions, recommend
from stepsize.tuner.trainer import Entry

EPOCHS, UPDATES = 3, 15
SCHEDULES = ("cosine(0.02)", "warmup(linear(0.005), steps=20%)", "constant(0.0004)")


def _scaled(factor):
    model = MODELS["plain"]()
    with torch.no_grad():
        model[0].weight.mul_(factor)
    return model


def entry_of(text, updates=UPDATES, **fields):
    schedule = parse(text).resolve(steps=updates, steps_per_epoch=updates // EPOCHS)
    return Entry(schedule, max(map(schedule, range(updates))), **fields)


def crew_of(sent, crew=None, **options):
    return CrewArmTrainer(crew or Desks(), sent, EPOCHS, **options)


def readings(trainer, requests):
    came = sorted(trainer.advance_all(requests), key=lambda each: each.place)
    assert [each.place for each in came] == list(range(len(requests)))
    return [(each.reading, each.spent) for each in came]


def race(trainer):
    """Arms of two seeds side by side, a branch, a drop, the end of the training."""
    one, other, low = map(entry_of, SCHEDULES)
    second = entry_of(SCHEDULES[0], seed=1)
    found = [trainer.start_loss(), trainer.start_loss(1)]
    found += readings(trainer, [(one, 2), (other, 4), (second, 3)])
    trainer.branch(one, low)
    found += readings(trainer, [(low, 7), (one, 5), (other, 7)])
    trainer.drop(other)
    found += readings(trainer, [(one, 5)])  # where it is already
    found += readings(trainer, [(one, 15), (other, 6), (low, 12), (second, 12)])
    return found, trainer.spent, trainer.evaluations


def check(sent, crew=None, **options):
    with TorchArmTrainer(sent.load(), EPOCHS, **options) as trainer:
        expected = race(trainer)
        known = {name: getattr(trainer, name) for name in arms.Facts._fields}
    away = crew_of(sent, crew, **options)
    assert race(away) == expected
    assert {name: getattr(away, name) for name in arms.Facts._fields} == known


@pytest.mark.parametrize("loader", ["tensor batches", "noisy", "counting", "numpy's"])
def test_every_loader(loader):
    check(Sent.of(model="batch norm", optimizer="adam", loader=loader))


@pytest.mark.parametrize("model", ["dropout", "lstm", "bookkeeper"])
def test_every_model(model):
    check(Sent.of(model=model, loader="global"), Desks(3))


@pytest.mark.parametrize("optimizer", ["adamw", "lbfgs", "tensor rate"])
def test_every_optimizer(optimizer):
    check(Sent.of(optimizer=optimizer), evaluation_share=100.0, seed=1)


def test_a_scaler_is_the_workers_own():
    scaler = torch.amp.GradScaler("cpu", init_scale=3.0, growth_factor=1.7, growth_interval=2)
    before = scaler.state_dict()
    check(Sent.of(), recipe=Recipe(scaler=scaler, clip_norm=1.0))
    assert scaler.state_dict() == before


@pytest.mark.parametrize("optimizers", [(), ("adamw", "schedule_free", "momo")])
def test_a_whole_race(optimizers):
    """Answer, evidence and price; several arms at once."""
    if optimizers:
        pytest.importorskip("schedulefree")
        pytest.importorskip("momo")
    sent = Sent(builtin="digits") if not optimizers else Sent.of(model="batch norm")
    epochs = 4 if not optimizers else 60
    options = TuneOptions(1.0 if not optimizers else 2.0, optimizers=optimizers)
    answers = []
    desks = Desks(3)
    with TorchArmTrainer(sent.load(), epochs) as here:
        for trainer in (here, CrewArmTrainer(desks, sent, epochs)):
            trainer.prepare(options.optimizers)
            answers.append(recommend(trainer, options, task="mine", family=trainer.family))
    assert answers[0] == answers[1]
    assert {arm.optimizer for arm in answers[0].evidence if arm.optimizer} or not optimizers
    assert desks.most > 3


def test_what_was_lost_is_made_again_and_counted_once():
    desks = Desks(2, lose=(3, 4, 6, 9))
    check(Sent.of(model="batch norm", optimizer="adam"), desks)
    assert desks.names.count("advance") == 10 + 4


def test_a_call_that_is_lost_each_time():
    trainer = crew_of(Sent.of(), Desks(1, lose=range(1, 1 + TRIES)))
    with pytest.raises(EngineError):
        readings(trainer, [(entry_of(SCHEDULES[0]), 3)])
    assert (trainer.spent, trainer.evaluations) == (0, 0)


def test_ctrl_c_leaves_every_arm_at_its_last_reading():
    sent, requests = Sent.of(model="dropout"), [(entry_of(text), 5) for text in SCHEDULES]
    desks = Desks(2, interrupt_at=3)  # the facts, and then two arms
    trainer, came = crew_of(sent, desks), []
    with pytest.raises(KeyboardInterrupt):
        came.extend(trainer.advance_all(requests))
    assert len(came) == 2
    assert desks.waiting == {}
    assert (trainer.spent, trainer.evaluations) == (10, 2)
    with TorchArmTrainer(sent.load(), EPOCHS) as here:
        expected = readings(here, requests)
    assert [(reading, spent) for _, reading, spent in came] == [expected[p] for p, _, _ in came]
    assert [r for r, _ in readings(trainer, requests)] == [r for r, _ in expected]
    assert trainer.spent == 15


def test_divergence_is_a_reading():
    steep, flat = entry_of("constant(1e30)"), entry_of(SCHEDULES[0])
    trainer = crew_of(Sent.of(model="plain"))
    (high, made), (low, _) = readings(trainer, [(steep, 15), (flat, 7)])
    assert high.val_loss == high.train_loss == math.inf
    assert math.isfinite(low.val_loss)
    assert 1 < high.updates == made < 15
    assert (trainer.spent, trainer.evaluations) == (made + 7, 1)
    for ask in (lambda: readings(trainer, [(steep, 15)]), lambda: trainer.branch(steep, flat)):
        with pytest.raises(InputError, match="diverged"):
            ask()


def test_errors_come_as_they_are_here():
    with pytest.raises(InputError, match="epochs"):
        CrewArmTrainer(Desks(), Sent.of(), 0)
    with pytest.raises(TaskError, match="model"):
        CrewArmTrainer(Desks(), Sent.of(model="no such model"), 1)
    trainer = crew_of(Sent.of(optimizer="adam"))
    with pytest.raises(InputError, match="no optimizer"):
        trainer.prepare(["adamw", "sgdd"])
    one, other = map(entry_of, SCHEDULES[:2])
    readings(trainer, [(one, 4)])
    with pytest.raises(InputError, match="made 4 updates"):
        readings(trainer, [(one, 3)])
    with pytest.raises(InputError, match="seed and optimizer"):
        trainer.branch(one, other._replace(seed=1))


def test_a_task_that_is_another_one_for_some_workers(monkeypatch):
    """Each worker makes it once, and finds another setting there."""
    made = itertools.count(1.0)
    monkeypatch.setitem(MODELS, "made differently", lambda: _scaled(next(made)))
    desks = Desks(2)
    trainer = crew_of(Sent.of(model="made differently"), desks)
    with pytest.raises(EngineError, match="not the same"):
        readings(trainer, [(entry_of(text), 5) for text in SCHEDULES])


def test_what_is_sent_is_the_state_and_little_more():
    """Weights and two moments; no data, no gradients, no copies."""
    desks = Desks(1)
    trainer = CrewArmTrainer(desks, Sent(builtin="digits"), 1)
    trainer.prepare(["adamw"])
    entry = entry_of("constant(0.001)", trainer.updates * EPOCHS, optimizer="adamw")
    readings(trainer, [(entry, 20)])
    weights = 4 * sum(p.numel() for p in Sent(builtin="digits").load().make(0).model.parameters())
    assert 3 * weights < desks.sizes[-1] < 3 * weights + 60_000


def test_a_state_that_was_sent_is_the_state():
    state = {
        "half": torch.randn(3, 2).bfloat16(),
        "last": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "part": torch.randn(1000)[:3],
        "list": [torch.zeros(0), 3, None],
    }
    there = aside.from_bytes(content := aside.to_bytes(aside.put_aside(state)))
    back = aside.taken_back(there)
    assert torch.equal(back["half"], state["half"])
    assert back["half"].dtype == torch.bfloat16
    assert back["last"].stride() == state["last"].stride()
    assert torch.equal(back["part"], state["part"])
    assert back["list"][1:] == [3, None]
    assert len(content) < 4000


def test_a_worker_lets_go_of_old_races():
    desks = Desks(1)
    trainers = [crew_of(Sent.of(), desks) for _ in range(arms.MOST_TRAINERS + 1)]
    assert len(desks.trainers[0]) == arms.MOST_TRAINERS
    entry = entry_of(SCHEDULES[0])
    read = [readings(trainer, [(entry, 4)]) for trainer in trainers]
    assert read == read[:1] * len(read)
    assert len(desks.trainers[0]) == arms.MOST_TRAINERS
    for trainer in desks.trainers[0].values():  # where it stands is not known to a worker
        assert trainer.stand(entry).reading is None
