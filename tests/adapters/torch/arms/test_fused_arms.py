"""Arms trained as one batched model: the readings of arms trained one after the other."""

import math
import signal

import pytest
import torch
from adapters.torch.trials import batches, maker

from stepsize.adapters.torch import Recipe
from stepsize.adapters.torch.arms import TorchArmTrainer
from stepsize.adapters.torch.fused import UnevenGradientsError, arm_stack
from stepsize.adapters.torch.fused.arms import FusedArmTrainer
from stepsize.errors import InputError, TaskError
from stepsize.schedules import Function, parse
from stepsize.tasks import LoadedTask, load
from stepsize.tuner import TuneOptions, recommend
from stepsize.tuner.trainer import Entry

EPOCHS, UPDATES = 3, 15
SCHEDULES = ("cosine(0.02)", "warmup(linear(0.005), steps=20%)", "constant(0.0004)")


def entry_of(text, updates=UPDATES, **fields):
    schedule = parse(text).resolve(steps=updates, steps_per_epoch=updates // EPOCHS)
    return Entry(schedule, max(map(schedule, range(updates))), **fields)


def readings(trainer, requests):
    came = sorted(trainer.advance_all(requests), key=lambda each: each.place)
    assert [each.place for each in came] == list(range(len(requests)))
    return [(each.reading, each.spent) for each in came]


def race(trainer):
    """Together from the start and later on, with other ends, a branch, a part alone."""
    one, other, low = map(entry_of, SCHEDULES)
    found = readings(trainer, [(one, 4), (other, 4), (low, 2)])
    trainer.branch(one, branched := entry_of("constant(0.001)"))
    found += readings(trainer, [(branched, 6), (one, 9), (low, 3), (other, 12)])
    found += readings(trainer, [(one, 13)])
    found += readings(trainer, [(one, 15), (low, 15), (other, 15), (branched, 6)])
    return found, trainer.spent, trainer.evaluations


def near(reading, expected, close=2e-4):
    assert reading.updates == expected.updates
    for name in ("val_loss", "train_loss"):
        assert getattr(reading, name) == pytest.approx(getattr(expected, name), rel=close)
    assert reading.train_error == pytest.approx(expected.train_error, rel=0.01, abs=1e-5)


def check_alike(fused, serial, requests):
    expected = readings(serial, requests)
    for (reading, spent), (other, made) in zip(readings(fused, requests), expected, strict=True):
        near(reading, other)
        assert spent == made


class Counted:
    """How many arms each stack is made for."""

    def __init__(self, monkeypatch):
        self.sizes, self.streams = [], []
        made = arm_stack.Stack

        def stack(streams, copies, recipe, **options):
            self.sizes.append(len(copies))
            self.streams += streams
            return made(streams, copies, recipe, **options)

        monkeypatch.setattr(arm_stack, "Stack", stack)


@pytest.fixture
def stacks(monkeypatch):
    return Counted(monkeypatch).sizes


def check(make, **options):
    loaded = LoadedTask("mine", make)
    with TorchArmTrainer(loaded, EPOCHS, **options) as serial:
        expected, *accounts = race(serial)
    state = torch.get_rng_state()
    with FusedArmTrainer(loaded, EPOCHS, **options) as fused:
        reason = fused.why_not()
        found, *own = race(fused)
    assert torch.equal(torch.get_rng_state(), state)
    assert own == accounts
    for (reading, spent), (other, made) in zip(found, expected, strict=True):
        assert spent == made
        near(reading, other)
    return reason


@pytest.mark.parametrize("loader", ["tensor batches", "global", "noisy", "counting", "numpy's"])
def test_every_loader(loader, stacks):
    """Dropout's masks and the noise of a data set are those of a training alone."""
    assert check(maker("dropout", "sgd", loader)) == ""
    assert stacks == [3, 3]  # from the start; two arms and a branch


@pytest.mark.parametrize("model", ["batch norm", "frozen norm", "frozen layer", "tied"])
def test_every_model(model, stacks):
    assert check(maker(model, "sgd", "global")) == ""
    assert stacks[0] == 3


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop"])
def test_every_optimizer(optimizer, stacks):
    assert check(maker("plain", optimizer, "global")) == ""
    assert stacks[0] == 3


@pytest.mark.parametrize(
    "recipe", [Recipe(clip_norm=0.5), Recipe(autocast=torch.bfloat16), Recipe(clip_value=0.01)]
)
def test_every_recipe(recipe, stacks):
    loaded = LoadedTask("mine", maker("plain"))
    with TorchArmTrainer(loaded, EPOCHS, recipe=recipe) as serial:
        expected = readings(serial, [(entry_of(text), 7) for text in SCHEDULES])
    with FusedArmTrainer(loaded, EPOCHS, recipe=recipe) as fused:
        found = readings(fused, [(entry_of(text), 7) for text in SCHEDULES])
    close = 2e-4 if recipe.autocast is None else 0.02
    for (reading, _), (other, _) in zip(found, expected, strict=True):
        near(reading, other, close) if recipe.autocast is None else None
        assert reading.val_loss == pytest.approx(other.val_loss, rel=close)
    assert stacks == [3]


def test_what_was_compiled_for_a_vessel_is_found_again(monkeypatch):
    """By the stream that its stacks share; each stack is another."""
    counted = Counted(monkeypatch)
    with FusedArmTrainer(LoadedTask("mine", maker("batch norm")), EPOCHS) as trainer:
        race(trainer)
        first, second = counted.streams
        assert first is second
        readings(trainer, [(entry_of(text, seed=1), 2) for text in SCHEDULES])
    assert counted.streams[-1] is not first


def test_what_cannot_go_on_together_goes_on_alone(monkeypatch):
    """At the price of a serial race: what the stack had made is not counted."""
    update = arm_stack.Stack.update
    made = []

    def uneven(stack, rates):
        if len(rates) < 3:  # a trial's
            return update(stack, rates)
        made.append(rates)
        if len(made) == 4:
            raise UnevenGradientsError
        return update(stack, rates)

    monkeypatch.setattr(arm_stack.Stack, "update", uneven)
    assert check(maker("dropout")) == ""
    assert len(made) == 4  # and no other stack afterwards


def test_accumulated_gradients(stacks):
    loaded, recipe = LoadedTask("mine", maker("plain")), Recipe(accumulate=2)
    arms = [entry_of(f"constant({rate})", 6) for rate in (0.02, 0.002, 0.0002)]
    found = []
    for kind in (TorchArmTrainer, FusedArmTrainer):
        with kind(loaded, EPOCHS, recipe=recipe) as trainer:
            found.append(readings(trainer, [(arm, 5) for arm in arms]))
    for (reading, _), (other, _) in zip(*found, strict=True):
        near(reading, other)
    assert stacks == [3]


@pytest.mark.parametrize("optimizer", ["lbfgs", "sgd"])
def test_what_cannot_be_fused_is_trained_arm_by_arm(optimizer, stacks):
    """To the last bit."""
    make = maker("bookkeeper" if optimizer == "sgd" else "plain", optimizer)
    loaded = LoadedTask("mine", make)
    with TorchArmTrainer(loaded, EPOCHS) as serial, FusedArmTrainer(loaded, EPOCHS) as fused:
        assert fused.why_not() != ""
        assert race(fused) == race(serial)
    assert stacks == []


def test_arms_of_other_seeds_and_optimizers_are_groups_of_their_own(stacks):
    loaded = LoadedTask("mine", maker("plain"))
    arms = [
        entry_of(text, **fields)
        for fields in ({}, {"seed": 1}, {"optimizer": "adamw"})
        for text in SCHEDULES
    ]
    found = []
    for kind in (TorchArmTrainer, FusedArmTrainer):
        with kind(loaded, EPOCHS) as trainer:
            found.append(readings(trainer, [(arm, 6) for arm in arms]))
    for (reading, _), (other, _) in zip(*found, strict=True):
        near(reading, other)
    assert stacks == [3, 3, 3]


def test_more_arms_than_the_memory_holds(stacks, monkeypatch):
    monkeypatch.setattr("stepsize.adapters.torch.fused.arms.most_copies", lambda *_: 2)
    loaded = LoadedTask("mine", maker("plain"))
    arms = [entry_of(f"constant({rate})") for rate in (0.1, 0.01, 0.001, 0.0001, 0.00001)]
    with FusedArmTrainer(loaded, EPOCHS) as fused, TorchArmTrainer(loaded, EPOCHS) as serial:
        found = readings(fused, [(arm, 6) for arm in arms])
        for (reading, _), (other, _) in zip(
            found, readings(serial, [(arm, 6) for arm in arms]), strict=True
        ):
            near(reading, other)
    assert stacks == [2, 2]


# -- ends ---------------------------------------------------------------------------------------


def test_the_last_one_goes_on_alone(stacks):
    """In parts, and to its divergence."""
    loaded = LoadedTask("mine", maker("dropout", "adam", "global"))
    one, other, low = map(entry_of, SCHEDULES)
    steep = entry_of("constant(1e10)")
    with TorchArmTrainer(loaded, EPOCHS) as serial, FusedArmTrainer(loaded, EPOCHS) as fused:
        check_alike(fused, serial, [(one, 2), (other, 13), (low, 6)])
        check_alike(fused, serial, [(one, 8), (low, 9), (other, 15), (steep, 4)])
        assert fused.spent == serial.spent
    exploding = Function(lambda t: 0.001 if t < 8 else 1e30).resolve(steps=UPDATES)
    requests = [(one, 2), (other, 2), (late := Entry(exploding, 1e30), 15)]
    loaded = LoadedTask("mine", maker("plain"))
    with TorchArmTrainer(loaded, EPOCHS) as serial, FusedArmTrainer(loaded, EPOCHS) as fused:
        check_alike(fused, serial, requests)
        assert fused.stand(late).reading.val_loss == math.inf
        assert 9 < fused.stand(late).updates < 15
        check_alike(fused, serial, [(other, 15)])
    assert stacks == [3, 3]


def test_an_arm_goes_on_from_its_reading_whatever_became_of_the_others():
    loaded, one = LoadedTask("mine", maker("dropout", "sgd", "global")), entry_of(SCHEDULES[0])
    ends = [
        Function(lambda t, peak=peak: 0.001 if t < 6 else peak).resolve(steps=UPDATES)
        for peak in (1e30, 1e35)
    ]
    requests = [(one, 4), *((Entry(schedule, 1.0), 15) for schedule in ends)]
    with TorchArmTrainer(loaded, EPOCHS) as serial, FusedArmTrainer(loaded, EPOCHS) as fused:
        check_alike(fused, serial, requests)
        check_alike(fused, serial, [(one, 9)])


@pytest.mark.parametrize("together", [1, 4])
def test_divergence_ends_an_arm_and_no_other(together, stacks, monkeypatch):
    if together > 1:  # as on an accelerator
        module = "stepsize.adapters.torch.fused.arm_stack"
        monkeypatch.setattr(f"{module}.READ_TOGETHER", together)
        monkeypatch.setattr(f"{module}.other_device", lambda model: torch.device("cpu"))
    loaded = LoadedTask("mine", maker("plain"))
    steep, steeper = entry_of("constant(1e10)"), entry_of("constant(1e30)")
    flat, low = entry_of(SCHEDULES[0]), entry_of(SCHEDULES[2])
    requests = [(steep, 15), (flat, 9), (steeper, 12), (low, 4)]
    with TorchArmTrainer(loaded, EPOCHS) as serial, FusedArmTrainer(loaded, EPOCHS) as fused:
        expected, found = readings(serial, requests), readings(fused, requests)
        for place in (1, 3):
            near(found[place][0], expected[place][0])
        for place in (0, 2):
            assert found[place] == expected[place]
            assert found[place][0].val_loss == math.inf
        assert fused.spent == serial.spent == sum(spent for _, spent in found)
        assert fused.evaluations == serial.evaluations == 2
        with pytest.raises(InputError, match="diverged"):
            readings(fused, [(steep, 15), (flat, 15)])
        for (reading, _), (other, _) in zip(
            readings(fused, [(flat, 15), (low, 9)]),
            readings(serial, [(flat, 15), (low, 9)]),
            strict=True,
        ):
            near(reading, other)
    assert stacks == [4]


def test_all_of_them_diverge(stacks):
    loaded = LoadedTask("mine", maker("plain"))
    requests = [(entry_of(f"constant(1e{power})"), 15) for power in (20, 25, 30)]
    with TorchArmTrainer(loaded, EPOCHS) as serial, FusedArmTrainer(loaded, EPOCHS) as fused:
        assert readings(fused, requests) == readings(serial, requests)
        assert fused.spent == serial.spent < 45
        near(fused.advance(entry_of(SCHEDULES[0]), 5), serial.advance(entry_of(SCHEDULES[0]), 5))


def stopping_at(update, error):
    """A task whose loader calls ``error`` before it gives its batch of that number."""

    class Loader(list):
        drawn = 0

        def __iter__(self):
            for batch in super().__iter__():
                self.drawn += self.watched
                if self.drawn == update and self.watched:
                    error()
                yield batch

    Loader.watched = False
    plain = maker("plain", loader="list")

    def make(seed):
        task = plain(seed)
        object.__setattr__(task, "train", Loader(task.train))
        return task

    return make, Loader


def interrupts():
    raise KeyboardInterrupt


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


def raises():
    raise ZeroDivisionError("in the loader")


@pytest.mark.parametrize(
    ("error", "expected", "spent"),
    [(interrupts, KeyboardInterrupt, 14), (ctrl_c, KeyboardInterrupt, 16), (raises, TaskError, 14)],
)
def test_what_stops_it_leaves_every_arm_at_its_last_reading(error, expected, spent):
    """Ctrl-C waits for the end of the update."""
    make, loader = stopping_at(6, error)
    requests = [(entry_of(SCHEDULES[0]), 4), *((entry_of(text), 10) for text in SCHEDULES[1:])]
    with FusedArmTrainer(LoadedTask("mine", make), EPOCHS) as fused:
        assert fused.why_not() == ""
        loader.watched, came = True, []
        with pytest.raises(expected):
            came.extend(fused.advance_all(requests))
        loader.watched = False
        assert [each.place for each in came] == [0]  # its part was over
        assert fused.spent == spent
        found = readings(fused, requests)
    assert found[0] == (came[0].reading, 0)
    with TorchArmTrainer(LoadedTask("mine", maker("plain", loader="list")), EPOCHS) as serial:
        for (reading, _), (other, _) in zip(found, readings(serial, requests), strict=True):
            near(reading, other)


class InPlace:
    """Changes a large tensor in place, which cannot be put back."""

    def __init__(self):
        self.rows = torch.arange(3_000.0)
        self.batches = maker()(0).train

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        self.rows.mul_(1.37).remainder_(911.0)
        for x, y in self.batches:
            yield x + self.rows[3] / 911.0, y


def test_a_task_that_has_to_be_made_anew_is_not_fused_again():
    loaded = LoadedTask("mine", maker("plain", train=lambda seed: InPlace()))
    one, other, low = map(entry_of, SCHEDULES)
    with TorchArmTrainer(loaded, EPOCHS) as serial, FusedArmTrainer(loaded, EPOCHS) as fused:
        check_alike(fused, serial, [(one, 7), (other, 7), (low, 7)])
        check_alike(fused, serial, [(entry_of(f"constant({r})"), 7) for r in (0.1, 0.01, 0.003)])
        assert fused.start_loss() == serial.start_loss()  # in a task that was just made
        check_alike(fused, serial, [(one, 12), (other, 12), (low, 11)])


class Meter:
    """Neither called nor iterated, so nobody looks into it."""

    def __init__(self):
        self.passes = 0


class Drifting(list):
    """Its batches are others in each pass."""

    def __init__(self, batches):
        super().__init__(batches)
        self.meter = Meter()

    def __iter__(self):
        self.meter.passes += 1
        for x, y in super().__iter__():
            yield x * self.meter.passes, y


def test_what_nobody_sees_is_noticed_by_the_first_loss(stacks):
    make = maker("plain", train=lambda seed: Drifting(batches()))
    arms = [entry_of(f"constant({rate})") for rate in (0.02, 0.01, 0.005, 0.002, 0.001, 0.0005)]
    loaded = LoadedTask("mine", make)
    with TorchArmTrainer(loaded, EPOCHS) as serial, FusedArmTrainer(loaded, EPOCHS) as fused:
        readings(serial, [(arm, 5) for arm in arms[:3]])
        readings(fused, [(arm, 5) for arm in arms[:3]])
        expected = readings(serial, [(arm, 5) for arm in arms[3:]])
        found = readings(fused, [(arm, 5) for arm in arms[3:]])
        for (reading, _), (other, _) in zip(found, expected, strict=True):
            near(reading, other)
    assert stacks == [3, 3]


# -- a whole race -------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizers", [(), ("adamw", "schedule_free")])
def test_a_whole_race(optimizers, stacks):
    if optimizers:
        pytest.importorskip("schedulefree")
    options = TuneOptions(1.0 if not optimizers else 2.0, optimizers=optimizers)
    answers = []
    for kind in (TorchArmTrainer, FusedArmTrainer):
        with kind(load("digits"), 4) as trainer:
            answers.append(recommend(trainer, options, task="mine", family=trainer.family))
    serial, fused = answers
    assert (fused.lr, fused.schedule, fused.verdict) == (serial.lr, serial.schedule, "ok")
    assert fused.cost == serial.cost
    mean = serial.expected["val_loss"]["mean"]
    assert fused.expected["val_loss"]["mean"] == pytest.approx(mean, rel=1e-3)
    for arm, other in zip(fused.evidence, serial.evidence, strict=True):
        assert (arm.schedule, arm.fate, arm.updates) == (other.schedule, other.fate, other.updates)
    assert stacks[0] == 5
