"""sweep(): the range test of loops that are entirely the user's own."""

import numpy as np
import pytest
import torch
from adapters.fingerprint import Fingerprint, assert_unchanged
from adapters.zoo import Recurrent, data, mse, training
from torch import nn

from stepsize.adapters.torch import find_lr, sweep
from stepsize.errors import InputError, RangeTestError
from stepsize.rangetest import Geometric

RATES = [1e-4, 1e-3, 1e-2, 2e-2, 3e-2]


def start(run, rates=RATES, **options):
    return sweep(run.model, run.optimizer, rates, **{"stop": "never", **options})


def drive(run, report):
    """A loop whose updates are sound and whose reports may not be."""
    with start(run) as test:
        for _ in test:
            report(test, run.update(run.loader[0]))


def test_a_sweep_measures_what_find_lr_measures():
    run = training(optimizer="adam")
    with start(run) as test:
        for number, lr in enumerate(test):
            assert run.optimizer.param_groups[0]["lr"] == lr
            test.report(run.update(run.loader[number]))
    with_find = find_lr(
        run.model, run.optimizer, mse, run.loader, ladder=RATES, repeats=1, stop="never"
    )
    assert test.curve == with_find.curve
    assert test.result.suggestion == with_find.suggestion


def test_a_sweep_finds_a_rate_for_an_ordinary_training():
    torch.manual_seed(0)
    model = nn.Linear(6, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    batches = [(x, x.sum(1, keepdim=True)) for x, _ in data(100, rows=16)]
    with sweep(model, optimizer, Geometric(), task="regression") as test:
        for _, batch in zip(test, batches, strict=False):
            loss = mse(model, batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            test.report(loss)
    assert test.result.verdict == "ok"
    assert test.result.interval[0] <= test.result.lr <= test.result.interval[1]
    assert test.result.task == "regression"
    assert test.curve.diverged


def test_a_gan_with_its_discriminator_at_its_own_rate():
    torch.manual_seed(0)
    generator, critic = nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    g_step = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.9))
    d_step = torch.optim.RMSprop(critic.parameters(), lr=5e-4)
    things = (generator, critic, g_step, d_step)
    before, rates = Fingerprint(*things), []
    with sweep(generator, g_step, RATES, also=[critic, d_step]) as test:
        for _ in test:
            fake = generator(torch.randn(8, 2))
            d_step.zero_grad()
            (critic(fake.detach()).mean() - critic(torch.randn(8, 3)).mean()).backward()
            d_step.step()
            g_step.zero_grad()
            loss = -critic(fake).mean()
            loss.backward()
            g_step.step()
            rates.append((g_step.param_groups[0]["lr"], d_step.param_groups[0]["lr"]))
            test.report(loss)
    assert rates == [(lr, 5e-4) for lr in RATES]
    assert_unchanged(before, *things)


def test_several_models_of_one_optimizer():
    encoder, decoder = nn.Linear(6, 2), nn.Linear(2, 6)
    optimizer = torch.optim.SGD([*encoder.parameters(), *decoder.parameters()], lr=0.1)
    before = Fingerprint(encoder, decoder, optimizer)
    with sweep([encoder, decoder], optimizer, RATES) as test:
        for _, (x, _) in zip(test, data(), strict=True):
            loss = nn.functional.mse_loss(decoder(encoder(x)), x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            test.report(loss)
    assert_unchanged(before, encoder, decoder, optimizer)


def test_a_recurrent_state_that_the_loop_carries():
    torch.manual_seed(0)
    model = Recurrent()
    optimizer = torch.optim.Adam(model.parameters())
    before = Fingerprint(model, optimizer)
    state = None
    with sweep(model, optimizer, RATES) as test:
        for _, (x, y) in zip(test, data(), strict=True):
            out, state = model.lstm(x.reshape(len(x), 3, 2), state)
            state = tuple(part.detach() for part in state)
            loss = nn.functional.mse_loss(model.head(out[:, -1]), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            test.report(loss)
    assert len(test.curve) == len(RATES)
    assert_unchanged(before, model, optimizer)


def test_closures_and_dict_batches():
    run = training(optimizer="lbfgs")
    before = Fingerprint(run.model, run.optimizer)
    batches = [{"input": x, "target": y} for x, y in run.loader]
    with start(run) as test:
        for _, batch in zip(test, batches, strict=True):
            test.report(run.update((batch["input"], batch["target"])))
    assert len(test.curve) == len(RATES)
    assert_unchanged(before, run.model, run.optimizer)


@pytest.mark.parametrize(
    "kind",
    [
        float,
        int,
        np.float32,
        np.float64,
        np.array,
        torch.tensor,
        lambda value: torch.tensor([[value]]),
        lambda value: torch.tensor(value, dtype=torch.float64, requires_grad=True),
        lambda value: torch.tensor(value, dtype=torch.bfloat16),
    ],
)
def test_a_loss_of_every_kind(kind):
    run = training()
    with start(run) as test:
        for number, _ in enumerate(test):
            test.report(kind(float(number)))
    assert test.curve.loss == (0.0, 1.0, 2.0, 3.0, 4.0)


def test_losses_of_several_kinds_in_one_sweep():
    run = training()
    with start(run) as test:
        test.block = 16
        for number, _ in enumerate(test):
            test.report(torch.tensor(float(number)) if number % 2 else number)
    assert test.curve.loss == (0.0, 1.0, 2.0, 3.0, 4.0)


def test_a_loss_tensor_may_be_used_again_after_it_is_reported():
    run, total = training(), torch.zeros(())
    with start(run) as test:
        for number, _ in enumerate(test):
            total += number
            test.report(total)
            total.zero_()
    assert test.curve.loss == (0.0, 1.0, 2.0, 3.0, 4.0)


@pytest.mark.parametrize("loss", ["much", None, torch.ones(2), torch.ones(0), [1.0, 2.0]])
def test_what_is_no_loss_is_refused_and_everything_restored(loss):
    run = training()
    before = Fingerprint(run.model, run.optimizer)
    with pytest.raises(RangeTestError, match=r"report\(loss\) takes a"):
        drive(run, lambda test, real: test.report(loss))
    assert_unchanged(before, run.model, run.optimizer)


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), torch.tensor(float("nan"))])
def test_a_loss_that_is_not_finite_ends_the_loop(loss):
    run, turns = training(), 0
    with start(run) as test:
        for _ in test:
            turns += 1
            test.report(loss if turns == 3 else 1.0)
    assert turns == 3
    assert test.curve.stop == "not_finite"


def test_a_stop_rule_ends_the_loop():
    run = training()
    with start(run, stop="loss>2") as test:
        for number, _ in enumerate(test):
            test.report(number)
    assert test.curve.loss == (0.0, 1.0, 2.0, 3.0)
    with start(run, max_updates=2) as test:
        for _ in test:
            test.report(1.0)
    assert test.curve.stop == "max_updates"


def test_no_report_is_an_error_and_everything_is_restored():
    run = training()
    before = Fingerprint(run.model, run.optimizer)
    with pytest.raises(RangeTestError, match=r"No loss was reported at the rate 0\.0001"):
        drive(run, lambda test, real: None)
    assert_unchanged(before, run.model, run.optimizer)


def test_two_reports_in_one_turn_are_an_error():
    run = training()
    before = Fingerprint(run.model, run.optimizer)
    with pytest.raises(RangeTestError, match="once in every turn"):
        drive(run, lambda test, real: [test.report(real), test.report(0.0)])
    assert_unchanged(before, run.model, run.optimizer)


def test_a_loop_that_is_left_early_restores_everything_and_has_no_result():
    run = training()
    before = Fingerprint(run.model, run.optimizer)
    with start(run) as test:
        for lr in test:
            test.report(run.update(run.loader[0]))
            if lr > 1e-3:
                break
    assert_unchanged(before, run.model, run.optimizer)
    for name in ("curve", "result"):
        with pytest.raises(RangeTestError, match="no curve before its loop has ended"):
            getattr(test, name)


def test_a_sweep_that_is_not_in_its_place():
    run = training()
    test = start(run)
    with pytest.raises(InputError, match=r"with sweep"):
        next(iter(test))
    with pytest.raises(RangeTestError, match="inside the loop"):
        test.report(1.0)
    with pytest.raises(RangeTestError, match="no curve"):
        _ = test.result
    with test:
        with pytest.raises(RangeTestError, match="inside the loop"):
            test.report(1.0)
        for lr in test:
            test.report(lr)
        with pytest.raises(InputError, match="taken once"):
            next(iter(test))
    with pytest.raises(RangeTestError, match="inside the loop"):
        test.report(1.0)


def test_a_loop_that_was_left_cannot_be_taken_again():
    """It would begin where the first one left the weights."""
    run = training()
    with start(run) as test:
        for _ in test:
            test.report(run.update(run.loader[0]))
            break
        with pytest.raises(InputError, match="taken once"):
            next(iter(test))


@pytest.mark.parametrize(
    ("model", "message"),
    [(None, "got NoneType"), ([], "at least one"), (["x"], "got str"), (3, "got int")],
)
def test_models_of_the_wrong_kind(model, message):
    with pytest.raises(InputError, match=message):
        sweep(model, training().optimizer)


def test_other_arguments_of_the_wrong_kind():
    run = training()
    with pytest.raises(InputError, match="got NoneType"):
        sweep(run.model, None)
    with pytest.raises(InputError, match=r"also=\[\.\.\.\]"):
        sweep(run.model, run.optimizer, also=run.optimizer)
    with pytest.raises(InputError, match="climbs"):
        sweep(run.model, run.optimizer, [0.1, 0.01])
    with (
        pytest.raises(InputError, match="max_updates"),
        sweep(run.model, run.optimizer, max_updates=0) as test,
    ):
        next(iter(test))
