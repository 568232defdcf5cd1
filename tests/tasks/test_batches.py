"""TensorBatches: what is seen, in which order, and what becomes of the random states."""

import pytest

from stepsize.errors import InputError
from stepsize.tasks import TensorBatches

torch = pytest.importorskip("torch")


def batches(count=10, size=3, **options):
    options = {"shuffle": True, "seed": 0} | options
    return TensorBatches(torch.arange(count), torch.arange(count) * 10, size, **options)


def seen(loader):
    return [x.tolist() for x, _ in loader]


@pytest.mark.parametrize("count", [3, 8, 9, 10, 11])
@pytest.mark.parametrize("shuffle", [True, False])
def test_len_is_the_number_of_batches(count, shuffle):
    loader = batches(count, shuffle=shuffle)
    assert len(loader) == len(list(loader))


def test_training_drops_the_smaller_last_batch_and_sees_nothing_twice():
    got = seen(batches(10))
    assert [len(batch) for batch in got] == [3, 3, 3]
    flat = [x for batch in got for x in batch]
    assert len(set(flat)) == 9
    assert set(flat) <= set(range(10))


def test_validation_keeps_everything_in_order():
    assert seen(batches(10, shuffle=False)) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]


def test_inputs_and_targets_stay_together():
    for x, y in batches():
        assert torch.equal(x * 10, y)


def test_each_pass_has_an_order_of_its_own():
    loader = batches(100)
    assert seen(loader) != seen(loader)


def test_the_seed_decides_all_passes():
    one, two, other = batches(100), batches(100), batches(100, seed=1)
    passes = [seen(one), seen(one)]
    assert passes == [seen(two), seen(two)]
    assert passes[0] != seen(other)


def test_restoring_the_generator_replays_the_pass():
    loader = batches(100)
    seen(loader)
    state = loader.generator.get_state()
    first = seen(loader)
    loader.generator.set_state(state)
    assert seen(loader) == first


def test_a_pass_cut_short_advances_as_much_as_a_whole_one():
    whole, cut, unused = batches(100), batches(100), batches(100)
    seen(whole)
    next(iter(cut))
    iter(unused)
    assert seen(whole) == seen(cut) == seen(unused)


def test_validation_leaves_its_generator_alone():
    loader = batches(shuffle=False)
    before = loader.generator.get_state()
    seen(loader)
    assert torch.equal(loader.generator.get_state(), before)


def test_torchs_own_generator_is_untouched():
    before = torch.random.get_rng_state()
    seen(batches())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_changing_a_batch_does_not_change_the_data():
    for shuffle in (True, False):
        loader = batches(shuffle=shuffle)
        for x, _ in loader:
            x.fill_(-1)
        assert loader.inputs.tolist() == list(range(10))


@pytest.mark.parametrize(
    ("count", "size", "shuffle"), [(10, 0, True), (10, -1, False), (2, 3, True), (0, 1, True)]
)
def test_a_loader_without_batches_is_refused(count, size, shuffle):
    with pytest.raises(InputError, match=str(size)):
        batches(count, size, shuffle=shuffle)


def test_lengths_must_agree():
    with pytest.raises(InputError, match="3 inputs and 2 targets"):
        TensorBatches(torch.zeros(3), torch.zeros(2), 1, shuffle=False)


def test_another_default_device_makes_no_difference():
    expected, loader = seen(batches()), batches()
    with torch.device("meta"):
        assert seen(loader) == expected
