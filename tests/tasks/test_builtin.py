"""The tasks that come along: their recipe, and that only the seed matters."""

import contextlib
import gzip
import hashlib
import os
import random
import sys
from pathlib import Path

import pytest

from stepsize.errors import DataError, MissingDependencyError
from stepsize.tasks import BUILTIN, cache_dir, fashion_mnist, load, make_task, names
from stepsize.tasks.digits import make_digits, read_digits
from stepsize.tasks.split import fixed_order

IMAGES = fashion_mnist.TRAIN_IMAGES
there = (
    bool(os.environ.get("STEPSIZE_DATA"))
    or (cache_dir() / "data" / "fashion-mnist" / IMAGES).is_file()
)
needs_files = pytest.mark.skipif(
    not there, reason="Fashion-MNIST is not here: set STEPSIZE_DATA, or run the task once"
)
any_task = pytest.mark.parametrize(
    "name", ["digits", pytest.param("fashion-mnist-mlp", marks=needs_files)]
)


def state(task):
    return [value.clone() for value in task.model.state_dict().values()]


def train(torch, task, updates=60, lr=0.1):
    for group in task.optimizer.param_groups:
        group["lr"] = lr
    losses = []
    while len(losses) < updates:
        for batch in task.train:
            task.optimizer.zero_grad()
            loss = task.loss(task.model, batch)
            loss.backward()
            task.optimizer.step()
            losses.append(loss.item())
    return losses


def test_the_registry_explains_itself():
    assert set(names()) == set(BUILTIN) >= {"digits", "fashion-mnist-mlp"}
    for name, task in BUILTIN.items():
        assert task.name == name
        assert task.summary
        assert "torch" in task.needs


def test_the_digits_are_scikit_learns():
    datasets = pytest.importorskip("sklearn.datasets")
    expected = datasets.load_digits()
    digits = read_digits()
    assert digits.pixels == expected.data.astype("uint8").tobytes()
    assert digits.labels == expected.target.astype("uint8").tobytes()


def test_damaged_digits_are_refused(monkeypatch, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "digits.csv.gz").write_bytes(gzip.compress(b"1,2,3"))
    read_digits.cache_clear()
    monkeypatch.setattr("importlib.resources.files", lambda package: tmp_path)
    with pytest.raises(DataError, match="damaged"):
        read_digits()
    (tmp_path / "data" / "digits.csv.gz").unlink()
    with pytest.raises(DataError, match="missing"):
        read_digits()


def test_a_fixed_order_is_a_permutation_that_never_changes():
    order = fixed_order(1797, 0)
    assert sorted(order) == list(range(1797))
    # Golden: another order would make every result on these tasks incomparable with older ones.
    digest = hashlib.sha256(",".join(map(str, order)).encode()).hexdigest()
    assert digest == "29e9a07fd8d949c7e0472abe505c6fda78a7ebea582ef87f916f63d996698b53"


def test_the_digits_recipe(torch):
    task = make_task(load("digits"), 0)
    layers = [layer for layer in task.model if isinstance(layer, torch.nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in layers] == [(64, 64), (64, 10)]
    assert isinstance(task.model[1], torch.nn.ReLU)
    assert type(task.optimizer) is torch.optim.SGD
    assert task.optimizer.param_groups[0]["momentum"] == 0.9
    assert len(task.train) == 1437 // 32
    x, y = next(iter(task.train))
    assert (x.shape, x.dtype, y.dtype) == ((32, 64), torch.float32, torch.int64)
    assert sum(len(y) for _, y in task.val) == 360
    everything = torch.cat([task.train.inputs, task.val.inputs])
    assert (everything.min(), everything.max()) == (0, 1)
    assert len(everything) == 1797
    assert sorted(map(bytes, (everything * 16).to(torch.uint8).numpy())) == sorted(
        read_digits().pixels[at : at + 64] for at in range(0, 1797 * 64, 64)
    )


@needs_files
def test_the_fashion_recipe(torch):
    task = make_task(load("fashion-mnist-mlp"), 0)
    layers = [layer for layer in task.model if isinstance(layer, torch.nn.Linear)]
    assert [layer.out_features for layer in layers] == [512, 200, 10]
    assert layers[0].in_features == 784
    group = task.optimizer.param_groups[0]
    assert type(task.optimizer) is torch.optim.SGD
    assert (group["momentum"], group["weight_decay"]) == (0, 0)
    assert len(task.train) == 250
    assert task.train.inputs.shape == (16_000, 784)
    assert task.val.inputs.shape == (4_000, 784)
    assert (task.train.inputs.min(), task.train.inputs.max()) == (0, 1)
    counts = torch.bincount(torch.cat([task.train.targets, task.val.targets]))
    assert len(counts) == 10
    assert (counts - 2000).abs().max() < 150  # drawn at random from ten equal classes


@any_task
def test_the_same_seed_is_the_same_task(torch, name):
    one, two = make_task(load(name), 5), make_task(load(name), 5)
    assert all(map(torch.equal, state(one), state(two)))
    for first, second in zip(one.train, two.train, strict=True):
        assert torch.equal(first[0], second[0])
    assert train(torch, one) == train(torch, two)


@any_task
def test_another_seed_changes_weights_and_order_but_not_the_split(torch, name):
    one, two = make_task(load(name), 0), make_task(load(name), 1)
    assert not torch.equal(state(one)[0], state(two)[0])
    assert not torch.equal(next(iter(one.train))[0], next(iter(two.train))[0])
    assert torch.equal(one.train.inputs, two.train.inputs)
    assert torch.equal(one.val.inputs, two.val.inputs)
    assert torch.equal(one.val.targets, two.val.targets)


@any_task
def test_training_a_task_does_not_change_the_next_one(torch, name):
    before = make_task(load(name), 0)
    for batch in (before.train.inputs, before.val.inputs):
        batch.fill_(9.0)
    after = make_task(load(name), 0)
    assert after.train.inputs.max() == 1


@any_task
def test_the_callers_random_states_are_untouched(torch, name):
    numpy = pytest.importorskip("numpy")
    before = random.getstate(), str(numpy.random.get_state()), torch.random.get_rng_state()
    make_task(load(name), 3)
    assert random.getstate() == before[0]
    assert str(numpy.random.get_state()) == before[1]
    assert torch.equal(torch.random.get_rng_state(), before[2])


@any_task
def test_the_callers_random_state_does_not_matter(torch, name):
    torch.manual_seed(1)
    one = make_task(load(name), 0)
    torch.manual_seed(2)
    two = make_task(load(name), 0)
    assert all(map(torch.equal, state(one), state(two)))


def test_the_gpus_are_not_seeded(torch, monkeypatch):
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    make_digits(0)
    assert seeded == []


def test_the_callers_defaults_do_not_matter(torch):
    expected = make_digits(0)
    with contextlib.ExitStack() as stack:
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.set_default_dtype(torch.float64)
        stack.enter_context(torch.device("meta"))
        got = make_digits(0)
        assert got.model[0].weight.dtype == torch.float32
    assert all(map(torch.equal, state(expected), state(got)))
    assert torch.equal(expected.train.inputs, got.train.inputs)


@any_task
def test_it_learns(torch, name):
    task = make_task(load(name), 0)
    batches = list(task.val)
    before = sum(task.metrics["accuracy"](task.model, batch) for batch in batches) / len(batches)
    losses = train(torch, task, updates=250)
    after = sum(task.metrics["accuracy"](task.model, batch) for batch in batches) / len(batches)
    assert before < 0.3
    assert after > 0.7
    assert sum(losses[-20:]) < sum(losses[:20])


def test_accuracy_is_the_fraction_that_is_right(torch):
    accuracy = make_digits(0).metrics["accuracy"]
    outputs = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    got = accuracy(lambda x: x, (outputs, torch.tensor([0, 1, 0, 1])))
    assert (got, type(got)) == (0.75, float)


@pytest.mark.parametrize("name", names())
def test_without_torch_the_extra_is_named(monkeypatch, name):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'stepsize\[torch\]'"):
        make_task(load(name), 0)


def test_a_torch_that_does_not_load_is_told_apart(monkeypatch, tmp_path):
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so is missing')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with pytest.raises(MissingDependencyError, match="libcudart"):
        make_digits(0)


# --- finding Fashion-MNIST -----------------------------------------------------------------------


def test_a_named_folder_without_the_file_is_an_error_and_no_download(monkeypatch, tmp_path, site):
    monkeypatch.setenv("STEPSIZE_DATA", str(tmp_path))
    monkeypatch.setattr(fashion_mnist, "SOURCES", (site.url + "/",))
    wanted = tmp_path / "data" / "fashion-mnist" / IMAGES
    with pytest.raises(DataError, match="STEPSIZE_DATA") as caught:
        fashion_mnist.find_file(IMAGES)
    assert str(wanted) in str(caught.value)
    assert site.ranges == []


def test_a_wrong_file_in_the_named_folder_is_refused_and_kept(monkeypatch, tmp_path, torch):
    monkeypatch.setenv("STEPSIZE_DATA", str(tmp_path))
    folder = tmp_path / "data" / "fashion-mnist"
    folder.mkdir(parents=True)
    for name in fashion_mnist.SHA256:
        (folder / name).write_bytes(gzip.compress(b"\0\0\x08\1\0\0\0\0"))
    with pytest.raises(DataError, match="SHA-256"):
        make_task(load("fashion-mnist-mlp"), 0)
    assert len(list(folder.iterdir())) == 4


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.delenv("STEPSIZE_DATA", raising=False)
    monkeypatch.setenv("STEPSIZE_CACHE", str(tmp_path))
    return tmp_path / "data" / "fashion-mnist"


def test_it_is_downloaded_into_the_cache(monkeypatch, cache, site):
    site.body = gzip.compress(b"\0\0\x08\1\0\0\0\1\7")
    monkeypatch.setattr(fashion_mnist, "SOURCES", (site.url + "/",))
    monkeypatch.setitem(fashion_mnist.SHA256, IMAGES, site.sha256)
    for _ in range(2):
        assert fashion_mnist.find_file(IMAGES) == cache / IMAGES
    assert (cache / IMAGES).read_bytes() == site.body
    assert len(site.ranges) == 1


def test_the_second_source_helps_when_the_first_refuses(monkeypatch, cache, site):
    site.statuses = [404]
    monkeypatch.setattr(fashion_mnist, "SOURCES", (site.url + "/a/", site.url + "/b/"))
    monkeypatch.setitem(fashion_mnist.SHA256, IMAGES, site.sha256)
    assert fashion_mnist.find_file(IMAGES).read_bytes() == site.body


def test_offline_tells_what_was_tried_and_both_ways_out(monkeypatch, cache, site):
    site.statuses = [404, 403]
    monkeypatch.setattr(fashion_mnist, "SOURCES", (site.url + "/a/", site.url + "/b/"))
    with pytest.raises(DataError) as caught:
        fashion_mnist.find_file(IMAGES)
    for told in (site.url + "/a/", site.url + "/b/", "STEPSIZE_DATA", str(cache / IMAGES)):
        assert told in str(caught.value)


def test_the_sources_are_addresses_of_folders():
    assert all(source.endswith("/") for source in fashion_mnist.SOURCES)
    assert len(fashion_mnist.SHA256) == 4


@needs_files
@pytest.mark.parametrize("name", sorted(fashion_mnist.SHA256))
def test_the_checksums_are_those_of_the_real_files(name):
    if not (
        path := Path(os.environ.get("STEPSIZE_DATA", "absent"), "data/fashion-mnist", name)
    ).exists():
        pytest.skip(f"{path} is not here")
    content = gzip.decompress(path.read_bytes())
    assert hashlib.sha256(content).hexdigest() == fashion_mnist.SHA256[name]
