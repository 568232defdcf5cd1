"""A Task refuses on construction what would fail later, far from its cause."""

import dataclasses

import pytest

from stepsize.errors import InputError, TaskError
from stepsize.tasks import Task


def loss(model, batch):
    return 0.0


def task(**changes):
    return Task(**{"model": "model", "optimizer": "sgd", "loss": loss, "train": [1, 2]} | changes)


def test_defaults_and_order_are_the_contract():
    names = [field.name for field in dataclasses.fields(Task)]
    assert names == ["model", "optimizer", "loss", "train", "val", "metrics", "test"]
    assert (task().val, task().metrics, task().test) == (None, {}, None)


def test_it_is_frozen_and_equal_to_itself_only():
    one = task()
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.model = "other"
    assert one == one
    assert one != task()
    assert len({one, one}) == 1


def test_the_metrics_are_a_copy():
    metrics = {"accuracy": loss}
    one = task(metrics=metrics)
    metrics.clear()
    assert list(one.metrics) == ["accuracy"]


class Stream:
    def __iter__(self):
        return iter([1])


class OldSequence:
    def __getitem__(self, at):
        return [1, 2][at]


class Rewinding:
    """As NVIDIA DALI's loaders: its own iterator, but one that starts over."""

    def __iter__(self):
        return self

    def __next__(self):
        raise StopIteration

    def reset(self):
        pass


@pytest.mark.parametrize("batches", [[], (1,), range(3), Stream(), OldSequence(), Rewinding()])
def test_what_can_be_walked_again_and_again_is_welcome(batches):
    assert task(train=batches, val=batches).train is batches


@pytest.mark.parametrize("field", ["train", "val"])
@pytest.mark.parametrize(
    "batches",
    [
        3,
        "batches",
        b"x",
        {"x": 1},
        list,
        iter([1]),
        (x for x in [1]),
        map(str, [1]),
        zip([1], [2], strict=True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_is_refused(field, batches):
    with pytest.raises(TaskError, match=field):
        task(**{field: batches})


def test_train_is_not_optional():
    with pytest.raises(TaskError):
        task(train=None)


@pytest.mark.parametrize("field", ["model", "optimizer"])
@pytest.mark.parametrize("value", [None, dict])
def test_model_and_optimizer_are_instances(field, value):
    with pytest.raises(TaskError, match=field):
        task(**{field: value})


@pytest.mark.parametrize(
    "function",
    [None, 0.5, dict, lambda outputs: 0, lambda a, b, c: 0, lambda *, model, batch: 0],
    ids=["none", "number", "class", "one", "three", "keywords"],
)
def test_a_function_that_does_not_take_model_and_batch_is_refused(function):
    with pytest.raises(TaskError, match="loss"):
        task(loss=function)
    with pytest.raises(TaskError, match="speed"):
        task(metrics={"speed": function})


def test_functions_in_c_and_with_defaults_are_welcome():
    assert task(loss=max, metrics={"a": lambda model, batch, scale=2: 0, "b": lambda *a: 0})


@pytest.mark.parametrize("metrics", [None, [loss], {1: loss}])
def test_metrics_map_names_to_functions(metrics):
    with pytest.raises(TaskError):
        task(metrics=metrics)


def test_torchs_own_losses_need_wrapping():
    torch = pytest.importorskip("torch")
    for bare in (torch.nn.CrossEntropyLoss(), torch.nn.functional.mse_loss):
        with pytest.raises(TaskError, match="outputs, targets"):
            task(loss=bare)

    class Own(torch.nn.Module):
        def forward(self, model, batch):
            return 0.0

    assert task(loss=Own())


def test_an_iterator_over_a_loader_is_refused_and_the_loader_is_not():
    torch = pytest.importorskip("torch")
    loader = torch.utils.data.DataLoader([1, 2, 3])
    assert task(train=loader)
    with pytest.raises(TaskError, match="once"):
        task(train=iter(loader))


def test_a_task_error_is_an_input_error():
    assert issubclass(TaskError, InputError)


def test_the_repr_needs_no_length():
    assert "Stream" in repr(task(train=Stream(), metrics={"accuracy": loss}))
