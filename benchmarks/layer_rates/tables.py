"""Turns ``results.jsonl`` and ``tests.jsonl`` of ``run.py`` into ``tables.md``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
Row = dict[str, Any]


def main() -> None:
    results, tests = _rows("results.jsonl"), _rows("tests.jsonl")
    parts = ["# Layer rates: tables", "", *_arms(results), "", *_tests(tests), ""]
    (HERE / "tables.md").write_text("\n".join(parts))


def _arms(results: list[Row]) -> list[str]:
    """Per transfer, seed and arm: the level as suggested, and the best one."""
    lines = [
        "Validation loss and accuracy at the level that the tests give (`as suggested`), and at "
        "the best of the levels tried; levels are three times apart.",
        "",
        "| transfer | seed | arm | as suggested | best level | levels | peak | ratios |",
        "|---|--:|---|--:|--:|--:|--:|---|",
    ]
    for key in sorted({(r["transfer"], r["seed"], r["arm"]) for r in results}):
        same = [r for r in results if (r["transfer"], r["seed"], r["arm"]) == key]
        first = next(r for r in same if r["level"] == 0)
        best = min(same, key=lambda r: r["loss"])
        ratios = " ".join(f"{ratio:.2g}" for ratio in best["ratios"])
        lines.append(
            f"| {key[0]} | {key[1]} | {key[2]} | {_shown(first)} | {_shown(best)} | {len(same)} | "
            f"{best['peak']:.2g} | {ratios} |"
        )
    return lines


def _tests(tests: list[Row]) -> list[str]:
    lines = [
        "What the tests say: each group's own rate, the suggested rates, the rate of all groups "
        "together with the batches' noise removed (`find_common`) and without (`find_lr`).",
        "",
        "| transfer | seed | groups | own rates | suggested | find_common | find_lr | updates |",
        "|---|--:|---|---|---|--:|--:|--:|",
    ]
    for row in sorted(tests, key=lambda row: (row["transfer"], row["seed"])):
        lines.append(
            f"| {row['transfer']} | {row['seed']} | {', '.join(row['names'])} | "
            f"{_rates(row['lr'])} | {_rates(row['suggested'] or [])} | {_rates([row['common']])} | "
            f"{_rates([row['find_lr']])} | {row['updates']} |"
        )
    return lines


def _shown(row: Row) -> str:
    return f"{row['loss']:.4f}, {100 * row['accuracy']:.1f} %"


def _rates(rates: list[Any]) -> str:
    shown = ("–" if r is None else r if isinstance(r, str) else f"{r:.2g}" for r in rates)
    return " ".join(shown)


def _rows(name: str) -> list[Row]:
    path = HERE / name
    return [json.loads(line) for line in path.open()] if path.exists() else []


if __name__ == "__main__":
    main()
