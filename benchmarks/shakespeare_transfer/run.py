"""The study ``shakespeare-transfer``: a character model of four plays, fine-tuned on five others.

    STEPSIZE_DATA=... python benchmarks/shakespeare_transfer/run.py [--store study.db] [--seeds 3]

Tunes by hand on one seed (rates for all layers, rates and factors, rates from scratch), then
compares the plans on others, with the three techniques of ULMFiT together and by themselves. Runs
that are in the store already are kept, so it can be stopped and started again. Writes tuning.json,
tables.md and transfer.json beside this file (elsewhere with ``--out``).
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "clothing_transfer"))
from transfer_study import (  # noqa: E402
    Arm,
    asked,
    at_factor,
    at_one_rate,
    best,
    compared,
    from_scratch,
    tuned,
)

from stepsize.fine_tuning.presets import PLANS  # noqa: E402

TASK = "shakespeare-transfer"
EPOCHS = 8
FACTORS = {f"factor {factor:g}": factor for factor in (2.6, 10.0)}
RATES = (0.001, 0.003, 0.01)
GRIDS = {
    "one rate": (at_one_rate, (0.0003, *RATES)),
    "factor 2.6": (partial(at_factor, 2.6), RATES),
    "factor 10": (partial(at_factor, 10.0), RATES),
    "scratch": (from_scratch, RATES),
}


def main() -> None:
    options = asked(__doc__, HERE)
    cells = tuned(TASK, GRIDS, EPOCHS, options)
    if options.only_tune:
        return
    folk, one = best(cells, *FACTORS), best(cells, "one rate")
    slanted = PLANS["full"].changed("all", lr=one.rate, schedule="slanted_triangular(lr)")
    arms = [
        Arm(from_scratch(best(cells, "scratch").rate), ("scratch",)),
        Arm(PLANS["head-only"]),
        Arm(at_one_rate(one.rate, "one tuned rate"), ("one rate",)),
        Arm(replace(slanted, name="slanted triangular alone"), ("one rate",)),
        Arm(at_factor(FACTORS[folk.grid], folk.rate, "tuned factor"), ("one rate", *FACTORS)),
        Arm(PLANS["ulmfit"]),
        Arm(PLANS["gradual"]),
        Arm(PLANS["measured"]),
    ]
    compared("Plans on Shakespeare's plays", TASK, arms, cells, EPOCHS, options)


if __name__ == "__main__":
    main()
