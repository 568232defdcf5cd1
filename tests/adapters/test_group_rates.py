"""Several parameter groups: one multiplier, ratios kept during and after; schedulers attached."""

import math
import warnings

import numpy as np
import pytest
import torch
from adapters.fingerprint import Fingerprint, assert_unchanged
from adapters.zoo import mse, training
from torch.optim import lr_scheduler

from stepsize.adapters.torch import find_lr, set_lr, sweep
from stepsize.errors import InputError

RATES = [1e-4, 1e-3, 1e-2, 2e-2]


def grouped(*rates, **common):
    """A training whose layers have rates of their own."""
    run = training()
    layers = [run.model[0], run.model[2]]
    groups = [
        {"params": layer.parameters()} | ({} if rate is None else {"lr": rate})
        for layer, rate in zip(layers, rates, strict=True)
    ]
    run.optimizer = torch.optim.Adam(groups, **{"lr": 0.5, **common})
    return run


def rates_of(optimizer):
    return tuple(float(group["lr"]) for group in optimizer.param_groups)


def recorded(run):
    """The groups' rates at every update."""
    seen = []
    run.optimizer.register_step_post_hook(lambda optimizer, *_: seen.append(rates_of(optimizer)))
    return seen


def find(run, **options):
    options = {"ladder": RATES, "repeats": 1, "stop": "never", **options}
    return find_lr(run.model, run.optimizer, mse, run.loader, **options)


@pytest.mark.parametrize(
    ("rates", "ratios"),
    [
        ((0.01, 0.1), (0.01 / 0.1, 1.0)),
        ((0.3, 0.1), (1.0, 0.1 / 0.3)),
        ((None, None), (1.0, 1.0)),
        ((0.0, 0.2), (0.0, 1.0)),
        ((0.0, 0.0), (1.0, 1.0)),
    ],
)
def test_ratios_are_kept_exactly_during_the_sweep_and_the_rates_after_it(rates, ratios):
    run = grouped(*rates)
    seen, before = recorded(run), rates_of(run.optimizer)
    result = find(run)
    assert seen == [(lr * ratios[0], lr * ratios[1]) for lr in RATES]
    assert rates_of(run.optimizer) == before
    assert result.group_ratios == ratios
    assert result.curve.lr == tuple(RATES)


def test_ratios_are_kept_in_a_sweep_by_hand():
    run, seen = grouped(0.01, 0.1), []
    with sweep(run.model, run.optimizer, RATES) as test:
        for lr in test:
            seen.append(rates_of(run.optimizer))
            test.report(lr)
    assert seen == [(lr * (0.01 / 0.1), lr) for lr in RATES]
    assert test.result.group_ratios == (0.01 / 0.1, 1.0)
    assert rates_of(run.optimizer) == (0.01, 0.1)


def test_tensor_rates_are_filled_in_place_and_come_back():
    small, large = torch.tensor(0.01), torch.tensor(0.1)
    run = grouped(small, large, foreach=False)
    seen = recorded(run)
    before = Fingerprint(run.model, run.optimizer)
    find(run)
    assert seen == [pytest.approx((lr / 10, lr), rel=1e-6) for lr in RATES]
    assert run.optimizer.param_groups[0]["lr"] is small
    assert_unchanged(before, run.model, run.optimizer)
    set_lr(run.optimizer, 0.5)
    assert run.optimizer.param_groups[1]["lr"] is large
    assert rates_of(run.optimizer) == pytest.approx((0.05, 0.5))


def test_other_hyper_parameters_come_back():
    run = grouped(0.01, 0.1)
    before = Fingerprint(run.optimizer)

    def loss_fn(model, batch):
        for group in run.optimizer.param_groups:
            group["betas"] = (0.0, 0.0)
            group["weight_decay"] += 1.0
            group["new"] = True
        return mse(model, batch)

    find_lr(run.model, run.optimizer, loss_fn, run.loader, ladder=RATES)
    assert_unchanged(before, run.optimizer)


def test_set_lr_keeps_the_ratios():
    run = grouped(0.01, 0.1)
    set_lr(run.optimizer, 0.02)
    assert rates_of(run.optimizer) == (0.02 * (0.01 / 0.1), 0.02)
    set_lr(run.optimizer, np.float64(3))
    assert rates_of(run.optimizer)[1] == 3.0


@pytest.mark.parametrize("lr", [None, 0, -1.0, math.nan, math.inf, "0.1", torch.tensor(0.1)])
def test_set_lr_refuses_what_is_no_rate(lr):
    run = grouped(0.01, 0.1)
    with pytest.raises(InputError, match="must be a positive finite number"):
        set_lr(run.optimizer, lr)
    assert rates_of(run.optimizer) == (0.01, 0.1)


def test_a_rate_that_is_not_finite_is_refused():
    run = grouped(0.01, 0.1)
    run.optimizer.param_groups[0]["lr"] = math.nan
    with pytest.raises(InputError, match="must be finite"):
        find(run)


SCHEDULERS = {
    "one cycle": lambda o: lr_scheduler.OneCycleLR(o, max_lr=[0.01, 0.1], total_steps=30),
    "warm-up from 0": lambda o: lr_scheduler.LambdaLR(o, lambda step: min(1.0, step / 10)),
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, 30),
    "plateau": lr_scheduler.ReduceLROnPlateau,
    "sequence": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.ConstantLR(o), lr_scheduler.ExponentialLR(o, 0.9)], [2]
    ),
}


@pytest.mark.parametrize("stepped", [0, 4])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_scheduler_is_left_alone(name, stepped):
    def rates_after(find_first):
        run = grouped(0.01, 0.1)
        scheduler = SCHEDULERS[name](run.optimizer)
        step = (lambda: scheduler.step(1.0)) if name == "plateau" else scheduler.step
        for _ in range(stepped):
            run.update(run.loader[0])
            step()
        if find_first:
            before, seen = Fingerprint(run.model, run.optimizer, scheduler), recorded(run)
            result = find(run)
            assert seen == [pytest.approx((lr / 10, lr)) for lr in RATES]
            assert result.group_ratios == pytest.approx((0.1, 1.0))
            run.optimizer._optimizer_step_post_hooks.clear()
            assert_unchanged(before, run.model, run.optimizer, scheduler)
        rates = []
        for _ in range(5):
            rates.append((rates_of(run.optimizer), run.update(run.loader[0])))
            step()
        return rates

    assert rates_after(find_first=True) == rates_after(find_first=False)


def test_the_warning_about_a_scheduler_before_the_optimizer_neither_appears_nor_disappears():
    def warned(find_first):
        run = training()
        scheduler = lr_scheduler.StepLR(run.optimizer, 5)
        if find_first:
            find(run)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            scheduler.step()  # before optimizer.step()
        return [str(warning.message)[:60] for warning in caught]

    assert warned(find_first=True) == warned(find_first=False) != []
