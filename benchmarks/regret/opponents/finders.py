"""The learning rate finders of other packages, through their own public functions.

Each takes a workload and its task, made from a seed, and answers a rate or None; what it raises
counts as no answer, with the reason. Everything is left at its default but for three things:
torch-lr-finder and ignite start at 1e-7 (their default is the rate that happens to be in the
optimizer), ignite also runs with 100 updates (its default is one epoch), and Lightning clips
gradients itself where a workload does (it computes them inside ``optimizer.step``, after the hook).

A package that computes ``loss(model(x), y)`` gets a model that hands on ``x`` and a loss that calls
the workload's: so any loss works, and gradients, modes and weights are the workload's.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import math
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import matplotlib as mpl
import torch
from torch import Tensor, nn
from workloads import WORKLOADS, Workload

from stepsize.tasks import Task

START = 1e-7


class Found(NamedTuple):
    """A rate, or None and why; the updates it took."""

    lr: float | None
    updates: int
    why: str | None = None


class Handing(nn.Module):
    """Holds a model, and hands on its inputs."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return x


def handed(task: Task) -> tuple[Handing, Callable[[Tensor, Tensor], Tensor]]:
    """A model and a ``loss(outputs, targets)`` that together are the task."""
    return Handing(task.model), lambda x, y: task.loss(task.model, (x, y))


def torch_lr_finder(workload: Workload, task: Task) -> float | None:
    """``range_test``, then the suggestion that ``plot`` marks."""
    module = importlib.import_module("torch_lr_finder")
    plt = importlib.import_module("matplotlib.pyplot")
    model, loss = handed(task)
    finder = module.LRFinder(model, task.optimizer, loss)
    finder.range_test(module.TrainDataLoaderIter(task.train), start_lr=START)
    figure, axes = plt.subplots()
    try:
        return finder.plot(ax=axes)[1]
    finally:
        plt.close(figure)


def ignite(workload: Workload, task: Task, num_iter: int | None = None) -> float | None:
    """``FastaiLRFinder`` on an engine."""
    engine = importlib.import_module("ignite.engine")
    handlers = importlib.import_module("ignite.handlers")

    def step(_: Any, batch: Any) -> float:
        task.optimizer.zero_grad()
        loss = task.loss(task.model, batch)
        loss.backward()
        task.optimizer.step()
        return loss.item()

    trainer, finder = engine.Engine(step), handlers.FastaiLRFinder()
    saved = {"model": task.model, "optimizer": task.optimizer}
    with finder.attach(trainer, to_save=saved, num_iter=num_iter, start_lr=START) as finding:
        finding.run(task.train)
    return finder.lr_suggestion()


def lightning(workload: Workload, task: Task, package: str) -> float | None:
    """``Tuner.lr_find``; ``package`` is where Lightning is imported from."""
    pl = importlib.import_module(package)
    tuner = importlib.import_module(f"{package}.tuner")

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.lr = task.model, 0.01

        def training_step(self, batch: Any, _: int) -> Tensor:
            return task.loss(self.model, batch)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return task.optimizer

    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=1,
            default_root_dir=folder,
            max_epochs=workload.epochs,
            gradient_clip_val=workload.clip,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        return tuner.Tuner(trainer).lr_find(Module(), task.train).suggestion()


class Loader:
    """What fastai asks of a loader: a length and batches."""

    def __init__(self, batches: Any) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Any:
        return iter(self.batches)


def fastai(workload: Workload, task: Task, rule: str) -> float | None:
    """``Learner.lr_find`` with one of its rules, around the workload's torch optimizer."""
    basics = importlib.import_module("fastai.basics")
    schedule = importlib.import_module("fastai.callback.schedule")
    model, loss = handed(task)
    data = Loader(task.train)
    with tempfile.TemporaryDirectory() as folder:
        learner = basics.Learner(
            basics.DataLoaders(data, data),
            model,
            loss_func=loss,
            opt_func=lambda *_, **__: basics.OptimWrapper(opt=task.optimizer),
            path=folder,
        )
        with learner.no_bar():
            return learner.lr_find(show_plot=False, suggest_funcs=(getattr(schedule, rule),))[0]


FINDERS: dict[str, Callable[[Workload, Task], float | None]] = {
    "torch_lr_finder": torch_lr_finder,
    "ignite": ignite,
    "ignite_100": partial(ignite, num_iter=100),
    "lightning": partial(lightning, package="lightning.pytorch"),
    "lightning_2.5.2": partial(lightning, package="pytorch_lightning"),
    "fastai_valley": partial(fastai, rule="valley"),
    "fastai_slide": partial(fastai, rule="slide"),
    "fastai_minimum": partial(fastai, rule="minimum"),
    "fastai_steep": partial(fastai, rule="steep"),
}


def find(name: str, seed: int, finder: str) -> Found:
    """One finder's answer; the updates are counted where they happen."""
    task = WORKLOADS[name](seed)
    made = [0]
    task.optimizer.register_step_post_hook(lambda *_: made.__setitem__(0, made[0] + 1))
    torch.manual_seed(seed)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            lr = FINDERS[finder](WORKLOADS[name], task)
        except Exception as error:  # noqa: BLE001 - whatever a package raises is its answer
            return Found(None, made[0], f"{type(error).__name__}: {error}"[:200])
    if lr is None or not math.isfinite(lr):
        return Found(None, made[0], f"it answered {lr}")
    return Found(float(f"{lr:.6g}"), made[0])


def quiet() -> None:
    """No windows and no chatter."""
    mpl.use("Agg")
    warnings.filterwarnings("ignore")
    chatty = ("lightning", "lightning.pytorch", "lightning.fabric", "pytorch_lightning", "ignite")
    for name in (*chatty, "lightning_fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
