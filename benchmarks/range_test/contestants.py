"""Who takes part: the bare loop, stepsize and its peers, each as ``(workload, n) -> seconds``.

Fair means here: every contestant gets the same initial weights, the same batches (ready in memory)
and the same geometric ladder; builds its model, optimizer and trainer before its clock starts;
saves and restores the training the way it always does, on the clock; and draws nothing. Early
stopping is off. Progress bars are off, which some peers need a patch for. The top rate is tame, so
that nobody computes on NaN. ``bare`` reads the loss of every update, as all finders do.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import itertools
import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

import stepsize as ss
from stepsize.adapters.torch.batches import Batches

START, END = 1e-6, 0.1


@dataclass(frozen=True)
class Workload:
    """An MLP on random inputs, plain SGD, in-memory batches of 64."""

    sizes: tuple[int, ...]
    batch: int = 64

    @property
    def name(self) -> str:
        return "MLP " + "-".join(map(str, self.sizes))

    @functools.cache  # noqa: B019  (two workloads live as long as the program)
    def batches(self, n: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """``n`` ready batches, the same for all."""
        generator = torch.Generator().manual_seed(0)
        features, classes = self.sizes[0], self.sizes[-1]
        return [
            (
                torch.rand(self.batch, features, generator=generator),
                torch.randint(0, classes, (self.batch,), generator=generator),
            )
            for _ in range(n)
        ]

    def model(self) -> nn.Sequential:
        """The network, with the same weights each time."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            pairs = itertools.pairwise(self.sizes)
            layers = [layer for a, b in pairs for layer in (nn.Linear(a, b), nn.ReLU())]
            return nn.Sequential(*layers[:-1])

    def training(self) -> tuple[nn.Sequential, torch.optim.SGD]:
        """The network and its optimizer."""
        model = self.model()
        return model, torch.optim.SGD(model.parameters(), lr=START)

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.model().parameters())


LARGE = Workload((784, 512, 200, 10))
SMALL = Workload((64, 128, 64, 10))


class Loader:
    """The least that trainers accept: a sized iterable of ready batches."""

    def __init__(self, data: list) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self):
        return iter(self.data)


def loss_fn(model, batch):
    """What a user of stepsize writes."""
    x, y = batch
    return functional.cross_entropy(model(x), y)


def bare(workload: Workload, n: int) -> float:
    """The loop that everyone else is measured against."""
    model, optimizer = workload.training()
    data, losses = workload.batches(n), []
    started = time.perf_counter()
    for x, y in data:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return time.perf_counter() - started


def stepsize_find_lr(workload: Workload, n: int) -> float:
    """All of it: snapshot, sweep, restore, the suggestion and every other rule's answer."""
    model, optimizer = workload.training()
    data = workload.batches(n)
    ladder = ss.Geometric(START, END, rates=n)
    started = time.perf_counter()
    result = ss.find_lr(
        model, optimizer, loss_fn, data, repeats=1, stop="never", extend_decades=0, ladder=ladder
    )
    seconds = time.perf_counter() - started
    assert len(result.curve) == n, result.curve
    return seconds


def stepsize_range_test(workload: Workload, n: int) -> float:
    """Snapshot, sweep and restore; the curve is not read."""
    model, optimizer = workload.training()
    data = workload.batches(n)
    ladder = ss.Geometric(START, END, rates=n)
    started = time.perf_counter()
    probe = ss.torch.TorchProbe(model, optimizer, loss_fn, Batches(data))
    curve = ss.range_test(probe, ladder, stop=(), extend_decades=0)
    seconds = time.perf_counter() - started
    assert len(curve) == n, curve
    return seconds


def torch_lr_finder(workload: Workload, n: int) -> float:
    """torch-lr-finder: range_test and reset."""
    module = importlib.import_module("torch_lr_finder.lr_finder")
    module.tqdm = _silent_tqdm()  # it has no switch of its own
    model, optimizer = workload.training()
    loader = module.TrainDataLoaderIter(workload.batches(n))  # any iterable will do
    criterion = nn.CrossEntropyLoss()
    with contextlib.redirect_stdout(io.StringIO()):
        started = time.perf_counter()
        finder = module.LRFinder(model, optimizer, criterion)
        finder.range_test(loader, start_lr=START, end_lr=END, num_iter=n, diverge_th=float("inf"))
        finder.reset()
        return time.perf_counter() - started


def ignite(workload: Workload, n: int) -> float:
    """pytorch-ignite's FastaiLRFinder on an Engine."""
    engine = importlib.import_module("ignite.engine")
    handlers = importlib.import_module("ignite.handlers")
    model, optimizer = workload.training()

    def step(_, batch):
        x, y = batch
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    trainer, finder, data = engine.Engine(step), handlers.FastaiLRFinder(), workload.batches(n)
    started = time.perf_counter()
    with finder.attach(
        trainer,
        to_save={"model": model, "optimizer": optimizer},
        num_iter=n,
        start_lr=START,
        end_lr=END,
        diverge_th=float("inf"),
    ) as finding:
        finding.run(data, max_epochs=1)
    return time.perf_counter() - started


def lightning(workload: Workload, n: int) -> float:
    """Lightning's Tuner.lr_find on a Trainer without logger, bar and checkpoints."""
    pl = importlib.import_module("lightning")
    tuning = importlib.import_module("lightning.pytorch.tuner")
    importlib.import_module("lightning.pytorch.tuner.lr_finder").tqdm = _silent_tqdm()

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.lr = workload.model(), START

        def training_step(self, batch, _):
            return functional.cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=self.lr)

    off = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=1,
            default_root_dir=folder,
            max_epochs=1,
            **dict.fromkeys(off, False),
        )
        module, tuner, loader = Module(), tuning.Tuner(trainer), Loader(workload.batches(n))
        started = time.perf_counter()
        tuner.lr_find(
            module,
            loader,
            min_lr=START,
            max_lr=END,
            num_training=n,
            early_stop_threshold=None,
            update_attr=False,
        )
        return time.perf_counter() - started


def fastai(workload: Workload, n: int, **options) -> float:
    """fastai's Learner.lr_find without its rule."""
    basics = importlib.import_module("fastai.basics")
    importlib.import_module("fastai.callback.schedule")  # it adds lr_find to Learner
    options = options or {"suggest_funcs": None}
    data = Loader(workload.batches(n))
    with tempfile.TemporaryDirectory() as folder:
        learner = basics.Learner(
            basics.DataLoaders(data, data),
            workload.model(),
            loss_func=basics.CrossEntropyLossFlat(),
            opt_func=basics.SGD,
            lr=START,
            path=folder,
        )
        bars = [each for each in learner.cbs if type(each).__name__ == "ProgressCallback"]
        learner.remove_cbs(bars)
        started = time.perf_counter()
        learner.lr_find(
            start_lr=START, end_lr=END, num_it=n, stop_div=False, show_plot=False, **options
        )
        return time.perf_counter() - started


def fastai_with_valley(workload: Workload, n: int) -> float:
    """The same with its default rule, a quadratic loop over tensors."""
    schedule = importlib.import_module("fastai.callback.schedule")
    return fastai(workload, n, suggest_funcs=(schedule.valley,))


#: ``bare again`` is the same as ``bare``: how far its ratio is from 1 is what noise does.
CONTESTANTS: dict[str, Callable[[Workload, int], float]] = {
    "bare loop": bare,
    "bare loop again": bare,
    "stepsize find_lr": stepsize_find_lr,
    "stepsize range_test": stepsize_range_test,
    "torch-lr-finder": torch_lr_finder,
    "pytorch-ignite": ignite,
    "lightning": lightning,
    "fastai": fastai,
    "fastai with valley": fastai_with_valley,
}
#: The distributions whose versions are written down.
PACKAGES = ("torch", "torch-lr-finder", "pytorch-ignite", "lightning", "fastai")


def quiet() -> None:
    """One thread and no chatter."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    for name in ("lightning", "lightning.pytorch", "lightning.fabric", "ignite"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _silent_tqdm():
    return functools.partial(importlib.import_module("tqdm").tqdm, disable=True)
