"""The arguments of the commands, and the values they stand for."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.errors import InputError
from stepsize.finder import DEFAULT_LADDER, FindOptions

if TYPE_CHECKING:
    from stepsize.adapters.torch import Recipe
    from stepsize.rangetest import Ladder

_STORE_VARIABLE = "STEPSIZE_STORE"
_STORE_FILE = "stepsize.db"


def add_task(parser: argparse.ArgumentParser) -> None:
    """``TASK``: the same for every command about one task."""
    parser.add_argument(
        "task",
        metavar="TASK",
        help="a built-in task (see 'stepsize tasks'), file.py:callable or package.module:callable",
    )


def command(options: argparse.Namespace) -> str:
    """The command as it was typed, for the record."""
    return shlex.join(["stepsize", *options.words])


def add_common(parser: argparse.ArgumentParser, *, out: str) -> None:
    """``--seed``, ``--out``, ``--json``, ``--quiet``: the same for every command that trains."""
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default 0")
    add_output(parser, out=out)


def add_output(parser: argparse.ArgumentParser, *, out: str) -> None:
    """``--out``, ``--json``, ``--quiet``: the same for every command that writes files."""
    parser.add_argument("--out", metavar="DIR", help=f"where files go (default {out})")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object on standard output"
    )
    parser.add_argument("--quiet", action="store_true", help="print the answer and nothing else")


def add_store(parser: argparse.ArgumentParser) -> None:
    """``--store``: the same for every command that keeps or reads runs."""
    parser.add_argument(
        "--store",
        metavar="PATH",
        help=f"the runs database (default: ${_STORE_VARIABLE}, else {_STORE_FILE} in this folder)",
    )


def add_engine(parser: argparse.ArgumentParser) -> None:
    """``--engine``: the same for every command that trains."""
    parser.add_argument(
        "--engine",
        default="auto",
        metavar="NAME",
        help="how many trainings are run: auto (default), serial, fused, processes, processes:N "
        "or dask://host:port",
    )


def store_path(options: argparse.Namespace) -> Path:
    """Where the runs database is."""
    return Path(options.store or os.environ.get(_STORE_VARIABLE) or _STORE_FILE)


def add_seeds(group: argparse._ArgumentGroup) -> None:
    """``--seeds``: the same for every command that compares."""
    group.add_argument("--seeds", metavar="LIST", help="such as 0,1,2 (default: three from --seed)")


def add_record(group: argparse._ArgumentGroup) -> None:
    """What becomes of a comparison's result: the same for every command that compares."""
    group.add_argument(
        "--no-test", action="store_true",
        help="leave the test set alone (it is read once, for what was chosen)",
    )  # fmt: skip
    group.add_argument("--name", default="", metavar="TEXT", help="a title")
    group.add_argument(
        "--tracker", action="append", default=[], metavar="NAME[:WHERE]",
        help="also send it to tensorboard, mlflow, wandb or trackio; may be repeated",
    )  # fmt: skip


def add_judgement(parser: argparse.ArgumentParser) -> None:
    """By what runs are ranked: the same for every command that compares."""
    group = parser.add_argument_group("judgement")
    group.add_argument(
        "--metric", default="val_loss", metavar="NAME", help="ranked by (default val_loss)"
    )
    direction = group.add_mutually_exclusive_group()
    direction.add_argument(
        "--higher", action="store_true", default=None, help="more of the metric is better"
    )
    direction.add_argument("--lower", dest="higher", action="store_false", help="less of it is")
    group.add_argument(
        "--at", choices=("final", "best"), default="final",
        help="judge runs by their end or by their best epoch (default final)",
    )  # fmt: skip
    group.add_argument(
        "--interval", choices=("t", "bootstrap"), default="t", help="of differences (default t)"
    )


def judgement(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of ``CompareOptions`` that the arguments stand for."""
    chosen = {
        "metric": options.metric,
        "higher": options.higher,
        "at": options.at,
        "interval": options.interval,
        "test": not options.no_test,
    }
    return {**chosen, "name": options.name} if options.name else chosen


def seeds(options: argparse.Namespace) -> tuple[int, ...] | None:
    """The seeds that were asked for; None for the usual ones."""
    if options.seeds is not None:
        return numbers("--seeds", options.seeds, int)
    return None if options.seed == 0 else tuple(range(options.seed, options.seed + 3))


def numbers(option: str, text: str, kind: type) -> tuple[Any, ...]:
    """Numbers separated by commas.

    Raises:
        InputError: they are none.
    """
    try:
        return tuple(kind(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise InputError(f"{option} takes numbers separated by commas, got {text!r}.") from None


def add_ladder(parser: argparse.ArgumentParser) -> None:
    """Which rates to climb."""
    group = parser.add_argument_group("rates")
    group.add_argument(
        "--ladder", choices=("geometric", "linear"), default="geometric", help="default geometric"
    )
    group.add_argument("--start-lr", type=float, default=DEFAULT_LADDER.start, metavar="LR")
    group.add_argument("--stop-lr", type=float, default=DEFAULT_LADDER.stop, metavar="LR")
    group.add_argument("--rates", type=int, default=DEFAULT_LADDER.rates, metavar="N")
    group.add_argument("--updates-per-rate", type=int, default=1, metavar="N")
    group.add_argument(
        "--segments",
        metavar="TABLE",
        help="coarse-to-fine rows start:step:updates:stop, separated by commas, such as "
        "0.0001:0.0001:10:0.0009,0.001:0.001:10:0.009",
    )
    group.add_argument(
        "--extend-decades",
        type=float,
        default=3.0,
        metavar="D",
        help="how far to go on when the loss is lowest at an end (default 3)",
    )


def add_search(parser: argparse.ArgumentParser) -> None:
    """How to search."""
    group = parser.add_argument_group("search")
    group.add_argument(
        "--repeats", type=int, default=FindOptions.repeats, metavar="N", help="sweeps, default 1"
    )
    group.add_argument(
        "--stop",
        action="append",
        metavar="RULE",
        help="rise (default), 4x-best, 'loss>VALUE', 'lr>VALUE' or never; may be repeated",
    )
    group.add_argument(
        "--equal-start", action="store_true", help="judge every rate from the same weights"
    )
    group.add_argument(
        "--held-out-every",
        type=int,
        default=0,
        metavar="N",
        help="judge by a few validation batches every N updates, not by the training loss",
    )
    group.add_argument("--refine", action="store_true", help="add a second, finer pass")
    group.add_argument("--max-updates", type=int, metavar="N", help="per sweep")
    group.add_argument("--max-seconds", type=float, metavar="S", help="in all")


def add_update(parser: argparse.ArgumentParser) -> None:
    """How each update is made."""
    group = parser.add_argument_group("updates")
    group.add_argument("--accumulate", type=int, default=1, metavar="N", help="batches per update")
    group.add_argument("--clip-norm", type=float, metavar="G", help="clip the gradients' norm")
    group.add_argument("--clip-value", type=float, metavar="G", help="clip each gradient")
    group.add_argument("--autocast", choices=("bfloat16",), help="mixed precision")


def search(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of ``FindOptions`` that the arguments stand for."""
    return {
        "ladder": _ladder(options),
        "repeats": options.repeats,
        "stop": options.stop or ["rise"],
        "equal_start": options.equal_start,
        "held_out_every": options.held_out_every,
        "refine": options.refine,
        "max_updates": options.max_updates,
        "max_seconds": options.max_seconds,
        "extend_decades": options.extend_decades,
        "seed": options.seed,
    }


def recipe(options: argparse.Namespace) -> Recipe:
    """How each update is made."""
    import torch

    from stepsize.adapters.torch import Recipe

    return Recipe(
        accumulate=options.accumulate,
        autocast=getattr(torch, options.autocast) if options.autocast else None,
        clip_norm=options.clip_norm,
        clip_value=options.clip_value,
    )


def _ladder(options: argparse.Namespace) -> Ladder:
    from stepsize.rangetest import Geometric, Linear, Segments

    if options.segments is not None:
        return Segments(_rows(options.segments))
    kind = Geometric if options.ladder == "geometric" else Linear
    return kind(options.start_lr, options.stop_lr, options.rates, options.updates_per_rate)


def _rows(text: str) -> list[list[float]]:
    try:
        return [[float(number) for number in row.split(":")] for row in text.split(",")]
    except ValueError:
        raise InputError(
            "--segments takes rows start:step:updates:stop, separated by commas, such as "
            f"0.001:0.001:10:0.009,0.01:0.01:10:0.09; got {text!r}."
        ) from None
