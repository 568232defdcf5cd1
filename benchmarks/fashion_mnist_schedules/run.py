"""The reference study: 16 schedules on Fashion-MNIST, 100 epochs, 3 seeds.

    STEPSIZE_DATA=... python benchmarks/fashion_mnist_schedules/run.py [--store study.db]

The same as ``stepsize compare fashion-mnist-schedules``, and three more readings of the same runs:
by their best epoch, by accuracy, and by both. Runs that are in the store already are kept, so it
can be stopped and started again, also in two terminals at once. Writes compare.json, compare.png
and tables.md beside this file (elsewhere with ``--out``).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

import stepsize as ss
from stepsize.records import Comparison
from stepsize.report import compare_figure

HERE = Path(__file__).resolve().parent
STUDY = "fashion-mnist-schedules"
READINGS = (
    ("Validation loss at the end, which chooses", "val_loss", "final"),
    ("Validation loss at each run's best epoch", "val_loss", "best"),
    ("Validation accuracy at the end", "val_accuracy", "final"),
    ("Validation accuracy at each run's best epoch", "val_accuracy", "best"),
)


def reading(store: Path, metric: str, at: str) -> Comparison:
    """The study ranked by ``metric``; only the first reading looks at the test set."""
    chooses = (metric, at) == READINGS[0][1:]
    settings = {"command": f"stepsize compare {STUDY}"}
    return ss.compare(
        STUDY, store=store, metric=metric, at=at, test=chooses, progress=chooses, settings=settings
    )


def number(value: float | None, signed: bool = False) -> str:
    return "" if value is None else f"{value:+.4f}" if signed else f"{value:.4f}"


def interval(bounds: tuple[float, float] | None, signed: bool = False) -> str:
    return "" if bounds is None else f"[{number(bounds[0], signed)}, {number(bounds[1], signed)}]"


def table(title: str, result: Comparison) -> list[str]:
    """One ranking, as Markdown."""
    lines = [
        f"## {title}",
        "",
        "| | arm | place | mean [95 %] | difference to the best [95 %] | p adjusted | best epoch |",
        "|--:|---|---|---|---|--:|--:|",
    ]
    for rank, row in enumerate(result.ranking, 1):
        lost = sum(run.status == "diverged" for run in result.of(row.arm))
        place = f"{row.place} ({lost} of {len(result.seeds)})" if lost else row.place
        lines.append(
            f"| {rank} | {row.arm} | {place} | {number(row.mean)} {interval(row.ci95)} | "
            f"{number(row.difference_to_best, True)} {interval(row.difference_ci95, True)} | "
            f"{number(row.p_adjusted)} | "
            f"{'' if row.best_epoch is None else f'{row.best_epoch:.0f}'} |"
        )
    return [*lines, ""]


def runs_table(result: Comparison) -> list[str]:
    """Every run at its end and at its best epoch, by validation loss."""
    lines = [
        "## Every run",
        "",
        "| arm | seed | status | val loss | accuracy | train loss | best: epoch | val loss | "
        "accuracy |",
        "|---|--:|---|--:|--:|--:|--:|--:|--:|",
    ]
    for run in result.runs:
        last, best = run.history[-1].values, run.best("val_loss")
        lines.append(
            f"| {run.arm} | {run.seed} | {run.error or run.status} | {last['val_loss']:.4f} | "
            f"{last['val_accuracy']:.4f} | {last['train_loss']:.4f} | {best.epoch} | "
            f"{best.values['val_loss']:.4f} | {best.values['val_accuracy']:.4f} |"
        )
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, default=Path("study.db"))
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = [(title, reading(options.store, metric, at)) for title, metric, at in READINGS]
    main_result = results[0][1]
    lines = ["# The reference study in numbers", "", "Made by `run.py`; read in `results.md`.", ""]
    for title, result in results:
        lines += table(title, result)
    lines += [*runs_table(main_result), "## The test set, read once", "", "```json"]
    lines += [json.dumps(main_result.test, indent=1), "```"]
    options.out.mkdir(parents=True, exist_ok=True)
    content = json.dumps({**main_result.to_dict(), "store": ""}, separators=(",", ":"))
    (options.out / "compare.json").write_text(content + "\n", encoding="utf-8")
    (options.out / "compare.png").write_bytes(compare_figure.png(main_result))
    (options.out / "tables.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
