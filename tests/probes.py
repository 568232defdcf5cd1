"""Probes without a framework."""

from __future__ import annotations

import math


class Recorded:
    """Returns the losses it is given, and keeps the rates it was stepped at."""

    def __init__(self, losses):
        self.losses = iter(losses)
        self.lrs = []

    def step(self, lr):
        self.lrs.append(lr)
        return next(self.losses)


class Function:
    """The loss is a function of the rate."""

    def __init__(self, loss):
        self.loss = loss
        self.lrs = []

    def step(self, lr):
        self.lrs.append(lr)
        return self.loss(lr)


class Quadratic:
    """Gradient descent on x^2 / 2, which diverges above a rate of 2; transactional, restartable."""

    def __init__(self, x=1.0):
        self.x = x
        self.entered = self.left = self.restarts = 0

    def __enter__(self):
        self.entered += 1
        self.before = self.x
        return self

    def __exit__(self, *error):
        self.left += 1
        self.x = self.before

    def restart(self):
        self.restarts += 1
        self.x = self.before

    def step(self, lr):
        loss = self.x * self.x / 2
        self.x -= lr * self.x
        return loss

    def held_out_loss(self):
        return self.x * self.x / 2


class Blocks(Recorded):
    """Hands its losses over unread, in boxes, and counts how often it is asked to open them."""

    def __init__(self, losses, block):
        super().__init__(losses)
        self.block = block
        self.reads = 0

    def step(self, lr):
        return [super().step(lr)]

    def read(self, losses):
        self.reads += bool(losses)
        return [value for (value,) in losses]


def sigmoid_fall(lr, middle=-2.0, edge=0.0):
    """Level, fall around ``middle``, blow-up around ``edge`` (log10 of the rate)."""
    x = math.log10(lr)
    return 2.0 - 1.0 / (1.0 + math.exp(-5.0 * (x - middle))) + 10.0 ** (3.0 * (x - edge))
