"""Training after a range test is identical to training without one, to the last bit."""

import random

import numpy as np
import pytest
import torch
from adapters.zoo import WIDTH, Recurrent, mse
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from stepsize.adapters.torch import find_lr, sweep

MODELS = {
    "dropout": lambda: nn.Sequential(
        nn.Linear(WIDTH, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1)
    ),
    "recurrent": Recurrent,
}


class Session:
    """A user's script: model, Adam, a shuffling loader and a scheduler."""

    def __init__(self, model="dropout", workers=0):
        torch.manual_seed(11)
        random.seed(11)
        np.random.seed(11)
        x = torch.randn(32, WIDTH)
        self.loader = DataLoader(
            TensorDataset(x, x.sum(1, keepdim=True)), 8, shuffle=True, num_workers=workers
        )
        self.model = MODELS[model]()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-2)
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, 7, 0.5)
        self.losses = []

    def train(self, updates=20):
        while updates:
            for batch in self.loader:
                self.update(batch)
                self.scheduler.step()
                updates -= 1
                if not updates:
                    break
        return self

    def update(self, batch):
        noisy = (batch[0] + 0.01 * random.random() + 0.01 * np.random.rand(), batch[1])
        loss = mse(self.model, noisy)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.losses.append(loss.item())
        return loss

    def outcome(self):
        return self.losses, [p.tolist() for p in self.model.state_dict().values()]

    def find(self, **options):
        return find_lr(self.model, self.optimizer, mse, self.loader, repeats=2, **options)

    def sweep(self):
        with sweep(self.model, self.optimizer, loader=self.loader) as test:
            batches = iter([])
            for _ in test:
                batch = next(batches, None)
                if batch is None:
                    batches = iter(self.loader)
                    batch = next(batches)
                test.report(self.update(batch))
        del self.losses[-len(test.curve) :]
        return test.result


WAYS = {
    "find_lr": lambda session: session.find(),
    "equal_start": lambda session: session.find(equal_start=True, ladder=[1e-4, 1e-2, 1.0]),
    "held_out": lambda session: session.find(held_out=session.loader),
    "sweep": lambda session: session.sweep(),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("moment", ["fresh", "mid-training"])
@pytest.mark.parametrize("model", MODELS)
def test_training_is_the_same_with_and_without(model, moment, way):
    begun = 9 if moment == "mid-training" else 0
    expected = Session(model).train(begun).train().outcome()
    session = Session(model).train(begun)
    WAYS[way](session)
    assert session.train().outcome() == expected


def test_training_with_workers_is_the_same_with_and_without():
    expected = Session(workers=2).train(6).outcome()
    session = Session(workers=2)
    session.find(ladder=[1e-3, 1e-2, 1e-1])
    assert session.train(6).outcome() == expected


@pytest.mark.parametrize("way", WAYS)
def test_a_second_test_says_the_same_as_the_first(way):
    session = Session()
    assert WAYS[way](session) == WAYS[way](session)


def test_tests_between_all_epochs_change_nothing():
    expected = Session().train(4).train(4).train(4).outcome()
    session = Session()
    for _ in range(3):
        session.train(4).find(ladder=[1e-3, 1e-2, 1e-1])
    assert session.outcome() == expected


def test_a_test_in_the_middle_of_an_epoch_changes_nothing():
    def epoch(session, find):
        for number, batch in enumerate(session.loader):
            session.update(batch)
            if find and number == 1:
                session.find()
        return session.train(4).outcome()

    assert epoch(Session(), find=True) == epoch(Session(), find=False)


def test_the_seed_of_the_test_decides_and_the_callers_random_state_does_not():
    def answer(seed, state):
        session = Session()
        torch.manual_seed(state)
        return session.find(seed=seed).curve

    assert answer(1, state=5) == answer(1, state=6)
    assert answer(1, state=5) != answer(2, state=5)
