"""Make noise.json: what nine schedules come to on digits, from twenty seeds each.

    python benchmarks/ranking_errors/make_noise.py

Needs torch. Takes a few minutes.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from stepsize.schedules import parse
from stepsize.tasks import load, make_task

TASK, EPOCHS, SEEDS = "digits", 20, 20
ARMS = (
    "constant(0.1)",
    "constant(0.5)",
    "cosine(0.1)",
    "cosine(0.5)",
    "linear(0.5)",
    "one_cycle(0.5)",
    "warm_restarts(0.5, first_steps=20%)",
    "wsd(0.5)",
    "constant(0.01)",
)


def final_loss(arm: str, seed: int) -> float:
    """The validation loss at the end of one training."""
    torch.manual_seed(seed)
    task = make_task(load(TASK), seed)
    updates = len(task.train)
    schedule = parse(arm, steps=EPOCHS * updates, steps_per_epoch=updates)
    task.model.train()
    for epoch in range(EPOCHS):
        for number, batch in enumerate(task.train):
            for group in task.optimizer.param_groups:
                group["lr"] = schedule(epoch * updates + number)
            task.optimizer.zero_grad()
            task.loss(task.model, batch).backward()
            task.optimizer.step()
    task.model.eval()
    with torch.no_grad():
        losses = [float(task.loss(task.model, batch)) for batch in task.val]
    return sum(losses) / len(losses)


def main() -> None:
    torch.set_num_threads(1)
    losses = {
        arm: {str(seed): round(final_loss(arm, seed), 6) for seed in range(SEEDS)} for arm in ARMS
    }
    record = {"task": TASK, "epochs": EPOCHS, "val_loss": losses}
    path = Path(__file__).resolve().parent / "noise.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
