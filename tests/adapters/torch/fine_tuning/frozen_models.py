"""Models whose first layers are frozen and computed once: tasks over 40 examples in fixed order."""

import torch
from torch import nn
from torch.nn import functional

from stepsize.adapters.torch.fine_tuning import groups
from stepsize.adapters.torch.fine_tuning.frozen.freezing import Freezing
from stepsize.tasks import Task

SMALL = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 16, "num_labels": 3,
}  # fmt: skip


class OptionA(nn.Module):
    """Shortcuts without parameters, calls of functions between the layers."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.down, self.norm2 = nn.Conv2d(4, 8, 3, 2, 1), nn.BatchNorm2d(8)
        self.linear = nn.Linear(8, 3)
        self.gain = 1.0

    def forward(self, x):
        x = functional.relu(self.norm(self.conv(self.gain * x)))
        short = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
        return self.linear(functional.relu(self.norm2(self.down(x)) + short).mean((2, 3)))


class Skip(nn.Module):
    """The trained part reads two outputs of the frozen one."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.up, self.out = nn.Conv2d(8, 4, 3, padding=1), nn.Linear(4, 3)

    def forward(self, x):
        fine = functional.relu(self.first(x))
        coarse = functional.relu(self.second(functional.max_pool2d(fine, 2)))
        joined = torch.cat([fine, functional.interpolate(coarse, scale_factor=2)], 1)
        return self.out(functional.relu(self.up(joined)).mean((2, 3)))


class Writing(nn.Module):
    """Writes to what the frozen layers have given."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
        self.out = nn.Linear(4, 3)

    def forward(self, x):
        x = self.first(x)
        x += 1
        x = self.second(functional.relu_(x))
        x *= 2
        return self.out(x.mean((2, 3)))


class Aside(nn.Module):
    """Hands its features on by a side door that a replay does not see."""

    def __init__(self):
        super().__init__()
        self.body, self.head = (
            nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.Tanh()),
            nn.Linear(4, 3),
        )
        found = {}
        self.__dict__["found"] = found
        self.body[2].register_forward_hook(lambda module, given, output: found.update(x=output))

    def forward(self, x):
        self.body(x)
        return self.head(self.found["x"])


class Dropping(nn.Module):
    """Draws random numbers before its frozen layer, in no layer."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(192, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.body(functional.dropout(x.flatten(1), 0.5, self.training)))


class Growing(nn.Module):
    """Returns more for some batches."""

    def __init__(self):
        super().__init__()
        self.body, self.head = Several(), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.body(x)[0])


class Several(nn.Linear):
    def __init__(self):
        super().__init__(192, 4)

    def forward(self, x):
        out = super().forward(x.flatten(1))
        return [out] * (1 if len(x) == 8 else 2)


class Choosing(nn.Module):
    """Reads one place of its features, which the example itself names."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, x):
        features = self.body(x).flatten(2)
        place = (x[:, 0, 0, 0] > 2).long() * 30
        return self.head(features[torch.arange(len(x)), :, place])


class Highest(nn.Module):
    """Reads the highest of its features, wherever it lies."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.body(x).flatten(2).amax(2))


def plain():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout(0.5),
        nn.Conv2d(4, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Dropout(0.3), nn.Linear(4, 3),
    )  # fmt: skip


def vit():
    from transformers import ViTConfig, ViTForImageClassification

    return ViTForImageClassification(ViTConfig(**SMALL, image_size=8, patch_size=4))


def bert():
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(BertConfig(**SMALL, vocab_size=30))


def gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    small = {"vocab_size": 30, "n_positions": 16, "n_embd": 16, "n_layer": 2, "n_head": 2}
    return GPT2LMHeadModel(
        GPT2Config(**small, bos_token_id=0, eos_token_id=0, loss_type="ForCausalLM")
    )


def on_images(model, batch):
    out = model(batch[0])
    return functional.cross_entropy(getattr(out, "logits", out), batch[1])


def accuracy(model, batch):
    out = model(batch[0])
    right = getattr(out, "logits", out).argmax(1) == batch[1]
    return right.float().mean().item()


def on_text(model, batch):
    return model(**batch).loss


def image_task(make, batches=None):
    torch.manual_seed(0)
    images, classes = torch.randn(40, 3, 8, 8), torch.randint(0, 3, (40,))
    given = [(images[i : i + 8], classes[i : i + 8]) for i in range(0, 40, 8)]
    return finished(make(), on_images, batches or given, given[:2], {"accuracy": accuracy})


def text_task(make):
    torch.manual_seed(0)
    words, classes = torch.randint(0, 30, (40, 6)), torch.randint(0, 3, (40,))
    model = make()
    labels = words if make is gpt2 else classes
    seen = torch.ones_like(words)
    seen[::3, 4:] = 0
    given = [
        {"input_ids": words[r], "attention_mask": seen[r], "labels": labels[r]}
        for r in torch.arange(40).split(8)
    ]
    return finished(model, on_text, given, given[:2], {})


def finished(model, loss, train, val, metrics):
    sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return Task(model, sgd, loss, train, val, metrics)


def frozen(task, count=1, how="eval"):
    """The groups of a task's model, all but the last frozen."""
    found = groups(task.model, lambda model: task.loss(model, task.val[0]))
    Freezing(task.model, found).train_last(count, how)
    return found
