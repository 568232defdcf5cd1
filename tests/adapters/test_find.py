"""find: the learning rate of a task."""

import random

import pytest
import torch
from adapters.fingerprint import Fingerprint, assert_unchanged
from adapters.zoo import data, mse
from torch import nn

from stepsize.adapters.torch import Recipe, find
from stepsize.errors import InputError, TaskError
from stepsize.records import FindResult
from stepsize.tasks import Task


def make_regression(seed):
    torch.manual_seed(seed)
    model = nn.Linear(6, 1)
    batches = [(x, x.sum(1, keepdim=True)) for x, _ in data(16, rows=16)]
    random.Random(seed).shuffle(batches)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return Task(model, optimizer, mse, batches, val=data(2))


def test_the_same_seed_says_the_same_and_another_seed_differs():
    first, again, other = (find("digits", repeats=2, seed=seed) for seed in (0, 0, 7))
    assert first == again
    assert first.curve != other.curve
    assert first.verdict == other.verdict == "ok"
    assert first.interval[0] <= first.lr <= first.interval[1]
    assert 1 / 5 < first.lr / other.lr < 5
    assert first.task == "digits"
    assert FindResult.from_dict(first.to_dict()) == first


def test_the_callers_random_states_are_untouched():
    before = Fingerprint()
    find("digits", repeats=1, max_updates=5)
    find(make_regression, repeats=1, held_out_every=2, max_updates=8)
    with pytest.raises(TaskError):
        find(lambda seed: torch.manual_seed(seed) and torch.rand(3))
    assert_unchanged(before)


def test_a_task_file_that_seeds_does_not_reach_the_caller(tmp_path):
    file = tmp_path / "seeding_task.py"
    file.write_text(
        "import random, torch\n"
        "from adapters.test_find import make_regression\n"
        "random.seed(1)\n"
        "torch.manual_seed(1)\n"
    )
    before = Fingerprint()
    assert find(f"{file}:make_regression", repeats=1, max_updates=5).updates == 5
    assert_unchanged(before)


def test_each_repeat_is_made_from_its_own_seed():
    seeds = []

    def make(seed):
        seeds.append(seed)
        return make_regression(seed)

    result = find(make, seed=5, repeats=3, engine="serial")
    assert seeds == [5, 6, 7]
    assert len(set(result.repeats)) == 3
    assert result.task == "make"


def test_a_recipe_is_followed():
    result = find(make_regression, repeats=1, recipe=Recipe(accumulate=2, clip_norm=0.5))
    assert result.settings["accumulate"] == 2
    assert result.settings["clip_norm"] == 0.5


def test_a_held_out_objective_needs_validation_data():
    def make(seed):
        task = make_regression(seed)
        return Task(task.model, task.optimizer, task.loss, task.train)

    with pytest.raises(InputError, match="needs validation data"):
        find(make, held_out_every=2)
    assert find(make_regression, held_out_every=2, repeats=1).curve.lag == 0


def test_a_task_that_torch_cannot_train_is_named():
    def make(seed):
        return Task("model", "optimizer", mse, [1])

    with pytest.raises(TaskError, match=r"The task make cannot be range-tested.*got str"):
        find(make)
    with pytest.raises(InputError, match="A task is a name or a callable"):
        find(3)


def test_nothing_is_printed_unless_it_is_asked_for(capfd):
    find(make_regression, repeats=1)
    assert capfd.readouterr() == ("", "")


def test_progress_goes_to_standard_error_alone(capfd):
    find(make_regression, repeats=1, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "range test" in err
