"""Layer groups of models as people build them, in the order in which they compute."""

import copy
import warnings

import pytest
import torch
from adapters.fingerprint import Fingerprint, assert_unchanged
from adapters.zoo import MODELS, WIDTH
from torch import nn
from torch.nn import functional

from stepsize.adapters.torch.fine_tuning import groups
from stepsize.adapters.torch.fine_tuning.layers.forward_order import forward_order
from stepsize.errors import InputError

transformers = pytest.importorskip("transformers")

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 30,
}


class Block(nn.Module):
    """A residual block whose shortcut holds no parameters (option A of He et al. 2015)."""

    def __init__(self, before, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x):
        out = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        if out.shape != x.shape:
            x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, out.shape[1] - x.shape[1]))
        return functional.relu(out + x)


class ResNet(nn.Module):
    """Registered in another order than it computes."""

    def __init__(self, depths=(1, 1, 1)):
        super().__init__()
        self.fc = nn.Linear(16, 5)
        widths = (4, *(4 * 2**i for i in range(len(depths))))
        for i, depth in reversed(list(enumerate(depths))):
            blocks = [
                Block(widths[i + (j > 0)], widths[i + 1], 2 if i and not j else 1)
                for j in range(depth)
            ]
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.bn1 = nn.BatchNorm2d(4)
        self.conv1 = nn.Conv2d(3, 4, 3, 1, 1, bias=False)
        self.stages = len(depths)

    def forward(self, x):
        x = functional.relu(self.bn1(self.conv1(x)))
        for i in range(self.stages):
            x = getattr(self, f"layer{i + 1}")(x)
        return self.fc(x.mean((2, 3)))


def vgg():
    """Convolutions in a row under one name, and further layers under two others."""
    features = [
        layer
        for before, after in ((3, 4), (4, 4), (4, 4), (4, 4), (4, 8))
        for layer in (nn.Conv2d(before, after, 3, padding=1), nn.MaxPool2d(2))
    ]
    model = nn.Module()
    model.features = nn.Sequential(*features)
    model.neck = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8))
    model.classifier = nn.Sequential(nn.Linear(8, 8), nn.Dropout(), nn.Linear(8, 2))
    model.forward = lambda x: model.classifier(model.neck(model.features(x).flatten(1)))
    return model


class NormalizedLinear(nn.Linear):
    """A layer whose name has the word in it."""


def of_transformers(kind, **options):
    config = getattr(transformers, f"{kind.partition('For')[0].removesuffix('LMHeadModel')}Config")
    torch.manual_seed(0)
    return getattr(transformers, kind)(config(**options))


GPT2 = {"n_embd": 16, "n_layer": 3, "n_head": 2, "vocab_size": 30, "bos_token_id": 0}
GPT2 |= {"eos_token_id": 0}

#: Models with the groups that they should have: the name and the modules of each.
CASES = {
    "resnet": (ResNet, ["conv1 bn1", "layer1", "layer2", "layer3", "fc"]),
    # A stage is not opened however deep it is: it is one of several.
    "deep resnet": (
        lambda: ResNet((1, 1, 9)),
        ["conv1 bn1", "layer1", "layer2", "layer3", "fc"],
    ),
    "vgg": (vgg, [*(f"features.{i}" for i in range(0, 10, 2)), "neck", "classifier"]),
    "sequential": (
        lambda: nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.ReLU(), nn.Linear(3, 2)),
        ["0 1", "3"],
    ),
    "norm first": (
        lambda: nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3), nn.PReLU(), nn.Linear(3, 2)),
        ["0 1 2", "3"],
    ),
    "norm of pictures": (
        lambda: nn.Sequential(
            nn.Conv1d(3, 3, 1), nn.LayerNorm((3, 16)), nn.Flatten(), nn.Linear(48, 2)
        ),
        ["0 1", "3"],
    ),
    "called like a norm": (
        lambda: nn.Sequential(NormalizedLinear(4, 3), nn.Linear(3, 2)),
        ["0", "1"],
    ),
    "one layer": (lambda: nn.Linear(3, 2), [""]),
    "transformers resnet": (
        lambda: of_transformers(
            "ResNetForImageClassification",
            embedding_size=4,
            hidden_sizes=[4, 8, 8],
            depths=[1, 4, 1],
            layer_type="basic",
        ),
        [
            "resnet.embedder",
            *(f"resnet.encoder.stages.{i}" for i in range(3)),
            "classifier",
        ],
    ),
    "vit": (
        lambda: of_transformers("ViTForImageClassification", **SMALL, image_size=16, patch_size=8),
        [
            "vit.embeddings",
            "{layer}.0",
            "{layer}.1",
            "{layer}.2 vit.layernorm",
            "classifier",
        ],
    ),
    "bert": (
        lambda: of_transformers("BertForSequenceClassification", **SMALL),
        [
            "bert.embeddings",
            *(f"bert.encoder.layer.{i}" for i in range(3)),
            "bert.pooler",
            "classifier",
        ],
    ),
    "distilbert": (
        lambda: of_transformers(
            "DistilBertForSequenceClassification",
            dim=16,
            n_layers=2,
            n_heads=2,
            hidden_dim=16,
            vocab_size=30,
        ),
        [
            "distilbert.embeddings",
            *(f"distilbert.transformer.layer.{i}" for i in range(2)),
            "pre_classifier",
            "classifier",
        ],
    ),
    "gpt2": (
        lambda: of_transformers("GPT2LMHeadModel", **GPT2),
        [
            "transformer.wte transformer.wpe",
            "transformer.h.0",
            "transformer.h.1",
            "transformer.h.2 transformer.ln_f",
        ],
    ),
    # Two stacks side by side are both opened, though neither holds more than half.
    "t5": (
        lambda: of_transformers(
            "T5ForConditionalGeneration",
            d_model=16,
            d_kv=4,
            d_ff=16,
            num_layers=2,
            num_heads=2,
            vocab_size=30,
        ),
        [
            "encoder.embed_tokens",
            "encoder.block.0",
            "encoder.block.1 encoder.final_layer_norm",
            "decoder.block.0",
            "decoder.block.1 decoder.final_layer_norm",
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_groups_follow_the_models_own_blocks(name):
    make, expected = CASES[name]
    model = make().train()
    before = Fingerprint(model)
    found = groups(model)
    assert_unchanged(before, model)
    assert found.order == "forward pass"
    paths = {path for path, _ in model.named_modules()}
    layer = next((p.rpartition(".")[0] for p in sorted(paths) if p.endswith("layer.0")), "")
    layer = next((p.rpartition(".")[0] for p in sorted(paths) if p.endswith("layers.0")), layer)
    assert [" ".join(group.modules) for group in found] == [e.format(layer=layer) for e in expected]
    check(model, found)


def check(model, found):
    """Every parameter once, under one of its names, counted and sorted as it is."""
    named = dict(model.named_parameters(remove_duplicate=False))
    listed = [name for group in found for name in group.parameters]
    assert sorted(id(named[n]) for n in listed) == sorted(id(p) for p in model.parameters())
    assert set(listed) | set(found.tied) == set(named)
    assert all(named[other] is named[name] for other, name in found.tied.items())
    for group in found:
        members = [named[name] for name in group.parameters]
        assert group.numel == sum(p.numel() for p in members)
        assert group.trainable == sum(p.numel() for p in members if p.requires_grad)
    assert all(found.group_of(name) == found.group_of(found.tied.get(name, name)) for name in named)


def test_tied_weights_are_listed_where_they_are_used_first():
    found = groups(CASES["gpt2"][0]())
    assert dict(found.tied) == {"lm_head.weight": "transformer.wte.weight"}
    assert found.group_of("lm_head.weight") == 0

    class Model(nn.Module):  # registers the head first
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 9, bias=False)
            self.body = nn.Linear(4, 4)
            self.table = nn.Embedding(9, 4)
            self.table.weight = self.head.weight

        def forward(self, x):
            return self.head(self.body(self.table(x)))

    found = groups(Model(), torch.zeros(1, 3, dtype=torch.long))
    assert [group.parameters[0] for group in found] == ["table.weight", "body.weight"]
    assert dict(found.tied) == {"head.weight": "table.weight"}
    assert len(found.notes) == 1


def test_what_gets_no_weight_decay():
    """Norm layers under any name, and biases: as transformers' Trainer and most recipes have it."""
    from transformers.trainer_pt_utils import get_parameter_names

    for name in ("bert", "vit", "t5"):
        model = CASES[name][0]()
        kinds = [type(m) for m in model.modules() if "Norm" in type(m).__name__]
        decayed = {n for n in get_parameter_names(model, kinds) if "bias" not in n.split(".")[-1]}
        found = groups(model)
        plain = {each for group in found for each in group.plain}
        named = dict(model.named_parameters())
        both = {n for n in decayed if n in named and not any(n == t for t in found.tied)}
        listed = {each for group in found for each in group.parameters}
        assert listed - plain == {found.tied.get(n, n) for n in both} | {
            found.tied[n] for n in decayed if n in found.tied
        }


@pytest.mark.parametrize("name", MODELS)
def test_looking_leaves_no_trace(name):
    model = MODELS[name]()
    example = torch.randn(4, WIDTH)
    before = Fingerprint(model, example)
    found = groups(model, example)
    assert_unchanged(before, model, example)
    assert found.order == "forward pass"
    check(model, found)


def test_one_example_is_enough():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    assert groups(model, torch.zeros(1, 2)).order == "forward pass"  # in train mode it would fail


def test_a_pass_that_fails_leaves_no_trace():
    model = MODELS["batch norm"]()
    before = Fingerprint(model)
    with pytest.raises(InputError, match="Tensor"):
        groups(model, torch.zeros(4, WIDTH + 1))
    assert_unchanged(before, model)


class Reversed(nn.Module):
    """Uses its parameters in ways that are easily overlooked."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(3, 1)
        self.cell = nn.LSTM(3, 3, batch_first=True)
        self.unused = nn.Linear(3, 3)
        self.square = nn.Parameter(torch.eye(3))
        self.start = nn.ModuleDict({"b": nn.Linear(2, 3), "a": nn.Conv1d(2, 2, 1)})

    def forward(self, x):
        assert self.out.weight.dtype == x.dtype  # asking is no use
        assert self.out.weight.size(0) == 1
        x = self.start["b"](self.start["a"](x).transpose(1, 2)) @ self.square.T
        return self.out(self.cell(x)[0])


def test_the_order_is_that_of_the_first_use():
    model = Reversed()
    found = groups(model, torch.zeros(2, 2, 5))
    listed = [name for group in found for name in group.parameters]
    heads = ["start.a.weight", "start.b.weight", "square", "cell.weight_ih_l0", "out.weight"]
    assert [name for name in listed if name in heads] == heads
    assert found.head.modules == ("out",)
    assert "unused.weight" in found.notes[0]


def test_what_is_unused_stays_beside_its_neighbour():
    model = nn.Module()
    model.stem, model.spare, model.body, model.head = (nn.Linear(2, 2) for _ in range(4))
    model.forward = lambda x: model.head(model.body(model.stem(x)))
    assert groups(model, torch.zeros(1, 2)).names == ("stem", "spare", "body", "head")


def test_what_is_unused_is_never_the_head():
    model = nn.Module()
    model.body, model.head, model.spare = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)
    model.forward = lambda x: model.head(model.body(x))
    assert groups(model, torch.zeros(1, 2)).names == ("body", "spare", "head")


def test_an_example_is_whatever_the_model_takes():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.b, self.a = nn.Linear(3, 3), nn.Linear(2, 3)

        def forward(self, x, y):
            return self.b(self.a(x) + y)

    x, y = torch.zeros(1, 2), torch.zeros(1, 3)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y))
    examples = [
        (x, y),
        [x, y],
        {"y": y, "x": x},
        lambda model: model(x, y).sum(),
        next(iter(loader)),
    ]
    for example in examples:
        found = groups(Two(), example)
        assert (found.names, found.order) == (("a", "b"), "forward pass")
    guessed = groups(Two())
    assert (guessed.names, guessed.order) == (("b", "a"), "registration")
    assert "example=" in guessed.notes[0]
    with pytest.raises(InputError, match="example"):
        groups(Two(), x)


def refusing(*_):
    raise AssertionError("something was compiled")


def test_wrapped_models_are_seen_through():
    plain = ResNet()
    expected = groups(plain)
    assert groups(nn.DataParallel(plain)) == expected
    compiled = torch.compile(copy.deepcopy(plain), backend=refusing)
    assert groups(compiled) == expected
    inside = copy.deepcopy(plain)
    inside.layer2 = torch.compile(inside.layer2, backend=refusing)
    inside.layer3.compile(backend=refusing)
    before = Fingerprint(inside)
    calls = inside.layer3._compiled_call_impl, inside.layer2.forward
    assert groups(inside) == expected
    assert_unchanged(before, inside)
    assert (inside.layer3._compiled_call_impl, inside.layer2.forward) == calls


def test_scripted_models_come_in_the_order_of_registration():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated by torch, and met all the same
        scripted = torch.jit.trace(model, torch.zeros(1, 2))
    found = groups(scripted, torch.zeros(1, 2))
    assert (found.names, found.order) == (("0", "1"), "registration")


def test_at_most_so_many():
    assert groups(ResNet(), most=3).names == ("conv1 … layer2", "layer3", "fc")


def test_own_splitters():
    model = ResNet()
    stem, body = [model.conv1, "bn1"], [model.layer1, model.layer2.parameters(), "layer3"]
    found = groups(model, splitter=lambda m: [stem, body, [m.fc.weight, "fc.bias"]])
    assert found.order == "given"
    modules = [" ".join(sorted(group.modules)) for group in found]
    assert modules == ["bn1 conv1", "layer1 layer2 layer3", "fc"]
    check(model, found)
    by_name = groups(
        model, splitter=lambda m: {"body": [stem, m.layer1, m.layer2, m.layer3], "head": "fc"}
    )
    assert by_name.names == ("body", "head")
    gpt = CASES["gpt2"][0]()
    tied = groups(gpt, splitter=lambda m: [m.transformer, m.lm_head.weight][:1])
    assert dict(tied.tied) == {"lm_head.weight": "transformer.wte.weight"}


@pytest.mark.parametrize(
    ("split", "what"),
    [
        (lambda m: [m.conv1, m.fc], "leaves out"),
        (lambda m: [m, m.fc], "two groups"),
        (lambda m: [m, "fk"], "fk"),
        (lambda m: [m, nn.Linear(1, 1)], "no parameter of the model"),
        (lambda m: [m, 3], "int"),
        (lambda m: m, "list"),
        (lambda m: [m, nn.ReLU()], "no parameters"),
    ],
)
def test_splitters_that_do_not_split(split, what):
    with pytest.raises(InputError, match=what):
        groups(ResNet(), splitter=split)


@pytest.mark.parametrize(
    ("model", "what"),
    [("resnet50", "str"), (nn.ReLU(), "no parameters"), (nn.LazyLinear(2), "lazy")],
)
def test_models_without_groups(model, what):
    with pytest.raises(InputError, match=what):
        groups(model)


def test_hooks_and_calls_are_taken_back():
    model = CASES["gpt2"][0]()
    forward_order(
        model, torch.zeros(1, 3, dtype=torch.long), [model.lm_head, model.transformer.wte]
    )
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "convnext_atto"])
def test_the_groups_of_timms_models_are_those_that_timm_says(name):
    """timm knows the groups of each of its models by name; here they are found."""
    try:
        import timm
        from timm.models import group_parameters
    except Exception as error:  # noqa: BLE001 - a torchvision that does not fit raises others
        pytest.skip(f"needs timm: {error}")
    model = timm.create_model(name, pretrained=False, num_classes=3)
    theirs = group_parameters(model, model.group_matcher(coarse=True))
    assert {frozenset(each) for each in theirs.values()} == {
        frozenset(group.parameters) for group in groups(model)
    }
