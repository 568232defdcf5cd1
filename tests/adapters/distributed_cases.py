"""What one of two processes does in test_distributed.py, which starts it.

``python distributed_cases.py RANK FOLDER CASE...`` runs the cases one after the other in one world
and writes what became of each to ``FOLDER/CASE-RANK.json``.
"""

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from adapters.fingerprint import Fingerprint
from adapters.zoo import WIDTH, data, mse
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from stepsize.adapters.torch import distributed, find_lr, sweep

RATES = [1e-3, 2e-3, 4e-3, 8e-3, 1e-2, 2e-2, 4e-2, 8e-2]


class PlannedError(Exception):
    """Raised by a case on purpose."""


class Side:
    """One rank's training: the same model as the others', data of its own."""

    def __init__(self, *middle, optimizer=torch.optim.Adam, **settings):
        torch.manual_seed(3)
        body = nn.Sequential(nn.Linear(WIDTH, 5), *middle, nn.Tanh(), nn.Linear(5, 1))
        self.rank = dist.get_rank()
        self.model = DistributedDataParallel(body)
        self.optimizer = optimizer(self.model.parameters(), **settings)
        self.loader = data(5 + self.rank, seed=20 + self.rank)
        for batch in self.loader[: 0 if optimizer is torch.optim.LBFGS else 2]:
            self.update(batch)
        self.seen = []
        self.calls = 0

    def things(self):
        return self.model, self.optimizer

    def update(self, batch):
        def closure():
            self.optimizer.zero_grad()
            loss = mse(self.model, batch)
            loss.backward()
            return loss

        return self.optimizer.step(closure)

    def loss(self, model, batch):
        value = mse(model, batch)
        self.seen.append(value.item())
        return value

    def fail_at(self, call, on_rank, kind=PlannedError):
        self.calls += 1
        if self.calls == call and self.rank == on_rank:
            raise kind("on purpose")

    def find(self, loss_fn=None, **options):
        options = {"ladder": RATES, "repeats": 2, "stop": "never", **options}
        loss_fn = loss_fn or self.loss
        loader = options.pop("loader", self.loader)
        return find_lr(self.model, self.optimizer, loss_fn, loader, **options)


def finds(side, note):
    result = side.find()
    note["first loss"] = side.seen[0]
    return result


def finds_by_the_default_rule(side, note):
    return side.find(ladder=[1e-4 * 1.3**i for i in range(50)], stop="rise")


def finds_held_out_with_extension(side, note):
    return side.find(held_out=data(1, seed=side.rank), held_out_every=2, refine=True)


def finds_from_an_equal_start(side, note):
    return side.find(equal_start=True)


def one_rank_sees_nan(side, note):
    def loss_fn(model, batch):
        side.calls += 1
        bad = side.calls == 3 and side.rank == 1
        return mse(model, batch) * (float("nan") if bad else 1.0)

    return side.find(loss_fn, repeats=1)


def loss_raises(side, note):
    def loss_fn(model, batch):
        side.fail_at(3, on_rank=1)
        return mse(model, batch)

    return side.find(loss_fn)


def ctrl_c_on_one_rank(side, note):
    def loss_fn(model, batch):
        side.fail_at(3, on_rank=0, kind=KeyboardInterrupt)
        return mse(model, batch)

    return side.find(loss_fn)


def loader_raises(side, note):
    def batches():
        for batch in side.loader * 9:
            side.fail_at(4, on_rank=0)
            yield batch

    return side.find(loader=batches(), repeats=1)


def step_raises(side, note):
    hook = side.optimizer.register_step_post_hook(lambda *_: side.fail_at(2, on_rank=1))
    try:
        return side.find()
    finally:
        hook.remove()


def held_out_is_empty_on_one_rank(side, note):
    return side.find(held_out=data(side.rank))


def loss_has_no_gradient_on_one_rank(side, note):
    return side.find(lambda m, b: mse(m, b) if side.rank else mse(m, b).detach())


def one_clock_is_fast(side, note):
    if side.rank == 1:
        own = time.monotonic
        distributed.time = type("Clock", (), {"monotonic": staticmethod(lambda: 1e4 * own())})
    try:
        rates = [1e-5 * 1.0001**i for i in range(100_000)]
        return side.find(ladder=rates, max_seconds=1.0, repeats=1)
    finally:
        distributed.time = time


def line_search(side, note):
    return side.find(repeats=1)


def sweeps(side, note):
    with sweep(side.model, side.optimizer, RATES, stop="never") as test:
        for number, _ in enumerate(test):
            loss = side.update(side.loader[number % 5])
            note.setdefault("first loss", loss.item())
            test.report(loss)
    return test.result


def sweep_body_raises_between_updates(side, note):
    with sweep(side.model, side.optimizer, RATES, stop="never") as test:
        for _ in test:
            loss = side.update(side.loader[0])
            side.fail_at(3, on_rank=1)
            test.report(loss)


def sweep_report_is_bad_on_one_rank(side, note):
    with sweep(side.model, side.optimizer, RATES, stop="never") as test:
        for _ in test:
            loss = side.update(side.loader[0])
            test.report(loss if side.rank else "much")


def sweep_is_left_early_by_one_rank(side, note):
    with sweep(side.model, side.optimizer, RATES, stop="never") as test:
        for lr in test:
            test.report(side.update(side.loader[0]))
            if lr > 2e-3 and side.rank == 0:
                break


def sweep_is_left_early_by_all(side, note):
    with sweep(side.model, side.optimizer, RATES, stop="never") as test:
        for lr in test:
            test.report(side.update(side.loader[0]))
            if lr > 2e-3:
                break


def stuck_in_forward(side, note):
    """Rank 0 fails before its forward pass, where rank 1 waits for its buffers."""
    return loss_raises_on_rank_0(side)


def loss_raises_on_rank_0(side):
    def loss_fn(model, batch):
        side.fail_at(3, on_rank=0)
        return mse(model, batch)

    return side.find(loss_fn)


def stuck_in_backward(side, note):
    """Rank 0 fails before its update, where rank 1 waits for its gradients."""
    with sweep(side.model, side.optimizer, RATES, stop="never") as test:
        for _ in test:
            side.fail_at(3, on_rank=0)
            test.report(side.update(side.loader[0]))


def stuck_after_a_hook(side, note):
    """Rank 1 fails inside its backward pass."""
    weight = side.model.module[0].weight
    hook = weight.register_hook(lambda grad: side.fail_at(2, on_rank=1))
    try:
        return side.find()
    finally:
        hook.remove()


SIDES = {
    "stuck_in_forward": lambda: Side(nn.BatchNorm1d(5)),
    "finds": lambda: Side(nn.BatchNorm1d(5), nn.Dropout(0.2)),
    "line_search": lambda: Side(
        optimizer=torch.optim.LBFGS, lr=0.1, max_iter=4, line_search_fn="strong_wolfe"
    ),
}


def run(case, folder):
    """Run one case; write down how it ended and whether everything came back."""
    side = SIDES.get(case, Side)()
    before = Fingerprint(*side.things())
    note, started = {}, time.monotonic()
    try:
        result = globals()[case](side, note)
        note |= {"result": None if result is None else {**result.to_dict(), "seconds": 0}}
    except BaseException as error:  # noqa: BLE001
        note |= {"error": type(error).__name__, "message": str(error)}
    note["took"] = time.monotonic() - started
    note["changed"] = before.difference(Fingerprint(*side.things()))
    (folder / f"{case}-{side.rank}.json").write_text(json.dumps(note))


def main(rank, folder, *cases):
    """One world, the cases one after the other."""
    folder = Path(folder)
    torch.set_num_threads(1)
    distributed.PATIENCE = timedelta(seconds=2)
    dist.init_process_group(
        "gloo",
        init_method=(folder / "rendezvous").as_uri(),
        rank=int(rank),
        world_size=2,
        timeout=timedelta(seconds=50),
    )
    for case in cases:
        run(case, folder)
    if not cases[-1].startswith("stuck"):
        dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
