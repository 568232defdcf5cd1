"""Small tasks of every kind whose training is easily resumed wrong, and runs of them."""

import random
from pathlib import Path

import numpy as np
import torch
from adapters.zoo import MODELS, OPTIMIZERS, WIDTH, mse
from torch import nn
from torch.utils.data import DataLoader, Dataset, RandomSampler, TensorDataset

from stepsize.adapters.torch import Recipe, trials
from stepsize.comparison.trial import Trial
from stepsize.schedules import parse
from stepsize.store import Store
from stepsize.tasks import LoadedTask, Task, TensorBatches, make_task

EPOCHS = 3
ROWS, BATCH = 20, 4


def tensors(rows=ROWS, seed=1):
    """Inputs and targets."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, WIDTH, generator=generator)
    return x, x.sum(1, keepdim=True).sin()


def batches(rows=ROWS, seed=1):
    """A list of batches."""
    x, y = tensors(rows, seed)
    return list(zip(x.split(BATCH), y.split(BATCH), strict=True))


class Noisy(Dataset):
    """Adds noise of the global generators, in whatever process it is read."""

    def __len__(self):
        return ROWS

    def __getitem__(self, row):
        x, y = (tensor[row] for tensor in tensors())
        return x + 0.1 * torch.randn(WIDTH) + 0.1 * random.random() + 0.1 * np.random.rand(), y


class Own:
    """A loader of the user's own: base of the kinds below."""

    def __init__(self, seed):
        self.batches = batches()
        self.begin(seed)

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        for row in self.order():
            yield self.batches[row]
        self.finished()

    def begin(self, seed):
        pass

    def finished(self):
        pass


class Counting(Own):
    """Its order depends on an epoch counter that goes on after the last batch."""

    def begin(self, seed):
        self.epoch = 0

    def order(self):
        return [(row + self.epoch) % len(self) for row in range(len(self))]

    def finished(self):
        self.epoch += 1


class Pythons(Own):
    """Shuffles its own list in place with a generator of Python's."""

    def begin(self, seed):
        self.random = random.Random(seed)

    def order(self):
        self.random.shuffle(self.batches)
        for row in range(len(self)):
            yield self.random.choice([row, 0])


class Numpys(Own):
    """Shuffles an array in place with NumPy's old and new generators, and forgets its past."""

    def begin(self, seed):
        self.bits, self.old = np.random.default_rng(seed), np.random.RandomState(seed)
        self.rows = np.arange(5)
        self.seen = {"first": []}

    def order(self):
        self.bits.shuffle(self.rows)
        self.old.shuffle(self.rows)
        self.seen["first"].append(int(self.rows[0]))
        return [int(row + len(self.seen["first"])) % 5 for row in self.rows]


class Remade(Own):
    """Makes its generator and its order when an epoch begins."""

    def order(self):
        self.made = getattr(self, "made", 0) + 1
        self.generator = torch.Generator().manual_seed(self.made)
        self.rows = torch.randperm(5, generator=self.generator)
        self.left = self.rows.tolist()
        while self.left:
            yield self.left.pop(int(torch.randint(len(self.left), (), generator=self.generator)))


def _generator(seed):
    return torch.Generator().manual_seed(seed)


_SET = TensorDataset(*tensors())
LOADERS = {
    "tensor batches": lambda seed: TensorBatches(*tensors(), BATCH, shuffle=True, seed=seed),
    "list": lambda seed: batches(),
    "global": lambda seed: DataLoader(_SET, BATCH, shuffle=True),
    "own generator": lambda seed: DataLoader(_SET, BATCH, shuffle=True, generator=_generator(seed)),
    "replacement": lambda seed: DataLoader(
        _SET, BATCH, sampler=RandomSampler(_SET, True, 20, generator=_generator(seed))
    ),
    "noisy": lambda seed: DataLoader(Noisy(), BATCH, shuffle=True),
    "workers": lambda seed: DataLoader(Noisy(), BATCH, shuffle=True, num_workers=2),
    "persistent workers": lambda seed: DataLoader(
        Noisy(), BATCH, shuffle=True, num_workers=2, persistent_workers=True
    ),
    "counting": Counting,
    "python's": Pythons,
    "numpy's": Numpys,
    "remade": Remade,
}


def _generator_loss():
    noise, calls = _generator(3), 0

    def loss(model, batch):
        nonlocal calls
        calls += 1
        return mse(model, batch) + 0.1 * torch.rand((), generator=noise) * calls

    return loss


def _teacher_loss():
    torch.manual_seed(0)
    teacher = nn.Linear(WIDTH, 1)

    def loss(model, batch):
        out = model(batch[0])
        for parameter in teacher.parameters():
            parameter.data.mul_(0.9).add_(0.1 * out.mean().detach())
        return mse(model, batch) + nn.functional.mse_loss(out, teacher(batch[0]).detach())

    return loss


class CallableLoss:
    """Keeps a running mean as a number and one as a tensor."""

    def __init__(self):
        self.running, self.tensor = 0.0, torch.zeros(())

    def __call__(self, model, batch):
        loss = mse(model, batch)
        self.running = 0.9 * self.running + 0.1 * loss.item()
        self.tensor.data.add_(loss.detach())
        return loss * (1.0 + self.running + self.tensor.item())


LOSSES = {
    "generator": _generator_loss,
    "teacher": _teacher_loss,
    "callable": CallableLoss,
}


def maker(
    model="dropout", optimizer="sgd", loader="tensor batches", loss=lambda seed: mse, **fields
):
    """``make(seed)`` of a task out of the parts of the zoo."""

    def make(seed):
        network = MODELS[model]() if isinstance(model, str) else model(seed)
        parts = {
            "model": network,
            "optimizer": OPTIMIZERS[optimizer](network.parameters()),
            "loss": LOSSES[loss]() if isinstance(loss, str) else loss(seed),
            "train": LOADERS[loader](seed),
            "val": batches(8, 2),
            "metrics": {"mean": lambda model, batch: model(batch[0]).mean().item()},
            "test": batches(8, 4),
        }
        return Task(**{**parts, **{name: value(seed) for name, value in fields.items()}})

    return make


def trial_of(make, schedule="cosine(0.02)", seed=0, epochs=EPOCHS, recipe=None):
    """A trial of a task made by ``make``, or of a built-in one."""
    loaded = make if isinstance(make, LoadedTask) else LoadedTask("mine", make)
    recipe = recipe or Recipe()
    state = torch.get_rng_state()
    updates = trials.updates_per_epoch(make_task(loaded, seed), recipe)
    torch.set_rng_state(state)
    resolved = parse(schedule).resolve(steps=epochs * updates, steps_per_epoch=updates)
    return Trial(schedule, loaded, resolved, seed, epochs, updates)


class Stopping:
    """A lease whose ``log`` raises at an update."""

    def __init__(self, lease, update, error):
        self._lease, self._update, self._error = lease, update, error

    def __getattr__(self, name):
        return getattr(self._lease, name)

    def log(self, update, lr, loss):
        if update == self._update:
            raise self._error
        self._lease.log(update, lr, loss)


def run(folder, trial, stops=(), every=0.0, store=None, **options):
    """Make the run, stopped at the updates ``stops``; everything that is known of it."""
    with store or Store(Path(folder)) as store:
        run_id = store.add_run(trial.key, trial.definition())
        for stop in (*stops, None):
            with store.claim(run_id, {}) as lease:
                error = OSError("stopped")
                try:
                    stopping = Stopping(lease, stop, error)
                    trials.train(trial, stopping, checkpoint_seconds=every, **options)
                except OSError as caught:
                    if caught is not error:
                        raise
        return Outcome(store, run_id)


class Outcome:
    """All that a run has left."""

    def __init__(self, store, run_id):
        self.stored = store.read(run_id)
        self.updates = list(store.updates(run_id))
        self.history = [(e.epoch, e.updates, dict(e.values)) for e in self.stored.history]
        weights = store.weights(run_id)
        self.weights_path = weights
        self.weights = torch.load(weights) if weights.is_file() else {}
        self.checkpoint = store.checkpoint(run_id)
        self.events = [(event.kind, event.text) for event in self.stored.events]

    @property
    def losses(self):
        return [loss for _, _, loss in self.updates]

    @property
    def resumed(self):
        return [text for kind, text in self.events if kind == "resumed"]

    def assert_same(self, other):
        """Bit for bit."""
        assert self.stored.status == other.stored.status
        assert self.updates == other.updates
        assert self.history == other.history
        assert self.stored.facts == other.stored.facts
        assert list(self.weights) == list(other.weights)
        for name, values in self.weights.items():
            assert torch.equal(values, other.weights[name]), name
