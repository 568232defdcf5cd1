"""Loaders: their random states, orders and running iterators are given back."""

import random
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from adapters.fingerprint import Fingerprint, assert_unchanged
from adapters.zoo import mse, training
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    RandomSampler,
    Sampler,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
)

from stepsize.adapters.torch import find_lr, sweep

RATES = [1e-4, 1e-3, 1e-2, 2e-2, 3e-2, 4e-2]


def dataset(rows=16):
    x = torch.arange(6.0 * rows).reshape(rows, 6) / 50
    return TensorDataset(x, x.sum(1, keepdim=True).sin())


def seeded(value=0):
    return torch.Generator().manual_seed(value)


class Shuffled(Sampler):
    """Shuffles its own order in place, as many a home-made sampler does."""

    def __init__(self, rows=16, kind=list):
        self.order = kind(range(rows))
        self.epoch = 0

    def __iter__(self):
        self.epoch += 1
        if isinstance(self.order, torch.Tensor):
            self.order[:] = self.order[torch.randperm(len(self.order))]
        else:
            np.random.shuffle(self.order)
        return iter([int(index) for index in self.order])

    def __len__(self):
        return len(self.order)


class Redrawn(Shuffled):
    """Draws a new order into a new list."""

    def __iter__(self):
        self.order = random.sample(self.order, len(self.order))
        return iter(self.order)


class Augmented(Dataset):
    """Adds noise from a generator of its own."""

    def __init__(self):
        self.rows, self.noise, self.dice = dataset(), seeded(4), np.random.default_rng(5)
        self.drawn = 0

    def __len__(self):
        return 16

    def __getitem__(self, index):
        self.drawn += 1
        x, y = self.rows[index]
        jitter = torch.from_numpy(self.dice.random(6, np.float32))
        return x + torch.randn(6, generator=self.noise) + jitter, y


class OwnLoader:
    """A loader written by hand around another one."""

    def __init__(self):
        self.inner = DataLoader(dataset(), 4, shuffle=True, generator=seeded(6))
        self.epoch = 0

    def __iter__(self):
        self.epoch += 1
        return iter(self.inner)


class SelfIterating:
    """Its own iterator, which rewinds itself: ``iter()`` begins anew."""

    def __init__(self):
        self.batches = list(DataLoader(dataset(), 4))
        self.position = 0

    def __iter__(self):
        self.position = 0
        return self

    def __next__(self):
        if self.position == len(self.batches):
            raise StopIteration
        self.position += 1
        return self.batches[self.position - 1]


LOADERS = {
    "shuffling": lambda: DataLoader(dataset(), 4, shuffle=True),
    "own generator": lambda: DataLoader(dataset(), 4, shuffle=True, generator=seeded()),
    "sampler's generator": lambda: DataLoader(
        dataset(), 4, sampler=RandomSampler(dataset(), replacement=True, generator=seeded())
    ),
    "weighted": lambda: DataLoader(
        dataset(), 4, sampler=WeightedRandomSampler([1.0, 2.0] * 8, 16, generator=seeded())
    ),
    "in place, list": lambda: DataLoader(dataset(), 4, sampler=Shuffled()),
    "in place, array": lambda: DataLoader(dataset(), 4, sampler=Shuffled(kind=np.array)),
    "in place, tensor": lambda: DataLoader(dataset(), 4, sampler=Shuffled(kind=torch.tensor)),
    "redrawn": lambda: DataLoader(dataset(), 4, sampler=Redrawn()),
    "augmented": lambda: DataLoader(Augmented(), 4),
    "concatenated": lambda: DataLoader(ConcatDataset([dataset(), Augmented()]), 4),
    "subset": lambda: DataLoader(Subset(Augmented(), range(16)), 4),
    "own loader": OwnLoader,
    "self-iterating": SelfIterating,
}


def test_loading_with_the_test_loaders_changes_their_state():
    """All but the plain ones have a state that the next test must see restored."""
    for name, make in LOADERS.items():
        loader = make()
        before = Fingerprint(loader)
        for _ in loader:
            pass
        assert before != Fingerprint(loader), name


@pytest.mark.parametrize("way", ["find_lr", "equal_start", "sweep", "held_out"])
@pytest.mark.parametrize("name", LOADERS)
def test_the_next_epoch_is_what_it_would_have_been(name, way):
    run, twin, loader = training(), LOADERS[name](), LOADERS[name]()
    torch.manual_seed(8)
    np.random.seed(8)
    random.seed(8)
    before = Fingerprint(loader, run.model)
    if way == "sweep":
        with sweep(run.model, run.optimizer, RATES, loader=loader) as test:
            for _, batch in zip(test, [b for _ in range(2) for b in loader], strict=False):
                test.report(run.update(batch))
    else:
        options = {"equal_start": way == "equal_start"}
        if way == "held_out":
            options |= {"held_out": loader, "held_out_every": 1}
        data = run.loader if way == "held_out" else loader
        find_lr(run.model, run.optimizer, mse, data, ladder=RATES, **options)
    assert_unchanged(before, loader, run.model)
    after = [(x.clone(), y.clone()) for x, y in loader]
    torch.manual_seed(8)
    np.random.seed(8)
    random.seed(8)
    expected = list(twin)
    assert len(after) == len(expected)
    for (x, y), (a, b) in zip(after, expected, strict=True):
        assert torch.equal(x, a)
        assert torch.equal(y, b)


def workers(persistent=True):
    return DataLoader(
        dataset(), 2, shuffle=True, num_workers=1, persistent_workers=persistent, generator=seeded()
    )


@pytest.mark.parametrize("way", ["find_lr", "equal_start", "held_out", "sweep"])
def test_an_epoch_in_the_middle_goes_on_undisturbed(way):
    """Also where workers persist, and so share one iterator among all epochs."""
    run, loader, twin = training(), workers(), workers()
    torch.manual_seed(0)
    running = iter(loader)
    got = [next(running) for _ in range(3)]
    if way == "sweep":
        with sweep(run.model, run.optimizer, RATES, loader=loader) as test:
            for _, batch in zip(test, loader, strict=False):
                test.report(run.update(batch))
    elif way == "held_out":
        find_lr(run.model, run.optimizer, mse, run.loader, ladder=RATES, held_out=loader, repeats=1)
    else:
        equal = way == "equal_start"
        find_lr(run.model, run.optimizer, mse, loader, ladder=RATES, equal_start=equal, repeats=1)
    got += list(running) + list(loader)
    torch.manual_seed(0)
    expected = list(twin) + list(twin)
    assert len(got) == len(expected) == 16
    assert all(torch.equal(x, a) for (x, _), (a, _) in zip(got, expected, strict=True))


def test_an_iterator_with_workers_may_be_drawn_from_afterwards():
    run = training()
    iterator = iter(workers(persistent=False))
    find_lr(run.model, run.optimizer, mse, iterator, ladder=RATES[:4])
    assert len(list(iterator)) == 4


def test_user_data_is_not_copied_and_not_walked_into():
    """A data set may be larger than memory."""

    @dataclass
    class Precious:
        x: torch.Tensor

        def __deepcopy__(self, memo):
            raise AssertionError

        __copy__ = __deepcopy__

    class Big(Dataset):
        def __init__(self):
            self.rows = [Precious(torch.ones(6)) for _ in range(16)]
            self.table = torch.ones(16, 6)

        def __len__(self):
            return 16

        def __getitem__(self, index):
            self.table[index] += 1  # stays: nobody promised to give data back
            return self.table[index], torch.ones(1)

    run, data = training(), Big()
    find_lr(run.model, run.optimizer, mse, DataLoader(data, 4), ladder=RATES[:4], repeats=1)
    assert data.table[0, 0] == 2


def test_a_loader_that_rewinds_itself_is_no_generator():
    run, loader = training(), SelfIterating()
    result = find_lr(run.model, run.optimizer, mse, loader, ladder=RATES)
    assert result.updates >= len(RATES) > len(loader.batches)
