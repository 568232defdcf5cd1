"""Optimizers that need no search: one training each, in place of the workload's own optimizer.

Same weights, same batches, same clipping. Options are those that the packages' own pages name:

* AdamW: torch's defaults; the linear schedule with its warm-up over 5 %.
* Prodigy at 1: ``prodigy`` without a schedule, ``prodigy_cosine`` with cosine annealing and no
  warm-up, ``prodigy_safeguard`` with warm-up over 5 %, cosine and ``safeguard_warmup``.
* D-Adaptation (``DAdaptAdam``) at 1, under "the same learning rate scheduler you would normally
  use": linear.
* DoG without a schedule, judged at its ``PolynomialDecayAverager``; ``reps_rel`` is 1e-4 with batch
  norm, else 1e-6.
* Schedule-free AdamW without a schedule, ``warmup_steps`` over 5 %; the statistics of batch norm
  are measured anew at the averaged weights over 50 training batches before the evaluation.
* MoMo at 1 and MoMo-Adam at 1e-2, linear; a lower bound of 0 for the loss, and ``use_fstar`` where
  the loss may be negative.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from dadaptation import DAdaptAdam
from dog import DoG, PolynomialDecayAverager
from make_grid import WARM_UP, Run, cosine, linear
from momo import Momo, MomoAdam
from prodigyopt import Prodigy
from schedulefree import AdamWScheduleFree
from torch import Tensor, nn
from workloads import WORKLOADS, Workload, cross_entropy, squared_error

from opponents.trainings import Final

BATCHES_FOR_NORMS = 50
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def constant(t: int, updates: int) -> float:
    return 1.0


def bare_cosine(t: int, updates: int) -> float:
    """Cosine from the first update on."""
    return 0.5 * (1 + math.cos(math.pi * t / updates))


class WithLoss(Run):
    """For optimizers that read the loss."""

    def step(self, loss: Tensor) -> None:
        self.task.optimizer.step(loss=loss.detach())


class Averaged(Run):
    """Judged at DoG's average of the weights."""

    averager: Any = None

    def step(self, loss: Tensor) -> None:
        self.averager = self.averager or PolynomialDecayAverager(self.task.model)
        super().step(loss)
        self.averager.step()

    def finals(self) -> Final:
        self.task = replace(self.task, model=self.averager.averaged_model)
        return super().finals()


class ScheduleFree(Run):
    """Trained at one point, judged at another."""

    def finals(self) -> Final:
        task, train = self.task, self.task.train
        task.optimizer.eval()
        if has_norms(task.model):
            with torch.no_grad():
                for rows in self.orders[:BATCHES_FOR_NORMS]:
                    task.loss(task.model, (train.inputs[rows], train.targets[rows]))
        return super().finals()


@dataclass(frozen=True)
class Method:
    """An optimizer, its rate and schedule; ``make(parameters, lr, run, workload)``."""

    make: Callable[..., torch.optim.Optimizer]
    lr: float
    schedule: Callable[[int, int], float]
    run: type[Run] = Run


def plain(kind: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """An optimizer that needs to know nothing of the training."""
    return lambda parameters, lr, *_: kind(parameters, lr=lr, **options)


def dog(parameters: Iterable[Any], lr: float, run: Run, workload: Workload) -> DoG:
    return DoG(parameters, lr=lr, reps_rel=1e-4 if has_norms(run.task.model) else 1e-6)


def schedule_free(
    parameters: Iterable[Any], lr: float, run: Run, workload: Workload
) -> AdamWScheduleFree:
    warm_up = max(1, round(WARM_UP * workload.updates))
    optimizer = AdamWScheduleFree(parameters, lr=lr, warmup_steps=warm_up)
    optimizer.train()
    return optimizer


def momo(
    kind: type, parameters: Iterable[Any], lr: float, run: Run, workload: Workload
) -> torch.optim.Optimizer:
    positive = workload.loss in (cross_entropy, squared_error)
    return kind(parameters, lr=lr, use_fstar=not positive)


def clip(parameters: list[Tensor], norm: float, *_: Any) -> None:
    nn.utils.clip_grad_norm_(parameters, norm)


def has_norms(model: nn.Module) -> bool:
    return any(isinstance(module, NORMS) for module in model.modules())


METHODS: dict[str, Method] = {
    "adamw_1e-2": Method(plain(torch.optim.AdamW), 1e-2, linear),
    "adamw_1e-3": Method(plain(torch.optim.AdamW), 1e-3, linear),
    "adamw_3e-4": Method(plain(torch.optim.AdamW), 3e-4, linear),
    "prodigy": Method(plain(Prodigy), 1.0, constant),
    "prodigy_cosine": Method(plain(Prodigy), 1.0, bare_cosine),
    "prodigy_safeguard": Method(plain(Prodigy, safeguard_warmup=True), 1.0, cosine),
    "dadapt_adam": Method(plain(DAdaptAdam), 1.0, linear),
    "dog_averaged": Method(dog, 1.0, constant, Averaged),
    "schedule_free_adamw": Method(schedule_free, 2.5e-3, constant, ScheduleFree),
    "schedule_free_adamw_1e-2": Method(schedule_free, 1e-2, constant, ScheduleFree),
    "momo": Method(partial(momo, Momo), 1.0, linear, WithLoss),
    "momo_adam_1e-2": Method(partial(momo, MomoAdam), 1e-2, linear, WithLoss),
}


def train_once(name: str, seed: int, method: Method) -> Final | None:
    """What one training ends with; None when it diverged."""
    workload, run = WORKLOADS[name], method.run(name, seed)
    parameters = [p for p in run.task.model.parameters() if p.requires_grad]
    with contextlib.redirect_stdout(io.StringIO()):
        optimizer = method.make(parameters, method.lr, run, workload)
    if workload.clip is not None:
        optimizer.register_step_pre_hook(partial(clip, parameters, workload.clip))
    run.task = replace(run.task, optimizer=optimizer)
    torch.manual_seed(seed)
    for t in range(workload.updates):
        if not math.isfinite(run.update(t, method.lr * method.schedule(t, workload.updates))):
            return None
    final = run.finals()
    return final if final["val"] is not None and final["val"] < run.bad else None
