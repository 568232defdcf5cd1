"""``tune``: the whole way from a task to a recommendation."""

import math
import random
import textwrap

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import stepsize as ss  # noqa: E402
from stepsize.errors import InputError, TaskError  # noqa: E402
from stepsize.store import Store  # noqa: E402
from stepsize.tasks import Task, TensorBatches  # noqa: E402

EPOCHS, UPDATES = 20, 320


def line(seed, *, val=True, loss=None, optimizer=torch.optim.SGD):
    """A line through noisy points."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
    model = torch.nn.Linear(3, 1)
    generator = torch.Generator().manual_seed(99)
    x = torch.randn(128, 3, generator=generator)
    y = x.sum(dim=1, keepdim=True) + 0.1 * torch.randn(128, 1, generator=generator)

    def mean_squared(model, batch):
        return torch.nn.functional.mse_loss(model(batch[0]), batch[1])

    return Task(
        model=model,
        optimizer=optimizer(model.parameters(), lr=1.0),
        loss=loss or mean_squared,
        train=TensorBatches(x, y, 8, shuffle=True, seed=seed),
        val=[(x[:32], y[:32])] if val else None,
    )


@pytest.fixture(scope="module")
def digits():
    return ss.tune("digits", epochs=5)


def test_digits(digits):
    assert digits.verdict == "ok"
    assert digits.updates == 5 * 44
    assert 0.003 < digits.lr < 1.0
    low, high = digits.interval
    assert low < digits.lr < high
    assert 0.5 < digits.cost.ratio <= 1.0
    spent = sum(arm.updates for arm in digits.evidence)
    assert spent == digits.cost.updates
    assert digits.start_loss == pytest.approx(math.log(10), rel=0.1)
    expected = digits.expected["val_loss"]
    assert expected["ci95"][0] < expected["mean"] < expected["ci95"][1]
    assert digits.settings["optimizer_family"] in ("sgd", "momentum", "adam")
    assert digits.task == "digits"


def test_the_same_call_gives_the_same_answer(digits):
    assert ss.tune("digits", epochs=5) == digits
    assert ss.tune("digits", epochs=5, seed=1).evidence != digits.evidence


def test_the_recommended_schedule_goes_on_from_what_was_raced(digits, tmp_path):
    """A run of a comparison begins with the very updates that the arm made."""
    rungs = digits.settings["rungs"]
    arm = max(
        (arm for arm in digits.evidence if arm.stage == "race"), key=lambda arm: len(arm.readings)
    )
    path = tmp_path / "runs.db"
    result = ss.compare(
        "digits", [digits.schedule, f"raced: {arm.schedule}"], epochs=5, seeds=[0], store=path
    )
    assert {run.status for run in result.runs} == {"finished"}
    final = {run.arm: run.final["val_loss"] for run in result.runs}
    assert min(final.values()) < 0.5 * digits.start_loss
    with Store(path) as store:
        (run,) = [run for run in store.runs() if run.definition["schedule"] == arm.schedule]
        losses = [loss for _, _, loss in store.updates(run.id)]
    begun = 0
    assert [reading.updates for reading in arm.readings] == rungs[: len(arm.readings)]
    for reading in arm.readings:
        part = losses[begun : reading.updates]
        assert reading.train_loss == math.fsum(part) / len(part)
        begun = reading.updates


def test_a_callable_and_the_callers_random_states():
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    answer = ss.tune(line, EPOCHS, seed=3)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert after == before
    assert (answer.verdict, answer.updates, answer.epochs) == ("ok", UPDATES, EPOCHS)
    assert answer.settings["optimizer"] == "SGD"
    torch.manual_seed(6)
    assert ss.tune(line, EPOCHS, seed=3) == answer


def test_a_task_from_a_file(tmp_path):
    (tmp_path / "mine.py").write_text(
        textwrap.dedent(
            """
            import torch
            from stepsize.tasks import Task
            torch.manual_seed(1)

            def make(seed):
                torch.manual_seed(seed)
                model = torch.nn.Linear(2, 1)
                x = torch.randn(160, 2, generator=torch.Generator().manual_seed(1))
                batches = list(zip(x.split(8), (x.sum(1, keepdim=True)).split(8)))
                loss = lambda model, batch: torch.nn.functional.mse_loss(model(batch[0]), batch[1])
                optimizer = torch.optim.Adam(model.parameters(), lr=1.0)
                return Task(model, optimizer, loss, batches, batches[:4])
            """
        )
    )
    before = torch.get_rng_state().tolist()
    answer = ss.tune(f"{tmp_path / 'mine.py'}:make", EPOCHS)
    assert torch.get_rng_state().tolist() == before
    assert answer.verdict == "ok"
    assert answer.settings["optimizer_family"] == "adam"


def test_another_optimizer_takes_part():
    answer = ss.tune(line, EPOCHS, budget=2.0, optimizers=["adamw"])
    arms = [arm for arm in answer.evidence if arm.optimizer]
    assert len(arms) == 2
    assert {arm.stage for arm in arms} == {"optimizer"}
    assert answer.cost.ratio <= 2.0


def test_where_to_begin_does_not_decide():
    """Two decades above and below, the answer is nearly the same."""
    found = [ss.tune(line, 20, around=around).lr for around in (0.001, 0.1, 10.0)]
    assert max(found) / min(found) < 4.0


def test_a_task_without_validation_says_so():
    with pytest.raises(TaskError, match="validation"):
        ss.tune(lambda seed: line(seed, val=False), EPOCHS)


def test_an_error_of_the_tasks_own_code_names_it():
    calls = []

    def raising(model, batch):
        calls.append(model.training)
        if sum(calls) == 3:
            raise ValueError("a broken picture")
        return torch.nn.functional.mse_loss(model(batch[0]), batch[1])

    state = torch.get_rng_state().tolist()
    with pytest.raises(TaskError, match="a broken picture"):
        ss.tune(lambda seed: line(seed, loss=raising), EPOCHS)
    assert torch.get_rng_state().tolist() == state


def test_a_task_that_diverges_at_every_rate():
    def broken(model, batch):
        return model(batch[0]).sum() * (math.nan if model.training else 1.0)

    answer = ss.tune(lambda seed: line(seed, loss=broken), EPOCHS)
    assert (answer.verdict, answer.lr, answer.schedule) == ("diverged", None, None)


def test_a_task_that_cannot_learn():
    def constant(model, batch):
        return model(batch[0]).square().mean() * 0.0 + batch[1].square().mean()

    answer = ss.tune(lambda seed: line(seed, loss=constant), EPOCHS)
    assert (answer.verdict, answer.lr) == ("flat", None)


def test_ctrl_c_ends_the_search_with_what_is_known():
    updates = 0

    def interrupted(model, batch):
        nonlocal updates
        updates += model.training
        if updates == 90:
            raise KeyboardInterrupt
        return torch.nn.functional.mse_loss(model(batch[0]), batch[1])

    answer = ss.tune(lambda seed: line(seed, loss=interrupted), 20)
    assert answer.interrupted
    assert updates == 90
    assert answer.evidence
    assert answer.verdict in ("ok", "too_short")


@pytest.mark.parametrize(
    ("epochs", "fields", "named"),
    [
        (0, {}, "epochs"),
        (EPOCHS, {"budget": 0.0}, "budget"),
        (EPOCHS, {"budget": 0.01}, "budget"),
        (1, {"budget": 5.0}, "epochs"),
        (EPOCHS, {"seed": -1}, "seed"),
        (EPOCHS, {"around": -0.1}, "around"),
        (EPOCHS, {"optimizers": ["sgd"]}, "sgd"),
        (EPOCHS, {"optimizers": "adamw"}, "adamw"),
    ],
)
def test_options_that_make_no_sense(epochs, fields, named):
    with pytest.raises(InputError, match=named):
        ss.tune(line, epochs, **fields)
