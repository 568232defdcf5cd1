"""What is put into objects made anew is what was taken; data and caches are left alone."""

import random
from collections import deque

import numpy as np
import pytest
import torch

from stepsize.adapters.torch.trials import random_record
from stepsize.adapters.torch.trials.object_state import ObjectState


class Loader:
    """Has whatever attributes it is given; iterable, so it may hold state."""

    def __init__(self, **attributes):
        vars(self).update(attributes)

    def __iter__(self):
        return iter(())


def moved(make, change, tmp_path):
    """Change one object, carry its state through a file to another; both."""
    first, second = make(), make()
    one, other = ObjectState(first), ObjectState(second)
    change(first)
    torch.save(one.take(), tmp_path / "state")
    other.put(torch.load(tmp_path / "state", weights_only=True))
    return first, second


def test_plain_values_of_every_kind(tmp_path):
    def change(loader):
        loader.number, loader.text, loader.new = 2.5, "b", {"a": [1, (2, b"c")], 3: None}
        loader.set.add(4)
        loader.deque.append(5)
        loader.frozen = frozenset({1})
        loader.inner["list"].append(6)
        del loader.gone

    first, second = moved(
        lambda: Loader(
            number=1, text="a", set={1}, deque=deque([1]), inner={"list": [0]}, gone=True
        ),
        change,
        tmp_path,
    )
    assert vars(first) == vars(second)


@pytest.mark.parametrize("new", [False, True])
def test_generators(tmp_path, new):
    def generators():
        return {
            "a": random.Random(1),
            "b": torch.Generator().manual_seed(1),
            "c": np.random.default_rng(1),
            "d": np.random.RandomState(1),
            "e": np.random.Generator(np.random.MT19937(1)),
            "f": np.random.Generator(np.random.Philox(1)),
            "g": np.random.Generator(np.random.SFC64(1)),
        }

    def draw(loader):
        if new:
            vars(loader).update(generators())
        made = vars(loader)
        drawn = [made["a"].gauss(0, 1), torch.rand(1, generator=made["b"]).item()]
        drawn += [made["d"].normal(), *(made[n].normal() for n in "cefg")]
        return [*drawn, int(made["c"].integers(9, dtype=np.int32))]

    first, second = moved(Loader if new else lambda: Loader(**generators()), draw, tmp_path)
    new = False
    assert draw(first) == draw(second)


def test_large_lists_are_written_by_their_order(tmp_path):
    items = [object() for _ in range(5_000)]

    def shuffle(loader):
        random.Random(3).shuffle(loader.items)

    first, second = moved(lambda: Loader(items=list(items)), shuffle, tmp_path)
    assert first.items == second.items != items
    assert (tmp_path / "state").stat().st_size < 100_000


def test_data_are_not_written(tmp_path):
    def make():
        data = [torch.zeros(5_000) for _ in range(20)]
        return Loader(data=data, array=np.zeros((300, 300)), words=["a"] * 100_000)

    def fill(loader):
        loader.cache = [torch.zeros(1_000_000) for _ in range(20)]

    first, second = moved(make, fill, tmp_path)
    assert (tmp_path / "state").stat().st_size < 20_000
    assert not hasattr(second, "cache")
    assert len(second.data) == 20
    assert len(first.words) == len(second.words)


def test_large_tensors_that_were_written_to(tmp_path):
    def change(loader):
        loader.tensor[3] = 7.0
        loader.order[[0, 1]] = loader.order[[1, 0]]

    first, second = moved(
        lambda: Loader(tensor=torch.zeros(5_000), order=np.arange(5_000)), change, tmp_path
    )
    assert torch.equal(first.tensor, second.tensor)
    assert (first.order == second.order).all()


def test_what_cannot_be_written_is_left(tmp_path):
    def change(loader):
        loader.running, loader.count = iter([1]), 2

    _, second = moved(lambda: Loader(count=1, pool=object()), change, tmp_path)
    assert second.count == 2
    assert not hasattr(second, "running")


def test_the_state_of_other_objects_is_refused():
    state = ObjectState(torch.nn.Linear(2, 1)).take()
    with pytest.raises(ValueError, match="shape"):
        ObjectState(torch.nn.Linear(3, 1)).put(state)
    with pytest.raises(ValueError, match="objects"):
        ObjectState(torch.nn.Sequential(torch.nn.Linear(2, 1))).put(state)


def test_global_random_states_travel_as_plain_data(tmp_path):
    torch.save(random_record.take(), tmp_path / "state")
    drawn = random.random(), np.random.rand(), torch.rand(1).item()
    random_record.put(torch.load(tmp_path / "state", weights_only=True))
    assert drawn == (random.random(), np.random.rand(), torch.rand(1).item())
