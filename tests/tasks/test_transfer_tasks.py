"""The tasks that begin with a pretrained network: what they read, what they know, what varies."""

import io
import os
import pickle
import random
import sys
from pathlib import Path

import pytest

from stepsize.errors import DataError, InputError, MissingDependencyError
from stepsize.tasks import clothing, digits_transfer, load, make_task, pretraining, shakespeare
from stepsize.tasks.augmented import AugmentedPictures
from stepsize.tasks.jpeg_folder import read_photographs

DATA = Path(os.environ.get("STEPSIZE_DATA", "absent"))


def need(*parts):
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is not here: set STEPSIZE_DATA")
    return path


def state(task):
    return {name: value.clone() for name, value in task.model.state_dict().items()}


def alike(one, two):
    return one.keys() == two.keys() and all((one[name] == two[name]).all() for name in one)


@pytest.fixture
def root(monkeypatch, tmp_path):
    """A folder of the user's own, with nothing in it."""
    monkeypatch.setenv("STEPSIZE_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.delenv("STEPSIZE_DATA", raising=False)
    monkeypatch.setenv("STEPSIZE_CACHE", str(tmp_path))
    return tmp_path


def photograph(path, colours, size=(32, 32)):
    """A picture of ``size`` with columns of plain ``colours``."""
    image_module = pytest.importorskip("PIL.Image")
    path.parent.mkdir(parents=True, exist_ok=True)
    image = image_module.new("RGB", size)
    width = size[0] // len(colours)
    for place, colour in enumerate(colours):
        image.paste(colour, (place * width, 0, (place + 1) * width, size[1]))
    image.save(path, quality=100, subsampling=0)


# --- photographs ---------------------------------------------------------------------------------


def test_photographs_are_cut_to_their_middle_and_averaged(torch, tmp_path):
    red, green, blue = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    photograph(tmp_path / "wide" / "a.jpg", [blue, red, red, green, green, blue], (96, 64))
    photograph(tmp_path / "alone" / "b.JPEG", [green], (32, 64))
    (tmp_path / "alone" / "notes.txt").write_text("no picture")
    read = read_photographs(tmp_path, 4)
    assert read.classes == ("alone", "wide")
    assert read.labels.tolist() == [0, 1]
    assert (read.pixels.shape, read.pixels.dtype) == ((2, 4, 4, 3), torch.uint8)
    seen = read.pixels.int()
    assert (seen[0] - torch.tensor(green)).abs().max() <= 2  # JPEG is not exact
    expected = torch.tensor([red, red, green, green]).expand(4, 4, 3)
    assert (seen[1] - expected).abs().max() <= 2
    mixed = read_photographs(tmp_path, 1).pixels[1, 0, 0].int()
    assert (mixed - torch.tensor([127, 127, 0])).abs().max() <= 2


def test_what_is_no_photograph_is_named(monkeypatch, tmp_path):
    pytest.importorskip("PIL.Image")
    with pytest.raises(DataError, match="no photographs"):
        read_photographs(tmp_path, 4)
    (tmp_path / "hat").mkdir()
    (tmp_path / "hat" / "broken.jpg").write_bytes(b"\xff\xd8 not much more")
    with pytest.raises(DataError, match=r"broken\.jpg"):
        read_photographs(tmp_path, 4)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingDependencyError, match=r"stepsize\[pictures\]"):
        read_photographs(tmp_path, 4)


# --- augmentation --------------------------------------------------------------------------------


def pictures(torch, count=24, seed=0, **options):
    pixels = torch.randint(0, 256, (count, 6, 6, 3), generator=torch.Generator().manual_seed(1))
    given = {"standard": ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)), "shift": 2} | options
    return AugmentedPictures(pixels.to(torch.uint8), torch.arange(count), 5, seed=seed, **given)


def test_each_picture_is_mirrored_and_shifted_as_torch_pads(torch):
    loader, seen = pictures(torch), set()
    mean, deviation = (torch.tensor(values)[:, None, None] for values in loader.standard)
    for _ in range(8):
        drawn = []
        for x, y in loader:
            assert x.is_contiguous(memory_format=torch.channels_last)
            drawn += y.tolist()
            for picture, number in zip(x, y.tolist(), strict=True):
                plain = (loader.pixels[number].permute(2, 0, 1) / 255 - mean) / deviation
                wide = torch.nn.functional.pad(plain[None], (2, 2, 2, 2), mode="reflect")[0]
                moves = [
                    (flip, down, right)
                    for flip in (False, True)
                    for down in range(5)
                    for right in range(5)
                    if torch.allclose(
                        picture.flip(2) if flip else picture,
                        wide[:, down : down + 6, right : right + 6],
                    )
                ]
                assert len(moves) == 1
                seen.update(moves)
        assert len(set(drawn)) == len(drawn) == 20  # the last, smaller batch is left out
    assert {move[0] for move in seen} == {False, True}
    assert {move[1] for move in seen} == {move[2] for move in seen} == set(range(5))
    assert len({move[1:] for move in seen}) > 15  # of 25: both ways for themselves


def test_a_pass_is_one_advance_of_the_generator(torch):
    one, two, other = pictures(torch), pictures(torch), pictures(torch, seed=1)
    first = [x for x, _ in one]
    next(iter(two))  # cut short
    second = [x for x, _ in one]
    assert not any(map(torch.equal, first, second))
    assert all(map(torch.equal, second, [x for x, _ in two]))
    assert not torch.equal(first[0], next(iter(other))[0])
    with pytest.raises(InputError, match="shifted"):
        pictures(torch, shift=6)


# --- ResNet-20 -----------------------------------------------------------------------------------


def test_the_shortcut_is_option_a(torch):
    from stepsize.tasks.resnet20 import Block

    block = Block(4, 8, 2).eval()
    torch.nn.init.zeros_(block.bn2.weight)  # nothing but the shortcut is left
    x = torch.rand(2, 4, 6, 6)
    got = block(x)
    assert torch.equal(got[:, 2:6], x[:, :, ::2, ::2])
    assert got[:, :2].abs().max() == got[:, 6:].abs().max() == 0


def test_the_published_weights_are_the_body(torch):
    from stepsize.tasks.resnet20 import cifar10_weights, pretrained_resnet20

    need("weights", "cifar10-resnet20.safetensors")
    weights, before = cifar10_weights(), torch.random.get_rng_state()
    one, two = (pretrained_resnet20(7, seed).state_dict() for seed in (0, 1))
    for name, value in weights.items():
        if not name.startswith("linear."):
            assert torch.equal(one[name], value)
            assert torch.equal(two[name], value)
    assert one["linear.weight"].shape == (7, 64)
    assert not torch.equal(one["linear.weight"], two["linear.weight"])
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.fixture
def published(monkeypatch, torch, site):
    """A checkpoint as ResNet-20's author writes it, on a server; small, with its own checksum."""
    from stepsize.tasks import resnet20

    weights = {"conv1.weight": torch.rand(2, 3), "bn1.running_mean": torch.rand(2)}
    written = {f"module.{name}": value for name, value in weights.items()}
    file = io.BytesIO()
    torch.save({"state_dict": written, "best_prec1": 91.78}, file)
    site.body = file.getvalue()
    monkeypatch.setattr(resnet20, "SOURCE", site.url)
    monkeypatch.setattr(resnet20, "WEIGHTS_SHA256", resnet20.weights_sha256(weights))
    return weights


def test_weights_are_downloaded_into_the_cache(cache, published, site):
    from stepsize.tasks.resnet20 import cifar10_weights

    for _ in range(2):
        assert alike(cifar10_weights(), published)
    assert len(site.ranges) == 1
    assert (cache / "weights" / "file").read_bytes() == site.body


def test_other_weights_are_refused(monkeypatch, cache, published, site):
    from stepsize.tasks import resnet20

    monkeypatch.setattr(resnet20, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(DataError, match="checksum"):
        resnet20.cifar10_weights()
    assert not (cache / "weights" / "file").exists()
    monkeypatch.setenv("STEPSIZE_DATA", str(cache))
    with pytest.raises(DataError, match="STEPSIZE_DATA is set"):
        resnet20.cifar10_weights()
    (cache / "weights" / "file").write_bytes(site.body)
    with pytest.raises(DataError, match="checksum"):
        resnet20.cifar10_weights()


def test_nothing_in_a_file_of_weights_is_run(monkeypatch, cache, published, site, tmp_path):
    from stepsize.tasks.resnet20 import cifar10_weights

    marker = tmp_path / "sprung"

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(marker),)

    (cache / "weights").mkdir()
    (cache / "weights" / "file").write_bytes(pickle.dumps({"state_dict": Trap()}))
    with pytest.raises(DataError, match="cannot be read"):
        cifar10_weights()
    assert not marker.exists()


# --- clothing-transfer ---------------------------------------------------------------------------


@pytest.fixture
def wardrobe(monkeypatch, torch, root):
    """A few photographs in place of the 3,781, and the real weights."""
    (root / "weights").symlink_to(need("weights"))
    draw = random.Random(0)
    for part, count in (("train", 20), ("validation", 3), ("test", 2)):
        for label in ("dress", "hat"):
            for number in range(count):
                colour = tuple(draw.randrange(256) for _ in range(3))
                photograph(root / "data" / clothing.NAME / part / label / f"{number}.jpg", [colour])
    names = clothing.names_below(root / "data" / clothing.NAME, clothing.PARTS)
    digest = clothing.hashlib.sha256("\n".join(names).encode()).hexdigest()
    monkeypatch.setattr(clothing, "NAMES_SHA256", digest)
    return root / "data" / clothing.NAME


def test_the_clothing_recipe(torch, wardrobe):
    one, again, two = (make_task(load("clothing-transfer"), seed) for seed in (0, 0, 1))
    assert alike(state(one), state(again))
    assert sorted(n for n, v in state(one).items() if not torch.equal(v, state(two)[n])) == [
        "linear.bias",
        "linear.weight",
    ]
    group = one.optimizer.param_groups[0]
    assert (group["momentum"], group["weight_decay"]) == (0.9, 1e-4)
    (x, y), (same, _), (other, _) = (next(iter(task.train)) for task in (one, again, two))
    assert (x.shape, y.shape) == ((32, 3, 32, 32), (32,))
    assert torch.equal(x, same)
    assert not torch.equal(x, other)
    assert [sum(len(y) for _, y in batches) for batches in (one.val, one.test)] == [6, 4]
    one.loss(one.model, (x, y)).backward()
    one.train.pixels.fill_(9)
    assert make_task(load("clothing-transfer"), 0).train.pixels.max() > 9


def test_missing_photographs_are_noticed(wardrobe):
    (wardrobe / "train" / "hat" / "0.jpg").unlink()
    with pytest.raises(DataError, match="not those of"):
        clothing.find_folder()


def test_without_photographs_it_says_where_they_are(root):
    with pytest.raises(DataError, match="git clone"):
        clothing.find_folder()


def test_the_real_photographs_are_known():
    assert need("data", clothing.NAME) == clothing.find_folder()


# --- digits-transfer -----------------------------------------------------------------------------


def test_the_digits_are_dealt_out_once(torch):
    task = make_task(load("digits-transfer"), 0)
    parts = [task.train, task.val, task.test]
    assert [len(part.inputs) for part in parts] == [160, 336, 400]
    everything = torch.cat([part.inputs for part in parts]).flatten(1)
    expected, _ = digits_transfer._pictures(known=False)
    assert sorted(everything.tolist()) == sorted(expected.flatten(1).tolist())
    assert set(torch.cat([part.targets for part in parts]).tolist()) == set(range(5))
    body = {name: value for name, value in digits_transfer._body().items() if "head" not in name}
    one, two = state(task), state(make_task(load("digits-transfer"), 1))
    for each in (one, two):
        assert all(torch.equal(each[name], value) for name, value in body.items())
    assert not torch.equal(one["head.weight"], two["head.weight"])


def test_what_the_digits_begin_with_is_knowledge_and_always_the_same(torch, monkeypatch):
    model = digits_transfer._network(5, seed=3)
    model.load_state_dict(digits_transfer._body())
    inputs, classes = digits_transfer._pictures(known=True)
    assert (model.eval()(inputs).argmax(1) == classes).float().mean() > 0.95
    monkeypatch.setattr(digits_transfer, "PRETRAINING_EPOCHS", 1)
    learn = digits_transfer._body.__wrapped__
    before = torch.random.get_rng_state()
    one = learn()
    torch.set_num_threads(2)
    two = learn()
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert alike(one, two)
    assert torch.equal(torch.random.get_rng_state(), before)


# --- shakespeare-transfer ------------------------------------------------------------------------


def test_a_block_is_torchs_encoder_layer_that_sees_no_future(torch):
    from stepsize.tasks.character_model import TransformerBlock

    torch.manual_seed(0)
    block = TransformerBlock(16, 4)
    layer = torch.nn.TransformerEncoderLayer(
        16, 4, 64, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    attention = layer.self_attn
    pairs = [
        (attention.in_proj_weight, block.attention.weight),
        (attention.in_proj_bias, block.attention.bias),
    ]
    for theirs, ours in (
        (attention.out_proj, block.project),
        (layer.linear1, block.widen),
        (layer.linear2, block.narrow),
        (layer.norm1, block.norm1),
        (layer.norm2, block.norm2),
    ):
        pairs += [(theirs.weight, ours.weight), (theirs.bias, ours.bias)]
    with torch.no_grad():
        for theirs, ours in pairs:
            theirs.copy_(ours.normal_(std=0.3))
    x = torch.randn(2, 7, 16)
    mask = torch.nn.Transformer.generate_square_subsequent_mask(7)
    assert torch.allclose(block(x), layer(x, src_mask=mask, is_causal=True), atol=1e-5)


@pytest.fixture
def play(monkeypatch, cache):
    """A short text in place of the real one, and a tiny model."""
    draw = random.Random(0)
    text = "".join(draw.choice("abcdefgh\n") for _ in range(900)) + shakespeare.SECOND_HALF
    text += "".join(
        draw.choice("stuvwxyz\n") for _ in range(16 * 256 - len(shakespeare.SECOND_HALF))
    )
    path = cache / "data" / shakespeare.NAME / shakespeare.FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode())
    digest = shakespeare.hashlib.sha256(text.encode()).hexdigest()
    small = {"SHA256": digest, "CONTEXT": 8, "WIDTH": 8, "BLOCKS": 1, "HEADS": 2}
    small |= {"STRETCH": 256, "BATCH_SIZE": 16, "PRETRAINING_EPOCHS": 1}
    for name, value in small.items():
        monkeypatch.setattr(shakespeare, name, value)
    return text


def test_the_second_half_is_dealt_out_without_overlap(torch, play):
    half = play[play.index(shakespeare.SECOND_HALF) :]
    letters = sorted(set(play))
    task = make_task(load("shakespeare-transfer"), 0)
    for batches, dealt in zip(
        (task.train, task.val, task.test), ((0, 8), (4,), (12,)), strict=True
    ):
        text = "".join(letters[number] for number in batches.inputs.flatten().tolist())
        each = 256 // 8 - 1  # the last letter of a stretch has no letter after it
        assert len(batches.inputs) == each * len(dealt)
        for place, at in enumerate(dealt):
            got = text[place * each * 8 : (place + 1) * each * 8]
            assert got == half[at * 256 : at * 256 + each * 8]
        assert torch.equal(batches.inputs[0, 1:], batches.targets[0, :-1])
        assert batches.targets[0, -1] == batches.inputs[1, 0]
    loss = task.loss(task.model, next(iter(task.val))).item()
    assert 0 < loss < 10
    accuracy = task.metrics["accuracy"](task.model, next(iter(task.val)))
    assert 0 <= accuracy <= 1


def test_what_it_knows_is_learned_once_and_kept(monkeypatch, torch, play, cache, caplog):
    def must_not(*args, **options):
        raise AssertionError("learned again")

    first = state(make_task(load("shakespeare-transfer"), 0))
    (kept,) = (cache / "weights").glob("*.safetensors")
    assert not alike(first, dict(shakespeare._model(play).state_dict()))
    with monkeypatch.context() as patch:
        patch.setattr(shakespeare, "pretrained", must_not)
        assert alike(first, state(make_task(load("shakespeare-transfer"), 1)))
        patch.setattr(shakespeare, "PRETRAINING_LR", 0.1)  # another recipe
        with pytest.raises(Exception, match="learned again"):
            make_task(load("shakespeare-transfer"), 0)
    kept.write_bytes(kept.read_bytes()[:-7])
    assert alike(first, state(make_task(load("shakespeare-transfer"), 0)))
    assert "damaged" in caplog.text
    assert [path.name for path in (cache / "weights").iterdir() if ".part" in path.name] == []


def test_weights_that_cannot_be_kept_are_made_anyway(monkeypatch, torch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("STEPSIZE_CACHE", str(tmp_path / "file"))
    assert pretraining.made_once("some", "recipe", lambda: {"a": torch.ones(1)})["a"] == 1


def test_the_real_text_is_cut_between_two_plays(monkeypatch):
    need("data", shakespeare.NAME, shakespeare.FILE)
    text = shakespeare._text(shakespeare.find_text())
    first, second = text.split(shakespeare.SECOND_HALF)
    assert "PROSPERO:" not in first
    assert "ROMEO:" not in second
    monkeypatch.setenv("STEPSIZE_DATA", "nowhere")
    with pytest.raises(DataError, match="STEPSIZE_DATA"):
        shakespeare.find_text()
