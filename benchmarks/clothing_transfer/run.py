"""The study ``clothing-transfer``: a ResNet-20 from CIFAR-10 on photographs of clothes.

    STEPSIZE_DATA=... python benchmarks/clothing_transfer/run.py [--store study.db] [--seeds 3]

Tunes by hand on one seed (rates for all layers, rates and factors after the head, rates from
scratch), then compares the plans on others. Runs that are in the store already are kept, so it can
be stopped and started again. Writes tuning.json, tables.md and transfer.json beside this file
(elsewhere with ``--out``).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from transfer_study import Arm, asked, at_one_rate, best, compared, from_scratch, head_first, tuned

from stepsize.fine_tuning.presets import PLANS

HERE = Path(__file__).resolve().parent
TASK = "clothing-transfer"
EPOCHS = 6
HEAD_RATE = 0.2  # for an epoch, between the two best of 0.03 ... 10 on the tuning seed
HEAD_SEARCH = 6 * 95  # updates of those
FACTORS = {f"head first, factor {factor}": factor for factor in (1, 3, 10)}
RATES = {1: (0.03, 0.1), 3: (0.03, 0.1, 0.3), 10: (0.1, 0.3, 1.0)}
GRIDS = {
    "one rate": (at_one_rate, (0.01, 0.03, 0.1, 0.3)),
    **{
        name: (partial(head_first, HEAD_RATE, factor), RATES[factor])
        for name, factor in FACTORS.items()
    },
    "scratch": (from_scratch, (0.03, 0.1)),
}


def main() -> None:
    options = asked(__doc__, HERE)
    cells = tuned(TASK, GRIDS, EPOCHS, options)
    if options.only_tune:
        return
    equal = "head first, factor 1"
    folk = best(cells, *(name for name, factor in FACTORS.items() if factor > 1))
    at_folk = head_first(HEAD_RATE, FACTORS[folk.grid], folk.rate, "head first, tuned factor")
    arms = [
        Arm(from_scratch(best(cells, "scratch").rate), ("scratch",)),
        Arm(PLANS["head-only"]),
        Arm(at_one_rate(best(cells, "one rate").rate, "one tuned rate"), ("one rate",)),
        Arm(
            head_first(HEAD_RATE, 1.0, best(cells, equal).rate, "head first, one tuned rate"),
            (equal,),
            HEAD_SEARCH,
        ),
        Arm(at_folk, tuple(FACTORS), HEAD_SEARCH),
        Arm(PLANS["fastai"]),
        Arm(PLANS["gradual"]),
        Arm(PLANS["measured"]),
    ]
    compared("Plans on photographs of clothes", TASK, arms, cells, EPOCHS, options)


if __name__ == "__main__":
    main()
