"""Training on activations is training through the frozen layers, or it is refused."""

import copy
import itertools
import random
from collections import UserDict

import pytest
import torch
from adapters.fingerprint import Fingerprint, assert_unchanged
from adapters.torch.fine_tuning import frozen_models as models
from adapters.torch.fine_tuning.frozen_models import SMALL, frozen, image_task, text_task
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from stepsize.adapters.torch import Recipe
from stepsize.adapters.torch.fine_tuning import groups
from stepsize.adapters.torch.fine_tuning.frozen.freezing import Freezing
from stepsize.adapters.torch.fine_tuning.frozen.precomputed import Refused, precompute
from stepsize.adapters.torch.trials.evaluation import evaluate
from stepsize.adapters.torch.trials.training import Training
from stepsize.errors import InputError, TaskError
from stepsize.schedules import Constant
from stepsize.tasks import TensorBatches

pytest.importorskip("transformers")


def begun(task, updates=5):
    return Training(
        task, Constant(0.1), seed=0, steps=3 * updates, updates_per_epoch=updates, recipe=Recipe()
    )


def history(task, epochs=2):
    """Losses of all updates and evaluations; the model is trained."""
    training = begun(task)
    values = []
    for _ in range(epochs):
        for _ in range(training.updates_per_epoch):
            values += [loss.loss for loss in training.update()]
        training.end_epoch()
        values += evaluate(task, task.val, Recipe(), "val_").values()
    return values


@pytest.mark.parametrize(
    ("make", "count", "kept"),
    [
        (models.plain, 1, {"7"}),
        (models.OptionA, 1, {"norm", "norm2"}),
        (models.Skip, 2, {"first", "second"}),
        (models.Writing, 1, {"second"}),
        (models.vit, 2, {"vit.layers.0"}),
        (models.bert, 3, {"bert.encoder.layer.0"}),
        (models.gpt2, 1, {"transformer.h.0"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_losses_and_validation_are_those_of_training_through_the_body(make, count, kept):
    task = (text_task if make in (models.bert, models.gpt2) else image_task)(make)
    found = frozen(task, count)
    state = copy.deepcopy(task.model.state_dict())
    before = Fingerprint(task)
    done = precompute(task, found, count)
    assert_unchanged(before, task)
    assert done.facts["validation"]
    assert done.facts["shuffled"] is False  # a list of batches has one order
    replay = next(iter(done.task.train)).replay
    assert {call.name for call in replay.calls if call.frozen and any(call.needed)} == kept
    through = history(task)
    task.model.load_state_dict(state)
    task.optimizer.state.clear()
    spoil(found, count, task.model)
    assert history(done.task) == pytest.approx(through, rel=2e-5)


def test_of_many_places_only_those_are_kept_that_are_read():
    task = image_task(models.vit)
    done = precompute(task, frozen(task, 1), 1)
    token = 40 * SMALL["hidden_size"] * 4
    assert done.facts["bytes"] - 56 * 8 == token + token * 16 // 40  # training and validation

    task = image_task(models.Highest)
    for x, _ in task.train:
        x[:, :, :3] *= 100.0  # in these pictures it lies in the first line
    done = precompute(task, frozen(task, 1), 1)
    assert next(iter(done.task.train)).layout.leaves[-1].window is None

    task = image_task(models.Choosing)
    rare = copy.deepcopy(task.train)
    for x, _ in rare:
        x[:, 0, 0, 0] = 0.0
    rare[3][0][5, 0, 0, 0] = 3.0  # in one example of the fourth batch
    for batches, saved in ((rare, False), (rare[:3], True)):
        task = image_task(models.Choosing, batches)
        found = frozen(task)
        done = precompute(task, found, 1)
        leaf = next(iter(done.task.train)).layout.leaves[-1]
        assert (leaf.window is not None) == saved
        for batch, told in zip(batches, done.task.train, strict=True):
            through = float(task.loss(task.model, batch).detach())
            assert float(done.task.loss(task.model, told).detach()) == pytest.approx(through)


class Focal(models.OptionA):
    """Weighs its examples by what it says of them itself; gathers statistics, to judge by them."""

    def __init__(self):
        super().__init__()
        self.soft, self.normal = nn.Softmax(1), nn.BatchNorm1d(192, affine=False)

    def loss(self, batch):
        out = self(batch[0])
        sure = self.soft(out.detach()).gather(1, batch[1][:, None])[:, 0]
        usual = self.normal(batch[0].flatten(1)).square().mean()
        losses = functional.cross_entropy(out, batch[1], reduction="none")
        return ((1 - sure) * losses).mean() + (0.0 if self.training else usual)


def test_what_trained_layers_say_without_a_gradient_is_computed_anew():
    whole = image_task(models.OptionA)
    model = Focal()
    model.linear.weight.data.zero_()  # as many heads begin: nothing shows at the first weights
    task = models.finished(model, lambda m, b: m.loss(b), whole.train, whole.val, {})
    found = frozen(task)
    done = precompute(task, found, 1)
    state = copy.deepcopy(model.state_dict())
    through, seen = history(task), model.normal.running_var.clone()
    model.load_state_dict(state)
    task.optimizer.state.clear()
    assert history(done.task) == pytest.approx(through, rel=2e-5)
    assert torch.equal(model.normal.running_var, seen)


class Last(nn.Module):
    """Reads the last place of sequences that are as long as their batch."""

    def __init__(self):
        super().__init__()
        self.words, self.body, self.head = nn.Embedding(20, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, words):
        return self.head(torch.tanh(self.body(self.words(words)))[:, -1])


@pytest.mark.parametrize("lengths", [(10, 10, 8), (10, 10, 12)])
def test_sequences_of_other_lengths_and_batches_that_are_emptied_are_no_trouble(lengths):
    def popping(model, batch):
        classes = batch.pop("classes")
        return functional.cross_entropy(model(batch["words"]), classes)

    torch.manual_seed(0)
    batches = [
        UserDict(words=torch.randint(0, 20, (8, n)), classes=torch.randint(0, 3, (8,)))
        for n in lengths
    ]
    model = Last()
    model.head.weight.data.zero_()
    task = models.finished(model, popping, batches, batches, {})
    found = groups(model, batches[0]["words"])
    Freezing(model, found, batches[0]["words"]).train_last(1)
    done = precompute(task, found, 1)
    assert done.facts["validation"]
    torch.nn.init.normal_(model.head.weight)
    for batches_of, own in ((done.task.train, batches), (done.task.val, batches)):
        for told, batch in zip(batches_of, own, strict=True):
            through = float(popping(model, UserDict(batch)).detach())
            assert float(done.task.loss(model, told).detach()) == pytest.approx(through, rel=1e-5)


def spoil(found, count, model):
    """Whatever is computed from frozen weights comes out as nan, tied ones excepted."""
    tied = set(found.tied.values())
    for name in (name for group in list(found)[:-count] for name in group.parameters):
        if name not in tied:
            model.get_parameter(name).data.fill_(torch.nan)


@pytest.mark.parametrize(
    ("make", "how", "reason"),
    [
        (models.OptionA, "train", "statistics"),
        (lambda: models.plain()[3:], "train", "random"),
        (models.Aside, "eval", "otherwise"),
        (models.Dropping, "eval", "change"),
    ],
)
def test_what_does_not_come_out_the_same_is_refused(make, how, reason):
    task = image_task(make)
    if how == "train" and reason == "random":
        task.model[0] = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.5))
    found = frozen(task, 1, how)
    before = Fingerprint(task)
    with pytest.raises(Refused, match=reason):
        precompute(task, found, 1)
    assert_unchanged(before, task)


def test_outputs_of_another_structure_are_refused():
    task = image_task(models.Growing)
    x, y = task.train[0]
    task = image_task(models.Growing, [*task.train, (x[:6], y[:6])])
    with pytest.raises(Refused, match="structure"):
        precompute(task, frozen(task, 1), 1)


def test_a_model_that_is_in_eval_mode_is_recorded_as_it_will_be_trained():
    task = image_task(models.plain)
    found = frozen(task)
    task.model.eval()  # as transformers gives its pretrained models
    done = precompute(task, found, 1)
    live = [call.name for call in next(iter(done.task.train)).replay.calls if not call.frozen]
    assert live == ["8"]  # the dropout before the last layer
    assert not any(module.training for module in task.model.modules())


def flipping(draw):
    def loss(model, batch):
        x, y = batch
        return models.on_images(model, (-x if model.training and draw() < 0.1 else x, y))

    return loss


def of_its_own():
    generator = torch.Generator()
    return lambda: float(torch.rand((), generator=generator))


@pytest.mark.parametrize("draw", [lambda: float(torch.rand(())), random.random, of_its_own()])
def test_a_loss_that_augments_is_refused_however_seldom_it_does(draw):
    whole = image_task(models.OptionA)
    task = models.finished(whole.model, flipping(draw), whole.train, whole.val, {})
    with pytest.raises(Refused, match="random"):
        precompute(task, frozen(task), 1)


def test_more_than_may_be_kept_and_groups_that_are_not_frozen_are_refused():
    task = image_task(models.OptionA)
    found = frozen(task)
    with pytest.raises(Refused, match="most_bytes"):
        precompute(task, found, 1, most_bytes=1000)
    with pytest.raises(InputError, match="Freeze"):
        precompute(thawed := image_task(models.OptionA), frozen(thawed, 2), 1)
    for wrong in ({"trainable": 0}, {"trainable": len(found)}, {"trainable": 1, "passes": 0}):
        with pytest.raises(InputError):
            precompute(task, found, **wrong)


class Noisy(list):
    """Adds noise to its batches, in a new order each time."""

    def __init__(self, batches, noise):
        super().__init__(batches)
        self.noise = noise

    def __iter__(self):
        for place in torch.randperm(len(self)).tolist():
            x, y = self[place]
            yield x + self.noise * torch.randn_like(x), y


def test_examples_are_shuffled_anew_in_each_epoch_as_the_seed_says():
    images = torch.randn(40, 3, 8, 8)
    loader = TensorBatches(images, torch.arange(40) % 3, 16, shuffle=True)
    task = image_task(models.plain, loader)
    found = frozen(task)
    done = precompute(task, found, 1, seed=3)
    assert done.facts["by_example"]
    assert not done.facts["augmented"]

    def epochs(of):
        return [torch.cat([b.kept[1] for b in of.train]) for _ in range(3)]

    seen = epochs(done.task)
    assert [len(batch.examples) for batch in done.task.train] == [16, 16]
    for one, other in itertools.combinations(seen, 2):
        assert not torch.equal(one, other)
        assert {tuple(row) for row in one.tolist()} == {tuple(row) for row in other.tolist()}
    again, different = (precompute(task, found, 1, seed=seed).task for seed in (3, 4))
    assert all(map(torch.equal, epochs(again), seen))
    assert not torch.equal(epochs(different)[0], seen[0])


def test_views_of_an_augmenting_loader_take_turns():
    task = image_task(models.OptionA)
    found = frozen(task)
    given = Noisy(task.train, noise=0.1)
    once = precompute(image_task_with(task, given), found, 1)
    assert once.facts["augmented"]
    assert "1 recorded view" in once.facts["note"]
    twice = precompute(image_task_with(task, given), found, 1, passes=2)
    sums = [sum(float(b.kept[-1].sum()) for b in twice.task.train) for _ in range(4)]
    assert sums[0] == pytest.approx(sums[2])
    assert sums[1] == pytest.approx(sums[3])
    assert abs(sums[0] - sums[1]) > 1e-3
    still = precompute(image_task_with(task, Noisy(task.train, noise=0.0)), found, 1, seed=1)
    assert (still.facts["augmented"], still.facts["shuffled"]) == (False, True)


def weighted_hits(model, batch):
    x, classes, weights = batch
    return ((model(x).argmax(-1) == classes).float() * weights).mean()


def test_what_only_a_metric_needs_and_only_late_is_kept_for_it():
    """The first batches, on which ways to remember are tried, weigh nothing."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 2))
    x, classes = torch.randn(40, 8), torch.randint(0, 2, (40,))
    batches = [
        (x[i : i + 8], classes[i : i + 8], torch.full((8,), float(i >= 24)))
        for i in range(0, 40, 8)
    ]

    def loss(model, batch):
        return functional.cross_entropy(model(batch[0]), batch[1])

    task = models.finished(model, loss, batches, batches, {"late": weighted_hits})
    real = evaluate(task, batches, Recipe(), "val_")
    assert real["val_late"] > 0.0
    done = precompute(task, frozen(task), 1)
    assert done.facts["validation"]
    assert evaluate(done.task, done.task.val, Recipe(), "val_") == pytest.approx(real, rel=1e-5)


def image_task_with(task, train):
    return models.finished(task.model, task.loss, train, task.val, task.metrics)


class Erasing(TensorDataset):
    """Blanks one example in ten."""

    def __getitem__(self, place):
        x, y = super().__getitem__(place)
        return (0 * x if torch.rand(()) < 0.1 else x), y


def test_rare_augmentation_and_examples_that_are_left_out_are_told():
    task = image_task(models.OptionA)
    found = frozen(task)
    data = [torch.cat(column) for column in zip(*task.train, strict=True)]

    def facts(kind, **options):
        torch.manual_seed(3)
        loader = DataLoader(kind(*data), shuffle=True, **options)
        return precompute(image_task_with(task, loader), found, 1, passes=2).facts

    assert facts(Erasing, batch_size=8)["augmented"]
    clean = facts(TensorDataset, batch_size=16, drop_last=True)
    assert not clean["augmented"]
    assert "8 examples" in clean["note"]


def test_batches_that_a_sampler_composes_or_a_loss_contrasts_stay_together():
    task = image_task(models.OptionA)
    data = TensorDataset(*(torch.cat(column) for column in zip(*task.train, strict=True)))

    def contrast(model, batch):
        out = functional.normalize(model(batch[0]), dim=-1)
        return (out @ out.T).logsumexp(1).mean()

    def mixes(loss, **options):
        given = models.finished(task.model, loss, DataLoader(data, **options), task.val, {})
        return precompute(given, frozen(given), 1).facts["by_example"]

    assert mixes(task.loss, batch_size=8, shuffle=True)
    assert not mixes(contrast, batch_size=8, shuffle=True)
    composed = [range(i, 40, 5) for i in range(5)]
    assert not mixes(task.loss, batch_sampler=composed)
    assert not mixes(task.loss, batch_size=8, sampler=[*range(0, 40, 2), *range(1, 40, 2)])


def test_examples_that_depend_on_their_neighbours_stay_in_their_batch():
    def paired(model, batch):
        out = model(batch[0])
        return (out[0::2] - out[1::2]).square().mean() + functional.cross_entropy(out, batch[1])

    class Mixing(nn.Linear):
        def forward(self, x):
            return super().forward(x.flatten(1) - x.flatten(1).mean(0))

    for model, loss in (
        (models.OptionA(), paired),
        (nn.Sequential(Mixing(192, 4), nn.Linear(4, 3)), models.on_images),
    ):
        whole = image_task(models.OptionA)
        task = models.finished(model, loss, Noisy(whole.train, 0.0), whole.val, {})
        done = precompute(task, frozen(task), 1, seed=1)
        assert not done.facts["by_example"]
        orders = [[float(b.kept[-1].sum()) for b in done.task.train] for _ in range(4)]
        assert len({tuple(order) for order in orders}) > 1
        assert len({tuple(sorted(order)) for order in orders}) == 1


def test_batches_of_different_forms_are_kept_whole_and_read_from_a_file(tmp_path):
    torch.manual_seed(0)
    ragged = [(torch.randn(5, n, 4), torch.randint(0, 3, (5,)), "word") for n in (3, 4, 6)]
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3))
    task = models.finished(
        model, lambda m, b: functional.cross_entropy(m(b[0]).mean(1), b[1]), ragged, ragged, {}
    )
    found = frozen(task)
    made, read = (precompute(task, found, 1, folder=tmp_path) for _ in range(2))
    assert (made.facts["reused"], read.facts["reused"]) == (False, True)
    assert made.facts["key"] == read.facts["key"]
    for batch, one, other in zip(ragged, made.task.train, read.task.train, strict=True):
        through = float(task.loss(model, batch).detach())
        for told in (one, other):
            assert float(made.task.loss(model, told).detach()) == pytest.approx(through, rel=1e-6)


def test_activations_are_found_again_until_anything_they_depend_on_changes(tmp_path):
    task = image_task(models.OptionA)
    found = frozen(task)

    def facts(of=task):
        return precompute(of, found, 1, folder=tmp_path).facts

    first = facts()
    assert not first["reused"]
    with torch.no_grad():
        task.model.linear.weight.add_(1)  # trained: the frozen layers do not depend on it
    assert facts()["reused"]
    keys = {first["key"]}
    other = [(x.clone(), y) for x, y in task.train]
    other[-1][0][-1, -1, -1, -1] += 1e-3
    changes = [
        lambda: facts(image_task_with(task, other)),
        lambda: task.model.conv.weight.data[0, 0, 0, 0].add_(1e-3) is None or facts(),
        lambda: task.model.norm.running_mean[0].add_(1e-3) is None or facts(),
        lambda: setattr(task.model.norm, "eps", 1e-4) or facts(),
        lambda: setattr(task.model, "gain", 1.01) or facts(),
    ]
    for number, change in enumerate(changes):
        now = change()
        assert not now["reused"], number
        keys.add(now["key"])
    assert len(keys) == 1 + len(changes)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-40])  # as a full disk or a copy would leave it
    assert not facts()["reused"]
    assert facts()["reused"]
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".safetensors"]


LIMIT = 50.0


def clipped(x):
    return x.clamp(max=LIMIT)


class Hidden:
    limit = 50.0


class Clipping(nn.Module):
    """Depends on a global of a function that it calls, and on what an object of its own keeps."""

    def __init__(self):
        super().__init__()
        self.body, self.head, self.hidden = nn.Linear(192, 4), nn.Linear(4, 3), Hidden()

    def forward(self, x):
        return self.head(self.body(clipped(x).clamp(max=self.hidden.limit).flatten(1)))


@pytest.mark.parametrize("seen", [True, False], ids=["code", "guard"])
def test_a_change_that_shows_in_the_last_batch_alone_is_noticed(seen, tmp_path, monkeypatch):
    task = image_task(Clipping)
    found = frozen(task)
    task.train[-1][0][3] *= 9.0
    keys = []
    for limit in (50.0, 6.0):
        if seen:
            monkeypatch.setitem(globals(), "LIMIT", limit)
        else:
            monkeypatch.setattr(task.model.hidden, "limit", limit)
        done = precompute(task, found, 1, folder=tmp_path)
        keys.append(done.facts["key"])
        assert not done.facts["reused"]
        through, told = (
            [float(of.loss(task.model, batch).detach()) for batch in of.train]
            for of in (task, done.task)
        )
        assert told == pytest.approx(through)
    assert (keys[0] != keys[1]) == seen
    assert precompute(task, found, 1, folder=tmp_path).facts["reused"]


def test_a_training_on_activations_goes_on_in_mid_epoch_bit_for_bit(tmp_path):
    def fresh():
        images = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(1))
        task = image_task(
            models.plain, TensorBatches(images, torch.arange(40) % 3, 8, shuffle=True)
        )
        found = frozen(task)
        return precompute(task, found, 1, folder=tmp_path, seed=5).task

    def go(training, updates):
        losses = []
        for _ in range(updates):
            losses += [loss.loss for loss in training.update()]
            if training.at_end_of_epoch:
                training.end_epoch()
        return losses

    task = fresh()
    whole = begun(task)
    go(whole, 7)
    content = copy.deepcopy(whole.content())
    expected = go(whole, 8)
    resumed = begun(fresh())
    resumed.resume(content)
    resumed.replay(content)
    assert go(resumed, 8) == expected


def test_a_model_that_calls_its_layers_otherwise_than_recorded_says_so():
    task = image_task(models.Skip)
    done = precompute(task, frozen(task, 2), 2)
    task.model.second, task.model.first = task.model.first, task.model.second
    with pytest.raises(TaskError, match="precompute"):
        done.task.loss(task.model, next(iter(done.task.train)))
