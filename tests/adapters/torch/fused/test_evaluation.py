"""Copies are evaluated as each alone would be, together where the user's functions let them."""

import pytest
import torch
from adapters.torch.fused import family

from stepsize.adapters.torch.fused import Stack, evaluated, evaluation
from stepsize.adapters.torch.trials import evaluate
from stepsize.adapters.torch.update import Recipe
from stepsize.errors import TaskError
from stepsize.tasks import Task

RATES = [1e-3, 1e-2, 5e-2]


def accuracy(model, batch):
    return (model(batch["x"]).argmax(1) == batch["y"]).float().mean().item()


def own_layer(model, batch):
    """It looks into the model."""
    return model[0](batch["x"]).square().mean().item()


def task_of(make, metrics):
    training = family.Training(make, family.OPTIMIZERS["adam"])
    val = [*family.batches(7), *family.batches(8, count=1, size=3)]
    return training, Task(
        training.model, training.optimizer, family.loss, training.batches, val, metrics
    )


def check(make, metrics, recipe=Recipe(), near=1e-5):
    training, task = task_of(make, metrics)
    stack = Stack([training.stream()], [0] * 3, recipe)
    evaluated(stack, task, task.val, recipe, "val_")  # copies that are alike tell nothing
    family.losses_of(stack, RATES, 3)
    generator = torch.get_rng_state()
    for _ in range(2):  # the first may find the way out, the second goes it
        found = evaluated(stack, task, task.val, recipe, "val_")
        assert task.model.training
        for copy in range(3):
            stack.pour(copy)
            alone = evaluate(task, task.val, recipe, "val_")
            assert found[copy] == pytest.approx(alone, rel=near, abs=near)
        family.losses_of(stack, RATES, 2)
    some = evaluated(stack, task, task.val, recipe, "val_", [2, 0])
    stack.pour(2)
    assert some[0] == pytest.approx(evaluate(task, task.val, recipe, "val_"), rel=near, abs=near)
    assert len(some) == 2
    return generator


@pytest.mark.parametrize(
    "make", [family.cnn, family.dropout, family.lstm, family.counting, family.gpt]
)
def test_every_copy_has_the_metrics_that_it_has_alone(make):
    check(make, {"accuracy": accuracy})


def test_metrics_that_look_into_the_model_are_measured_copy_by_copy():
    check(family.mlp, {"layer": own_layer})


def test_a_metric_that_knows_the_model_from_elsewhere_is_not_taken_in():
    known = []

    def of_known(model, batch):
        return accuracy(known[0], batch)

    training, task = task_of(family.mlp, {"accuracy": of_known})
    known.append(task.model)
    stack = Stack([training.stream()], [0] * 3, Recipe())
    family.losses_of(stack, [1e-3, 1e-1, 1.0], 5)
    for _ in range(2):
        found = evaluated(stack, task, task.val, Recipe(), "val_")
    stack.pour(0)
    assert found[0] == pytest.approx(evaluate(task, task.val, Recipe(), "val_"))


def test_precision_is_the_recipes():
    check(family.mlp, {"accuracy": accuracy}, Recipe(autocast=torch.bfloat16), near=2e-2)


def test_no_batch_at_all_is_an_error():
    training, task = task_of(family.mlp, {})
    stack = Stack([training.stream()], [0] * 2, Recipe())
    with pytest.raises(TaskError):
        evaluated(stack, task, [], Recipe(), "val_")


def count(monkeypatch, name, change=lambda values: values):
    """How often one of the two ways has been gone; its values may be changed."""
    way, gone = getattr(evaluation, name), []

    def counted(*given):
        gone.append(given)
        return change(way(*given))

    monkeypatch.setattr(evaluation, name, counted)
    return gone


def trained(make, metrics, rates=RATES):
    training, task = task_of(make, metrics)
    stack = Stack([training.stream()], [0] * 3, Recipe())
    family.losses_of(stack, rates, 3)
    return stack, task


EXAMPLES = 4 * 8 + 3


@pytest.mark.parametrize(
    ("name", "change", "times"),
    [
        ("val_accuracy", 1 / EXAMPLES, 1),
        ("val_accuracy", 5 / EXAMPLES, 3),
        ("val_per_cent", 100 / EXAMPLES, 1),
        ("val_margin", 1e-3, 3),
        ("val_loss", 1e-3, 3),
    ],
)
def test_an_example_on_the_edge_does_not_cost_the_quick_way(monkeypatch, name, change, times):
    def flipped(given):
        values, examples = given
        values[1][name] += change
        return values, examples

    metrics = {
        "accuracy": accuracy,
        "per_cent": lambda model, batch: 100 * accuracy(model, batch),
        "margin": lambda model, batch: model(batch["x"]).max(1).values.mean(),
    }
    stack, task = trained(family.mlp, metrics)
    count(monkeypatch, "_all_at_once", flipped)
    slow = count(monkeypatch, "_one_by_one")
    for _ in range(3):
        evaluated(stack, task, task.val, Recipe(), "val_")
    assert len(slow) == times


@pytest.mark.parametrize("settle", [False, True])
def test_copies_that_are_alike_settle_nothing_unless_that_is_wanted(monkeypatch, settle):
    stack, task = trained(family.mlp, {"accuracy": accuracy}, [1e-3] * 3)
    slow = count(monkeypatch, "_one_by_one")
    for _ in range(3):
        evaluated(stack, task, task.val, Recipe(), "val_", settle=settle)
    assert len(slow) == (1 if settle else 3)


def test_copies_that_are_nearly_alike_settle_nothing(monkeypatch):
    stack, task = trained(family.mlp, {}, [1e-7, 2e-7, 3e-7])
    slow = count(monkeypatch, "_one_by_one")
    for _ in range(2):
        evaluated(stack, task, task.val, Recipe(), "val_")
    assert len(slow) == 2
