"""Models of all sorts, optimizers of all sorts, and their serial runs."""

import torch
from torch import nn
from torch.nn import functional as F

from stepsize.adapters.torch.batches import Batches
from stepsize.adapters.torch.fused import Stack, Stream
from stepsize.adapters.torch.group_rates import GroupRates
from stepsize.adapters.torch.update import Recipe, Update

INPUTS, CLASSES = 12, 3


class Model(nn.Module):
    """Layers by name, and a forward pass over a batch of 12 numbers."""

    def __init__(self, forward, **layers):
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.way = (forward,)

    def forward(self, inputs):
        return self.way[0](self, inputs)


def mlp():
    return nn.Sequential(nn.Linear(INPUTS, 16), nn.ReLU(), nn.Linear(16, CLASSES))


def cnn():
    body = [nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(nn.Unflatten(1, (1, 4, 3)), *body, nn.Flatten(), nn.Linear(8, CLASSES))


def norms():
    return nn.Sequential(
        nn.Linear(INPUTS, 16), nn.LayerNorm(16), nn.GELU(), nn.GroupNorm(4, 16),
        nn.Linear(16, CLASSES),
    )  # fmt: skip


def dropout():
    return nn.Sequential(
        nn.Linear(INPUTS, 16), nn.ReLU(), nn.Dropout(0.3), nn.Unflatten(1, (4, 2, 2)),
        nn.Dropout2d(0.3), nn.Flatten(), nn.Linear(16, CLASSES),
    )  # fmt: skip


def _symbols(inputs):
    return inputs.abs().mul(3).long().clamp(max=9)


def embedding():
    return Model(
        lambda self, inputs: self.head(self.table(_symbols(inputs)).mean(1)),
        table=nn.Embedding(10, 6),
        head=nn.Linear(6, CLASSES),
    )


def _attended(self, inputs):
    steps = self.into(inputs.view(-1, 4, 3))
    return self.head(self.attention(steps, steps, steps, need_weights=False)[0].mean(1))


def attention():
    return Model(
        _attended,
        into=nn.Linear(3, 8),
        attention=nn.MultiheadAttention(8, 2, batch_first=True),
        head=nn.Linear(8, CLASSES),
    )


def _block(self, inputs):
    steps = self.table(_symbols(inputs))
    shape = (*steps.shape[:2], 2, 4)
    parts = self.parts(self.first(steps)).chunk(3, -1)
    query, key, value = (part.view(shape).transpose(1, 2) for part in parts)
    mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    steps = steps + self.mix(mixed.transpose(1, 2).flatten(2))
    return self.head((steps + self.wide(self.second(steps))).mean(1))


def gpt():
    return Model(
        _block,
        table=nn.Embedding(10, 8),
        first=nn.LayerNorm(8),
        parts=nn.Linear(8, 24),
        mix=nn.Linear(8, 8),
        second=nn.LayerNorm(8),
        wide=nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8)),
        head=nn.Linear(8, CLASSES, bias=False),
    )


def _recurrent(self, inputs):
    return self.head(self.body(inputs.view(-1, 4, 3))[0][:, -1])


def lstm():
    body = nn.LSTM(3, 6, num_layers=2, dropout=0.2, batch_first=True)
    return Model(_recurrent, body=body, head=nn.Linear(6, CLASSES))


def gru():
    return Model(_recurrent, body=nn.GRU(3, 6, batch_first=True), head=nn.Linear(6, CLASSES))


def tied():
    """Two layers with one weight, and one layer that is never used."""
    model = Model(
        lambda self, inputs: self.head(self.two(self.one(inputs).relu())),
        one=nn.Linear(INPUTS, INPUTS),
        two=nn.Linear(INPUTS, INPUTS),
        idle=nn.Linear(2, 2),
        head=nn.Linear(INPUTS, CLASSES),
    )
    model.two.weight = model.one.weight
    return model


def frozen():
    """A layer without gradients, and a normalisation in eval mode inside a training model."""
    model = nn.Sequential(
        nn.Linear(INPUTS, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, CLASSES)
    )
    model[0].requires_grad_(False)
    model[1].running_mean.fill_(0.5)
    model[1].eval()
    return model


def _counted(self, inputs):
    outputs = self.head(inputs)
    self.calls += 1
    self.mean = 0.9 * self.mean + 0.1 * outputs.detach().mean(0)
    return outputs * (1 + 0.1 * self.calls) - self.mean


def counting():
    """State of its own: a number that counts, a buffer that is replaced."""
    model = Model(_counted, head=nn.Linear(INPUTS, CLASSES))
    model.calls = 0
    model.register_buffer("mean", torch.zeros(CLASSES))
    return model


MODELS = [
    mlp, cnn, norms, dropout, embedding, attention, gpt, lstm, gru, tied, frozen, counting,
]  # fmt: skip


def groups(model):
    """Weights and biases apart, with rates of their own."""
    parameters = list(model.parameters())
    matrices = [parameter for parameter in parameters if parameter.dim() > 1]
    rest = [parameter for parameter in parameters if parameter.dim() <= 1]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": rest, "lr": 1e-4}], lr=1e-3
    )


def optimizer(name, **options):
    return lambda model: getattr(torch.optim, name)(model.parameters(), **options)


OPTIMIZERS = {
    "sgd": optimizer("SGD"),
    "nesterov": optimizer("SGD", momentum=0.9, nesterov=True, weight_decay=0.01),
    "dampening": optimizer("SGD", momentum=0.9, dampening=0.5, maximize=True),
    "adam": optimizer("Adam", weight_decay=0.01, amsgrad=True),
    "adamw": optimizer("AdamW"),
    "groups": groups,
    "rmsprop": optimizer("RMSprop", centered=True, momentum=0.9, eps=1e-4),
    "rmsprop plain": optimizer("RMSprop", weight_decay=0.01, eps=1e-4),
    "nadam": optimizer("NAdam", weight_decay=0.01),
    "radam": optimizer("RAdam"),
    "adagrad": optimizer("Adagrad", lr_decay=0.1),
    "adamax": optimizer("Adamax"),
    "adadelta": optimizer("Adadelta", weight_decay=0.01),
}


def batches(seed=0, count=4, size=8, dtype=torch.float32):
    generator = torch.Generator().manual_seed(100 + seed)
    return [
        {
            "x": torch.randn(size, INPUTS, generator=generator, dtype=dtype),
            "y": torch.randint(0, CLASSES, (size,), generator=generator),
        }
        for _ in range(count)
    ]


def loss(model, batch):
    return F.cross_entropy(model(batch["x"]), batch["y"])


class Training:
    """A model, its optimizer and its batches, made from a seed."""

    def __init__(self, make, of, seed=0, dtype=torch.float32):
        torch.manual_seed(seed)
        self.model = make().to(dtype)
        self.optimizer = of(self.model)
        self.batches = batches(seed, dtype=dtype)
        self.source = Batches(self.batches)
        torch.manual_seed(seed + 50)

    def stream(self):
        source = self.source
        return Stream(self.model, self.optimizer, loss, source.next, self.batches)

    def run(self, rate, updates, recipe=Recipe()):
        update = Update(self.model, self.optimizer, loss, self.source, recipe)
        rates = GroupRates(self.optimizer)
        losses = []
        for _ in range(updates):
            rates.set(rate)
            losses.append(update().item())
        return losses

    def state(self):
        return {name: tensor.clone() for name, tensor in self.model.state_dict().items()}


def serial(make, of, rate, updates, seed=0, recipe=Recipe(), dtype=torch.float32):
    """Its losses, the training, and where the generator stands then."""
    training = Training(make, of, seed, dtype)
    return training.run(rate, updates, recipe), training, torch.get_rng_state()


def stack_of(make, of, copies, recipe=Recipe(), dtype=torch.float32, **options):
    training = Training(make, of, dtype=dtype)
    return Stack([training.stream()], [0] * copies, recipe, **options), training


def losses_of(stack, rates, updates):
    """One row to a copy."""
    return torch.stack([stack.update(rates) for _ in range(updates)], dim=1)
