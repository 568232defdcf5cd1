"""A study of transfer plans: tuned by hand on one seed, compared on others, written as Markdown."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import tables
import torch
from tables import Cell

from stepsize.adapters.torch.fine_tuning.plans.compare_plans import compare_plans
from stepsize.fine_tuning.phase import Phase
from stepsize.fine_tuning.plan import TransferPlan
from stepsize.fine_tuning.presets import PLANS

TUNING_SEED = 100  # used for nothing else
SEEDS = (0, 1, 2)
WARM_COSINE = "warmup(cosine(lr), steps=5%)"


@dataclass(frozen=True)
class Arm:
    """A plan of the comparison.

    Attributes:
        plan: under the arm's name.
        grids: the grids that its rates, or its factor, were chosen with.
        more: updates of tuning by hand besides.
    """

    plan: TransferPlan
    grids: tuple[str, ...] = ()
    more: int = 0


def at_one_rate(rate: float, name: str = "one rate") -> TransferPlan:
    """All layers at one rate from the first update on."""
    return replace(PLANS["full"].changed("all", lr=rate), name=name)


def from_scratch(rate: float, name: str = "scratch") -> TransferPlan:
    """The same with fresh weights."""
    return replace(PLANS["scratch"].changed("all", lr=rate), name=name)


def head_first(head_rate: float, factor: float, rate: float, name: str) -> TransferPlan:
    """The head for an epoch, then all layers; each group ``factor`` times lower than the next."""
    head = Phase("head", epochs=1, trainable="head", precompute=True, lr=head_rate)
    return TransferPlan(name, (head, Phase("all", schedule=WARM_COSINE, lr=rate, ratios=factor)))


def at_factor(factor: float, rate: float, name: str) -> TransferPlan:
    """All layers from the first update on, each group ``factor`` times lower than the next."""
    return replace(PLANS["full"].changed("all", lr=rate, ratios=factor), name=name)


def tuned(
    task: str,
    grids: Mapping[str, tuple[Callable[[float, str], TransferPlan], Sequence[float]]],
    epochs: int,
    options: Any,
) -> list[Cell]:
    """Train every plan of the grids on :data:`TUNING_SEED`; trainings in the store are kept.

    Args:
        task: its name.
        grids: by name, what makes a plan of a rate and a name, and the rates.
        epochs: of every training.
        options: of the command line.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "tuning.json"
    cells: list[Cell] = []
    if options.tuned:
        return [Cell(**row) for row in json.loads(file.read_text(encoding="utf-8"))]
    for grid, (plan_at, rates) in grids.items():
        plans = [plan_at(rate, f"{grid} {rate:g}") for rate in rates]
        seeds = (TUNING_SEED,)
        result = compare_plans(
            task, plans, epochs, seeds, scratch=False, store=options.store, test=False
        ).comparison
        for rate, plan in zip(rates, plans, strict=True):
            (run,) = result.of(plan.name)
            known = run.final if run.status == "finished" else {}
            loss, accuracy = known.get("val_loss"), known.get("val_accuracy")
            cells.append(Cell(grid, rate, loss, accuracy, result.updates))
            print(cells[-1], flush=True)
        file.write_text(json.dumps([asdict(cell) for cell in cells], indent=1) + "\n")
    return cells


def best(cells: Sequence[Cell], *grids: str) -> Cell:
    """The cell with the lowest validation loss of some grids."""
    return min(
        (cell for cell in cells if cell.grid in grids and cell.val_loss is not None),
        key=lambda cell: cell.val_loss,
    )


def compared(
    title: str, task: str, arms: Sequence[Arm], cells: Sequence[Cell], epochs: int, options: Any
) -> None:
    """Compare the arms, and write transfer.json and tables.md; nothing while some are left out."""
    result = compare_plans(
        task,
        [arm.plan for arm in arms if arm.plan.name not in options.without],
        epochs,
        range(options.seeds),
        store=options.store,
        progress=True,
        test=not options.without,
        settings={"command": f"python benchmarks/{HERE_NAMES[task]}/run.py"},
    )
    if options.without:
        return
    by_hand = {
        arm.plan.name: arm.more + sum(cell.updates for cell in cells if cell.grid in arm.grids)
        for arm in arms
    }
    lines = [f"# {title}, in numbers", "", "Made by `run.py`; read in `results.md`.", ""]
    lines += ["## Ranking by the validation loss at the end", "", *tables.ranking(result, by_hand)]
    lines += ["## The measured plan and the others", "", *tables.paired(result, "measured")]
    lines += ["## Was transfer worth it?", "", "```json", json.dumps(result.worth, indent=1), "```"]
    lines += ["", "## The test set, read once for the best arm", "", "```json"]
    lines += [json.dumps(result.comparison.test, indent=1), "```", ""]
    lines += ["## Tuning by hand, on a seed of its own", "", *tables.grids(cells)]
    lines += ["## What was decided", "", *tables.decisions(result)]
    lines += ["## Every run", "", *tables.runs(result)]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "tables.md").write_text("\n".join(lines), encoding="utf-8")
    known = result.to_dict()
    known["comparison"]["store"] = ""  # a path on the machine that made it
    content = json.dumps(known, separators=(",", ":"))
    (options.out / "transfer.json").write_text(content + "\n", encoding="utf-8")
    print("\n".join(lines))


HERE_NAMES = {
    "clothing-transfer": "clothing_transfer",
    "shakespeare-transfer": "shakespeare_transfer",
}


def asked(about: str, here: Path) -> Any:
    """The command line of a study."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--store", type=Path, default=Path("study.db"))
    parser.add_argument("--out", type=Path, default=here, help="folder for the results")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many, from 0 on")
    parser.add_argument("--only-tune", action="store_true", help="the tuning by hand, no more")
    parser.add_argument("--tuned", action="store_true", help="with the tuning.json that is there")
    parser.add_argument("--without", nargs="*", default=(), help="arms to leave for later")
    torch.set_num_threads(1)
    return parser.parse_args()
