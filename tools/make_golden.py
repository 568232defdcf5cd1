"""Golden vectors: recorded curves through the peers' own released functions.

    STEPSIZE_DATA=... python tools/make_golden.py [--lightning-old FOLDER] [--out FILE]

Writes tests/golden/peer_rules.json; see tools/README.md for what must be installed. Every value
comes out of a call into a released package; nothing here implements a rule again. Format:

made_by, versions, notes
curves: a list of {name, kind, num_it, lr, loss, expected}
    loss: rounded to 8 significant digits before anything is fed; null stands for NaN.
    expected:
        "<peer>.<rule>": a number, null (the peer returned None) or {"error", "message"}
        smoothing: {peer: [...]}  the peer's own smoothing of ``loss``
        stop: {peer: n}           points recorded when its own early stop fires; null: never
        pipeline: {...}           the rule on the peer's own smoothing, as its user would get it
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import logging
import math
import platform
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import torch
import torch_lr_finder.lr_finder as tlf
from fastai.basics import AvgSmoothLoss, Learner
from fastai.callback import schedule as fastai_schedule
from fastai.callback.core import CancelFitException
from golden_curves import recorded, rounded
from ignite.handlers import FastaiLRFinder
from lightning.pytorch.tuner.lr_finder import _LRCallback, _LRFinder
from torch import nn

mpl.use("Agg")
import matplotlib.pyplot as plt

TARGET = Path(__file__).resolve().parents[1] / "tests" / "golden" / "peer_rules.json"
FASTAI_RULES = ("valley", "slide", "minimum", "steep")
PACKAGES = (
    "torch",
    "numpy",
    "fastai",
    "fastcore",
    "torch-lr-finder",
    "pytorch-ignite",
    "lightning",
    "scikit-learn",
    "matplotlib",
)
OLD_LIGHTNING = "2.5.2"
NOTES = {
    "nan": "null inside loss or smoothing is NaN (JSON has none).",
    "tolerance": "Suggested lrs: torch_lr_finder, ignite, lightning return an element of lr, exact "
    "float64 (compare ==). fastai.*  (no suffix): fed float64 tensors, exact to 1 ulp (slide: "
    "*1.0, minimum: lr/10). fastai.*.float32 and fastai.lr_find.*: lr went through float32: rtol "
    "1e-6. ignite and lightning choose the index in float32; checked: float64 chooses the same "
    "point on every curve here (tol_check*.py). smoothing.fastai is float32: rtol 5e-6 (worst seen "
    "against float64: 1.1e-6); the other three are float64, rounded to 10 digits: rtol 1e-9.",
    "stop": "number of points recorded, the stopping one included, under the peer default (fastai "
    "4x smoothed, tlf 5x, ignite 5x, lightning 4x); null: never. smoothing is with the stop off.",
    "fastai.lr_find": "released Learner.lr_find on a stand-in learner; num_it as in the curve; "
    "trims [num_it//10:-5] and cuts at first NaN; float32.",
    "pipeline": "rule on the peer's own smoothing of loss over the whole curve (stop off), at each "
    "peer's default skips.",
}


# fastai.


def fastai_direct(rule: str, lr: list[float], loss: list[float], n: int, dtype: Any) -> Any:
    """The rule on tensors of ``dtype``."""
    function = getattr(fastai_schedule, rule)
    return function(torch.tensor(lr, dtype=dtype), torch.tensor(loss, dtype=dtype), n)[0]


def fastai_lr_find(rule: str, lr: list[float], loss: list[float], n: int) -> Any:
    """The released ``Learner.lr_find`` on a learner whose fit only leaves a recorder behind."""
    learner = SimpleNamespace(
        dls=SimpleNamespace(train=range(n)),
        no_logging=contextlib.nullcontext,
        fit=lambda *args, **kwargs: None,
        recorder=SimpleNamespace(lrs=list(lr), losses=[torch.tensor(value) for value in loss]),
    )
    function = getattr(fastai_schedule, rule)
    return Learner.lr_find(learner, num_it=n, show_plot=False, suggest_funcs=(function,))[0]


def fastai_smooth(loss: list[float]) -> list[float]:
    """Its recorder's average."""
    average = AvgSmoothLoss(beta=0.98)
    average.reset()
    smoothed = []
    for value in loss:
        average.accumulate(SimpleNamespace(loss=torch.tensor(value)))
        smoothed.append(average.value.item())
    return smoothed


def fastai_stop(loss: list[float]) -> int | None:
    """The point at which its callback cancels the fit."""
    callback = fastai_schedule.LRFinder(num_it=10**9)
    callback.best_loss = float("inf")
    for k, smoothed in enumerate(fastai_smooth(loss)):
        callback.learn = SimpleNamespace(
            smooth_loss=torch.tensor(smoothed),
            train_iter=k + 1,
            opt=SimpleNamespace(hypers=[{"lr": 0.0}]),
        )
        callback.hps = {"lr": []}
        try:
            callback.after_batch()
        except CancelFitException:
            return k + 1
    return None


# torch-lr-finder.


def tlf_finder() -> Any:
    """A finder with something to hold."""
    model = nn.Linear(1, 1)
    return tlf.LRFinder(model, torch.optim.SGD(model.parameters(), lr=1e-6), None)


def tlf_run(loss: list[float], threshold: float) -> list[float]:
    """The losses its range test records when every batch gives the next value."""
    finder, values = tlf_finder(), iter(loss)
    finder._train_batch = lambda *args, **kwargs: next(values)
    tlf.tqdm = lambda steps: steps
    loader = torch.utils.data.DataLoader([0])
    finder.range_test(loader, num_iter=len(loss), diverge_th=threshold)
    return finder.history["loss"]


def tlf_smooth(loss: list[float]) -> list[float]:
    """The smoothed losses without a stop."""
    return tlf_run(loss, math.nan)  # nothing is above NaN: no stop


def tlf_stop(loss: list[float]) -> int | None:
    """How many points it records under its default stop."""
    points = len(tlf_run(loss, 5))
    return points if points < len(loss) else None


def tlf_suggest(lr: list[float], loss: list[float]) -> Any:
    """Its suggestion, which only its plot makes."""
    finder = tlf_finder()
    finder.history = {"lr": list(lr), "loss": list(loss)}
    figure, axes = plt.subplots()
    try:
        return finder.plot(skip_start=10, skip_end=5, suggest_lr=True, ax=axes)[1]
    finally:
        plt.close(figure)


# pytorch-ignite.


def ignite_run(loss: list[float]) -> tuple[list[float], int | None]:
    """The smoothed losses and the point at which it asks the trainer to end."""
    finder, stops = FastaiLRFinder(), []
    finder._history = {"lr": [], "loss": []}
    finder._lr_schedule = SimpleNamespace(get_param=lambda: 0.0)
    for k, value in enumerate(loss):
        trainer = SimpleNamespace(
            state=SimpleNamespace(output=value, iteration=k + 1),
            terminate=lambda k=k: stops.append(k + 1),
        )
        finder._log_lr_and_loss(trainer, lambda output: output, 0.05, 5.0)
    return finder._history["loss"], (stops[0] if stops else None)


def ignite_suggest(lr: list[float], loss: list[float]) -> Any:
    """Its suggestion for a finished history."""
    finder = FastaiLRFinder()
    finder._history = {"lr": list(lr), "loss": list(loss)}
    return finder.lr_suggestion()


# Lightning.


def lightning_run(loss: list[float], threshold: float | None) -> tuple[list[float], int | None]:
    """The smoothed losses and the point at which its callback stops the trainer."""
    callback, stop = _LRCallback(len(loss), early_stop_threshold=threshold), None
    trainer = SimpleNamespace(
        fit_loop=SimpleNamespace(batch_idx=0),
        accumulate_grad_batches=1,
        global_step=0,
        should_stop=False,
        strategy=SimpleNamespace(broadcast=lambda value: value),
    )
    for k, value in enumerate(loss):
        trainer.global_step = k + 1  # as in a real run: it is already counted up here
        outputs = {"loss": torch.tensor(value, dtype=torch.float64)}
        callback.on_train_batch_end(trainer, None, outputs, None, k)
        if trainer.should_stop and stop is None:
            stop = k + 1
    return callback.losses, stop


def lightning_suggest(finder_class: Any, lr: list[float], loss: list[float]) -> Any:
    """The suggestion of a release's finder for finished results."""
    finder = finder_class("exponential", lr[0], lr[-1], len(lr))
    finder.results = {"lr": list(lr), "loss": list(loss)}
    return finder.suggestion(skip_begin=10, skip_end=1)


def load_old_lightning(folder: Path | None) -> Any:
    """The finder class of an unpacked older wheel, beside the installed one; None without it."""
    if folder is None:
        return None
    path = folder / "lightning" / "pytorch" / "tuner" / "lr_finder.py"
    spec = importlib.util.spec_from_file_location("old_lr_finder", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module._LRFinder


# What is expected.


def attempt(function: Callable[[], Any]) -> Any:
    """Its value as JSON data: a finite number, None, or the error it raised."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            value = function()
            value = None if value is None else float(value)
    except Exception as error:  # noqa: BLE001  (whatever a peer raises is what is recorded)
        return {"error": type(error).__name__, "message": str(error)[:100]}
    return value if value is not None and math.isfinite(value) else None


def index_rules(
    lr: list[float], loss: Callable[[str], list[float]], old: Any
) -> Iterator[tuple[str, Any]]:
    """The rules that answer with a point of the curve; ``loss`` gives each peer its losses."""
    yield "torch_lr_finder", attempt(lambda: tlf_suggest(lr, loss("torch_lr_finder")))
    yield "ignite", attempt(lambda: ignite_suggest(lr, loss("ignite")))
    yield "lightning", attempt(lambda: lightning_suggest(_LRFinder, lr, loss("lightning")))
    if old is not None:
        name = f"lightning_{OLD_LIGHTNING}"
        yield name, attempt(lambda: lightning_suggest(old, lr, loss("lightning")))


def fastai_rules(lr: list[float], loss: list[float], n: int) -> Iterator[tuple[str, Any]]:
    """fastai's rules called directly, in both precisions, and through ``lr_find``."""
    for rule in FASTAI_RULES:
        for suffix, dtype in (("", torch.float64), (".float32", torch.float32)):
            value = attempt(lambda r=rule, d=dtype: fastai_direct(r, lr, loss, n, d))
            yield f"fastai.{rule}{suffix}", value
        yield f"fastai.lr_find.{rule}", attempt(lambda r=rule: fastai_lr_find(r, lr, loss, n))


def expected(lr: list[float], loss: list[float], n: int, old: Any) -> dict[str, Any]:
    """Everything the peers say of one curve."""
    smoothed = {
        "fastai": fastai_smooth(loss),
        "torch_lr_finder": tlf_smooth(loss),
        "ignite": ignite_run(loss)[0],
        "lightning": lightning_run(loss, None)[0],
    }
    pipeline = {
        f"fastai.lr_find.{rule}": attempt(
            lambda r=rule: fastai_lr_find(r, lr, smoothed["fastai"], n)
        )
        for rule in FASTAI_RULES
    }
    return {
        **dict(fastai_rules(lr, loss, n)),
        **dict(index_rules(lr, lambda peer: loss, old)),
        "stop": {
            "fastai": fastai_stop(loss),
            "torch_lr_finder": tlf_stop(loss),
            "ignite": ignite_run(loss)[1],
            "lightning": lightning_run(loss, 4.0)[1],
        },
        "pipeline": {**pipeline, **dict(index_rules(lr, smoothed.__getitem__, old))},
        "smoothing": {
            peer: [rounded(value, 10) if math.isfinite(value) else None for value in values]
            for peer, values in smoothed.items()
        },
    }


def document(old: Any) -> str:
    """The file's text: one line per curve."""
    versions: dict[str, str | None] = {package: version(package) for package in PACKAGES}
    versions["python"] = platform.python_version()
    versions["lightning_old"] = None if old is None else OLD_LIGHTNING
    head = {"made_by": "make_golden.py", "versions": versions, "notes": NOTES}
    curves = [
        {
            "name": name,
            "kind": kind,
            "num_it": n,
            "lr": lr,
            "loss": [None if math.isnan(value) else value for value in loss],
            "expected": expected(lr, loss, n, old),
        }
        for name, kind, n, (lr, loss) in recorded()
    ]
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    rows = ",\n".join(json.dumps(curve, allow_nan=False) for curve in curves)
    return "{\n" + ",\n".join([*lines, f'"curves": [\n{rows}\n]']) + "\n}\n"


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--lightning-old", type=Path, help=f"a folder with the unpacked {OLD_LIGHTNING} wheel"
    )
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    with contextlib.redirect_stdout(io.StringIO()):  # torch-lr-finder prints as it goes
        text = document(load_old_lightning(options.lightning_old))
    options.out.write_text(text, encoding="utf-8")
    print(f"{options.out}: {len(text)} bytes")


if __name__ == "__main__":
    main()
