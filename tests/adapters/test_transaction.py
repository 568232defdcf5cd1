"""The transaction: every ending of a range test gives everything back, bit for bit."""

import itertools
import os
import signal
import threading

import pytest
import torch
from adapters.fingerprint import Fingerprint, assert_unchanged
from adapters.zoo import MODELS, OPTIMIZERS, mse, training

from stepsize.adapters.torch import find_lr, sweep

SOME_RATES = [1e-5, 1e-4, 1e-3, 1e-2, 2e-2, 3e-2]
UP_TO_OVERFLOW = [1e-3, 1e-1, 1e6, 1e12, 1e18, 1e24, 1e30, 1e36, 1e38]


class PlannedError(Exception):
    """Raised by a test on purpose."""


def success(run):
    result = find_lr(run.model, run.optimizer, mse, run.loader, ladder=SOME_RATES, repeats=2)
    assert result.updates == 2 * len(SOME_RATES)


def divergence(run):
    result = find_lr(
        run.model, run.optimizer, mse, run.loader, ladder=UP_TO_OVERFLOW, repeats=1, stop="never"
    )
    assert result.curve.stop == "not_finite"


def error_in_the_loss(run):
    _fails_at_call(run, 4, PlannedError)


def ctrl_c_in_the_loss(run):
    _fails_at_call(run, 4, KeyboardInterrupt)


def error_in_the_loader(run):
    def batches():
        yield from run.loader[:3]
        raise PlannedError

    with pytest.raises(PlannedError):
        find_lr(run.model, run.optimizer, mse, batches(), ladder=SOME_RATES)


def sigint_during_an_update(run):
    calls = itertools.count()

    def interrupt(*_):
        if next(calls) == 3:
            signal.raise_signal(signal.SIGINT)

    hooks = [p.register_hook(interrupt) for p in run.model.parameters() if p.requires_grad][:1]
    with pytest.raises(KeyboardInterrupt):
        find_lr(run.model, run.optimizer, mse, run.loader, ladder=SOME_RATES)
    for hook in hooks:
        hook.remove()


def swept_by_hand(run):
    closure_losses = []
    with sweep(run.model, run.optimizer, SOME_RATES) as test:
        run.model.train()
        for _, batch in zip(test, run.loader + run.loader, strict=False):
            closure_losses.append(run.update(batch))
            test.report(closure_losses[-1])
    assert len(test.curve) == len(SOME_RATES)


def error_in_a_sweep(run):
    def loop():
        with sweep(run.model, run.optimizer, SOME_RATES) as test:
            for lr in test:
                test.report(run.update(run.loader[0]))
                if lr > 1e-3:
                    raise PlannedError

    with pytest.raises(PlannedError):
        loop()


def _fails_at_call(run, call, kind):
    calls = itertools.count(1)

    def loss_fn(model, batch):
        loss = mse(model, batch)
        if next(calls) == call:
            raise kind
        return loss

    with pytest.raises(kind):
        find_lr(run.model, run.optimizer, loss_fn, run.loader, ladder=SOME_RATES)


ENDINGS = [
    success,
    divergence,
    error_in_the_loss,
    ctrl_c_in_the_loss,
    error_in_the_loader,
    sigint_during_an_update,
    swept_by_hand,
    error_in_a_sweep,
]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("moment", ["fresh", "mid-training"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", MODELS)
def test_everything_comes_back(model, optimizer, moment, ending):
    run = training(model, optimizer)
    if moment == "mid-training":
        run.begin()
    before = Fingerprint(run.model, run.optimizer, run.loader)
    ending(run)
    assert_unchanged(before, run.model, run.optimizer, run.loader)


@pytest.mark.parametrize("model", MODELS)
def test_a_range_test_does_change_what_the_comparison_looks_at(model):
    """The comparison is not blind: the same updates without a transaction are seen."""
    run = training(model)
    before = Fingerprint(run.model, run.optimizer, run.loader)
    run.model.train()
    run.update(run.loader[0])
    changed = before.difference(Fingerprint(run.model, run.optimizer, run.loader))
    kinds = [".grad", "'state'", " values"]
    assert all(any(kind in name for name in changed) for kind in kinds)


@pytest.mark.parametrize("moment", ["fresh", "mid-training"])
def test_a_grad_scaler_comes_back(moment):
    run = training("batch norm", "adam")
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**4, growth_interval=2)

    def scaled_update():
        run.optimizer.zero_grad()
        scaler.scale(mse(run.model, run.loader[0])).backward()
        scaler.step(run.optimizer)
        scaler.update()

    if moment == "mid-training":
        for _ in range(3):
            scaled_update()
    before = Fingerprint(run.model, run.optimizer, scaler)
    scales = []

    def loss_fn(model, batch):
        scales.append(scaler.get_scale())
        return mse(model, batch)

    find_lr(
        run.model, run.optimizer, loss_fn, run.loader, ladder=SOME_RATES, scaler=scaler, repeats=1
    )
    assert len(set(scales)) > 1  # it did move meanwhile
    assert_unchanged(before, run.model, run.optimizer, scaler)


def test_what_is_named_in_also_comes_back():
    run, other = training(), training("batch norm", "adam", seed=5)
    average = torch.optim.swa_utils.AveragedModel(run.model)

    def loss_fn(model, batch):
        other.update(batch)
        average.update_parameters(model)
        return mse(model, batch)

    things = (run.model, run.optimizer, other.model, other.optimizer, average)
    before = Fingerprint(*things)
    also = [other.model, other.optimizer, average]
    find_lr(run.model, run.optimizer, loss_fn, run.loader, ladder=SOME_RATES, also=also)
    assert_unchanged(before, *things)


def test_sigint_during_the_restore_waits_until_everything_is_back():
    class Trap(dict):
        """Sends Ctrl-C while it is being put back."""

        armed = False

        def clear(self):
            super().clear()
            if Trap.armed:
                signal.raise_signal(signal.SIGINT)

    run = training("batch norm", "adam")
    run.model.trap = Trap(a=1)
    before = Fingerprint(run.model, run.optimizer)

    def loss_fn(model, batch):
        model.trap["a"] += 1
        Trap.armed = True
        return mse(model, batch)

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        find_lr(run.model, run.optimizer, loss_fn, run.loader, ladder=SOME_RATES, repeats=1)
    assert_unchanged(before, run.model, run.optimizer)
    assert signal.getsignal(signal.SIGINT) is handler


def test_sigint_from_another_process_in_the_middle_of_a_test():
    """A real signal, at a moment nobody chose."""
    run = training("batch norm", "adam")
    before = Fingerprint(run.model, run.optimizer)
    timer = threading.Timer(0.15, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        find_lr(run.model, run.optimizer, mse, run.loader, repeats=100_000)
    assert_unchanged(before, run.model, run.optimizer)
