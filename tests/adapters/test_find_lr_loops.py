"""find_lr makes updates as the user's own loop would: every kind of update and of batch."""

from collections import namedtuple

import pytest
import torch
from adapters.fingerprint import Fingerprint, assert_unchanged
from adapters.zoo import data, mse, training
from torch import nn

from stepsize.adapters.torch import find_lr
from stepsize.errors import RangeTestError

RATES = [1e-4, 1e-3, 1e-2, 2e-2]


def find(run, loss_fn=mse, **options):
    options = {"ladder": RATES, "repeats": 1, "stop": "never", **options}
    return find_lr(run.model, run.optimizer, loss_fn, run.loader, **options)


def reference(run, rates=RATES, group=1, clip=lambda parameters: None):
    """The losses of a loop written by hand: the mean over ``group`` batches an update."""
    losses, batches = [], run.loader * (len(rates) * group)
    run.model.train()
    for number, lr in enumerate(rates):
        run.optimizer.param_groups[0]["lr"] = lr
        drawn = batches[number * group : (number + 1) * group]
        loss = torch.stack([mse(run.model, batch) for batch in drawn]).mean()
        run.optimizer.zero_grad()
        loss.backward()
        clip(list(run.model.parameters()))
        run.optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
def test_the_losses_are_those_of_an_ordinary_loop(optimizer):
    result = find(training(optimizer=optimizer))
    assert list(result.curve.lr) == RATES
    assert list(result.curve.loss) == reference(training(optimizer=optimizer))


def test_accumulation_is_one_big_batch():
    result = find(training(), accumulate=3)
    assert result.updates == len(RATES)
    assert result.curve.loss == pytest.approx(reference(training(), group=3), rel=1e-5)
    big = training()
    big.loader = [
        tuple(torch.cat([(big.loader * 3)[i + k][part] for k in range(3)]) for part in (0, 1))
        for i in range(0, 12, 3)
    ]
    assert result.curve.loss == pytest.approx(find(big).curve.loss, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "clip", "measure"),
    [
        (
            {"clip_norm": 0.01},
            lambda parameters: nn.utils.clip_grad_norm_(parameters, 0.01),
            lambda grads: torch.cat([g.flatten() for g in grads]).norm().item(),
        ),
        (
            {"clip_value": 0.01},
            lambda parameters: nn.utils.clip_grad_value_(parameters, 0.01),
            lambda grads: max(g.abs().max().item() for g in grads),
        ),
    ],
)
@pytest.mark.parametrize("scaler", [None, torch.amp.GradScaler("cpu", init_scale=2.0**10)])
def test_gradients_are_clipped_before_the_step(options, clip, measure, scaler):
    run, seen = training(), []

    def before_step(optimizer, *_):
        seen.append(measure([p.grad for p in run.model.parameters()]))

    run.optimizer.register_step_pre_hook(before_step)
    result = find(run, scaler=scaler, **options)
    assert seen == pytest.approx([0.01] * len(RATES), rel=1e-3)
    assert result.curve.loss == pytest.approx(reference(training(), clip=clip), rel=1e-5)


def test_clipping_is_felt_by_closures_too():
    run, seen = training(optimizer="lbfgs"), []
    grads = lambda: torch.cat([p.grad.flatten() for p in run.model.parameters()])  # noqa: E731
    run.optimizer.register_step_post_hook(lambda *_: seen.append(grads().norm().item()))
    find(run, clip_norm=0.01)
    assert seen == pytest.approx([0.01] * len(RATES), rel=1e-3)


def test_lbfgs_makes_its_own_closures():
    run, calls = training(optimizer="lbfgs"), []

    def loss_fn(model, batch):
        calls.append(batch[0])
        return mse(model, batch)

    result = find(run, loss_fn)
    assert result.updates == len(RATES) < len(calls)
    twin = training(optimizer="lbfgs")
    expected = []
    for lr, batch in zip(RATES, twin.loader, strict=False):
        twin.optimizer.param_groups[0]["lr"] = lr
        expected.append(twin.update(batch))
    assert list(result.curve.loss) == expected


@pytest.mark.parametrize(
    ("autocast", "scaler"),
    [
        (torch.bfloat16, None),
        (torch.float16, torch.amp.GradScaler("cpu", init_scale=2.0**8)),
        (None, torch.amp.GradScaler("cpu", enabled=False)),
    ],
)
def test_mixed_precision(autocast, scaler):
    run, types = training("batch norm", "adam"), set()

    def loss_fn(model, batch):
        prediction = model(batch[0])
        types.add(prediction.dtype)
        return nn.functional.mse_loss(prediction.float(), batch[1])

    before = Fingerprint(run.model, run.optimizer, scaler)
    result = find(run, loss_fn, autocast=autocast, scaler=scaler)
    assert types == {autocast or torch.float32}
    assert len(result.curve) == len(RATES)
    assert result.curve.loss == pytest.approx(find(run).curve.loss, rel=0.05)
    assert_unchanged(before, run.model, run.optimizer, scaler)


def test_a_scaler_that_overflows_skips_the_update_and_goes_on():
    run = training()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    scales = []

    def loss_fn(model, batch):
        scales.append(scaler.get_scale())
        return 100 * mse(model, batch)

    result = find(run, loss_fn, scaler=scaler)
    assert len(result.curve) == len(RATES)
    assert scales[2] == 2.0**125  # halved by each overflow
    assert scaler.get_scale() == 2.0**127


Sample = namedtuple("Sample", "x y")


@pytest.mark.parametrize(
    ("pack", "unpack"),
    [
        (lambda x, y: {"x": x, "y": y}, lambda b: (b["x"], b["y"])),
        (
            lambda x, y: {"in": [x, {"deep": (y,)}], "id": "a"},
            lambda b: (b["in"][0], b["in"][1]["deep"][0]),
        ),
        (Sample, lambda b: (b.x, b.y)),
        (lambda x, y: [x, y], lambda b: (b[0], b[1])),
        (lambda x, y: torch.cat([x, y], 1), lambda b: (b[:, :-1], b[:, -1:])),
    ],
)
def test_batches_of_every_kind(pack, unpack):
    run = training()
    expected = find(run).curve
    run.loader = [pack(x, y) for x, y in run.loader]
    assert find(run, lambda model, batch: mse(model, unpack(batch))).curve == expected


class WithoutLength:
    def __iter__(self):
        return iter(data(3))


@pytest.mark.parametrize("loader", [WithoutLength(), data(1), data(3), tuple(data(3))])
def test_loaders_shorter_than_the_sweep_start_again(loader):
    run = training()
    run.loader = loader
    assert find(run, ladder=[0.001 * i for i in range(1, 12)]).updates == 11


def test_a_generator_gives_one_sweep():
    run = training()
    before = Fingerprint(run.model, run.optimizer)
    batches = iter(data(50))
    result = find_lr(run.model, run.optimizer, mse, batches, ladder=RATES)
    assert len(result.repeats) == 1
    assert len(list(batches)) == 50 - len(RATES)
    assert_unchanged(before, run.model, run.optimizer)


@pytest.mark.parametrize("options", [{}, {"repeats": 3}])
def test_a_generator_that_runs_dry_says_so(options):
    run = training()
    before = Fingerprint(run.model, run.optimizer)
    with pytest.raises(RangeTestError, match=r"ran dry after 5 batches.*iterated twice"):
        find_lr(run.model, run.optimizer, mse, iter(data(5)), ladder=[*RATES, 1, 2], **options)
    assert_unchanged(before, run.model, run.optimizer)


def test_the_model_is_in_training_mode_but_for_what_the_user_froze():
    run, modes = training("frozen norm"), []

    def loss_fn(model, batch):
        modes.append([module.training for module in model.modules()])
        return mse(model, batch)

    expected = [module.training for module in run.model.modules()]
    find(run, loss_fn)
    assert modes == [expected] * len(RATES)
    assert False in expected
    run.model.eval()
    modes.clear()
    find(run, loss_fn)
    assert all(all(mode) for mode in modes)


def test_repeats_use_other_batches():
    run, firsts = training(), []
    run.loader = run.loader[: len(RATES)]  # else the second would go on with the fifth

    def loss_fn(model, batch):
        firsts.append(batch[0][0, 0].item())
        return mse(model, batch)

    result = find(run, loss_fn, repeats=3)
    orders = {tuple(firsts[i : i + 4]) for i in range(0, 12, 4)}
    assert len(orders) > 1
    assert len(result.repeats) == 3
