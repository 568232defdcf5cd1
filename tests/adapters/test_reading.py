"""Losses are read in blocks: the curve is the same, and nothing waits for the device in between."""

import pytest
import torch
from adapters.zoo import data, mse, training

from stepsize.adapters.torch import TorchProbe, sweep
from stepsize.adapters.torch.batches import Batches
from stepsize.rangetest import Geometric, range_test

LADDER = Geometric(1e-4, 100.0, rates=48)
GENTLE = Geometric(1e-4, 0.1, rates=48)


def probe(run, block, loss_fn=mse, **options):
    made = TorchProbe(run.model, run.optimizer, loss_fn, Batches(run.loader), **options)
    made.block = block
    return made


@pytest.mark.parametrize("objective", ["training", "equal_start", "held_out"])
@pytest.mark.parametrize("stop", ["rise", "max_updates", "not_finite", "end"])
def test_the_curve_does_not_depend_on_the_block(objective, stop):
    def curve(block):
        options = {"held_out": data(2, seed=9)} if objective == "held_out" else {}
        made = probe(training("batch norm"), block, **options)
        return range_test(
            made,
            Geometric(1e-4, 1e38, rates=48) if stop == "not_finite" else LADDER,
            equal_start=objective == "equal_start",
            held_out_every=2 if objective == "held_out" else 0,
            max_updates=21 if stop == "max_updates" else None,
            **({} if stop == "rise" else {"stop": ()}),
        )

    curves = [curve(block) for block in (1, 3, 16, 1000)]
    assert len(curves[0]) > 5
    assert all(other == curves[0] for other in curves)


class Reads:
    """Counts what makes the host wait for the device."""

    def __init__(self, monkeypatch):
        self.count = 0
        for name in ("item", "tolist", "__float__", "__bool__", "__int__", "numpy", "cpu"):
            monkeypatch.setattr(torch.Tensor, name, self._counted(getattr(torch.Tensor, name)))

    def _counted(self, method):
        def counted(*args, **kwargs):
            self.count += 1
            return method(*args, **kwargs)

        return counted


def test_find_reads_once_per_block(monkeypatch):
    made = probe(training(), 16)
    reads = Reads(monkeypatch)
    curve = range_test(made, GENTLE, stop=(), extend_decades=0)
    assert len(curve) == 48
    assert reads.count <= 48 / 16 + 1
    every = probe(training(), 1)
    reads.count = 0
    range_test(every, GENTLE, stop=(), extend_decades=0)
    assert reads.count >= 48  # the counting works


def test_a_sweep_reads_once_per_block(monkeypatch):
    run = training()
    with sweep(run.model, run.optimizer, GENTLE, stop="never", extend_decades=0) as test:
        test.block = 16
        reads = Reads(monkeypatch)
        for _ in test:
            loss = mse(run.model, run.loader[0])
            run.optimizer.zero_grad()
            loss.backward()
            run.optimizer.step()
            test.report(loss)
    assert len(test.curve) == 48
    assert reads.count <= 48 / 16 + 1


def test_stops_are_judged_in_order_although_they_are_read_late():
    """Updates made past a stop are not on the curve, but they are counted."""
    calls = []

    def loss_fn(model, batch):
        calls.append(1)
        return mse(model, batch) * (float("nan") if len(calls) == 5 else 1.0)

    made = probe(training(), 16, loss_fn)
    curve = range_test(made, LADDER, stop=())
    assert curve.stop == "not_finite"
    assert len(curve) == 5
    assert curve.spent == len(calls) == 16
