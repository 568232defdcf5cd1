"""The loop that a user would write: no store, no log, one validation at the end."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import torch

from stepsize.tasks import Task


def steps(task: Task, *, compiled: bool = False) -> Callable[[], Any]:
    """Makes one update per call, over and over the task's batches; returns its loss.

    With ``compiled`` the model is, by ``torch.compile(model)``.
    """
    model, optimizer, batches = task.model, task.optimizer, cycle(task.train)
    model = torch.compile(model) if compiled else model

    def step() -> Any:
        optimizer.zero_grad()
        loss = task.loss(model, next(batches))
        loss.backward()
        optimizer.step()
        return loss

    return step


def train(task: Task, rate: float, epochs: int) -> float:
    """A whole training at a constant rate; the validation loss after it."""
    model, optimizer = task.model, task.optimizer
    for group in optimizer.param_groups:
        group["lr"] = rate
    for _ in range(epochs):
        for batch in task.train:
            optimizer.zero_grad()
            task.loss(model, batch).backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        losses = [task.loss(model, batch).item() for batch in task.val or ()]
    return sum(losses) / len(losses)
