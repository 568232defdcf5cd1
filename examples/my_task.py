"""A task of your own: tell two spirals apart. Try: stepsize find examples/my_task.py:make"""

import math

import torch

from stepsize.tasks import Task, TensorBatches


def spirals(count, generator):
    """Points on two noisy spirals that turn around each other, and which one each is on."""
    which = torch.arange(count) % 2
    turn = torch.rand(count, generator=generator).sqrt() * 3 * math.pi
    angle = turn + which * math.pi
    points = torch.stack([turn * angle.cos(), turn * angle.sin()], dim=1) / 10
    return points + 0.02 * torch.randn(count, 2, generator=generator), which


def loss(model, batch):
    """The mean loss of a batch: a scalar tensor that backward() can start from."""
    points, which = batch
    return torch.nn.functional.cross_entropy(model(points), which)


def accuracy(model, batch):
    """Reported as val_accuracy."""
    points, which = batch
    return (model(points).argmax(dim=1) == which).float().mean().item()


def make(seed):
    """Everything random comes from the seed, so the same seed gives the same training."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(
        torch.nn.Linear(2, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh(),
        torch.nn.Linear(64, 2),
    )  # fmt: skip
    # The data stay the same for all seeds: the seed is for what training leaves to chance.
    points, which = spirals(2400, torch.Generator().manual_seed(0))
    return Task(
        model=model,
        optimizer=torch.optim.Adam(model.parameters()),  # its rate is what stepsize looks for
        loss=loss,
        train=TensorBatches(points[:2000], which[:2000], 50, shuffle=True, seed=seed),
        val=TensorBatches(points[2000:], which[2000:], 400, shuffle=False),
        metrics={"accuracy": accuracy},
    )
