"""The workloads as stepsize tasks: ``stepsize find benchmarks/regret/workloads.py:digits_mlp_sgd``.

DEVELOPMENT were looked at while rules and ``tune`` were written, JUDGING only when they were
judged; UNLEARNABLE have no right answer but to abstain.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parent))
import data
import networks
from data import Data, Part

from stepsize.tasks import Task
from stepsize.tasks.batches import TensorBatches

Loss = Callable[[Any, Any], Tensor]


def cross_entropy(model: Any, batch: Any) -> Tensor:
    out = model(batch[0])
    return functional.cross_entropy(out.flatten(0, -2), batch[1].flatten())


def squared_error(model: Any, batch: Any) -> Tensor:
    return functional.mse_loss(model(batch[0]), batch[1])


def gaussian(model: Any, batch: Any) -> Tensor:
    """Negative log-likelihood of a normal with predicted mean and deviation: may be negative."""
    mean, log_deviation = model(batch[0]).unbind(1)
    log_deviation = log_deviation.clamp(-6, 6)
    return (log_deviation + 0.5 * ((batch[1][:, 0] - mean) * torch.exp(-log_deviation)) ** 2).mean()


def alignment_and_uniformity(model: Any, batch: Any) -> Tensor:
    """Wang and Isola 2020: halves of one picture agree, pictures differ; below zero when good."""
    images = batch[0].unflatten(1, (14, 14))
    left, right = (functional.normalize(model(half.flatten(1))) for half in images.split(7, 2))
    together = (left - right).square().sum(1).mean()
    apart = [torch.pdist(half).square().mul(-2).exp().mean().log() for half in (left, right)]
    return together + (apart[0] + apart[1]) / 2


def error(model: Any, batch: Any) -> float:
    """The share of wrong classes."""
    wrong = model(batch[0]).flatten(0, -2).argmax(1) != batch[1].flatten()
    return float(wrong.float().mean())


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "sgdm": partial(torch.optim.SGD, momentum=0.9),
    "nesterov": partial(torch.optim.SGD, momentum=0.9, nesterov=True, weight_decay=5e-4),
    "rmsprop": torch.optim.RMSprop,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,  # torch's weight decay of 0.01
    "adamw0.1": partial(torch.optim.AdamW, weight_decay=0.1),
}


@dataclass(frozen=True)
class Workload:
    """A training problem of ``epochs`` passes."""

    data: Callable[[], Data]
    model: Callable[[], nn.Module]
    optimizer: str
    batch: int
    epochs: int
    loss: Loss = cross_entropy
    clip: float | None = None
    metrics: Mapping[str, Callable[[Any, Any], float]] = field(default_factory=dict)

    def __call__(self, seed: int) -> Task:
        parts = self.data()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self.model()
        parameters = [p for p in model.parameters() if p.requires_grad]
        optimizer = OPTIMIZERS[self.optimizer](parameters, lr=0.01)
        if self.clip is not None:
            optimizer.register_step_pre_hook(partial(_clip, parameters, self.clip))
        metrics = {"error": error} if self.loss is cross_entropy else {}
        train = TensorBatches(*parts.train, self.batch, shuffle=True, seed=seed)
        return Task(
            model,
            optimizer,
            self.loss,
            train,
            val=held_out(parts.val),
            test=held_out(parts.test),
            metrics=metrics,
        )

    @property
    def updates(self) -> int:
        """Of a full training."""
        return self.epochs * (len(self.data().train.x) // self.batch)


def _clip(parameters: list[Tensor], norm: float, *_: Any) -> None:
    nn.utils.clip_grad_norm_(parameters, norm)


def held_out(part: Part) -> TensorBatches:
    return TensorBatches(*part, min(500, len(part.x)), shuffle=False)


def flat_model() -> nn.Sequential:
    """Logits start at the log class frequencies whatever the input."""
    model = networks.mlp(64, 32, 10)
    frequencies = torch.bincount(data.nothing().train.y, minlength=10).float()
    with torch.no_grad():
        model[-1].weight.zero_()
        model[-1].bias.copy_((frequencies / frequencies.sum()).log())
    return model


def uniform_model() -> nn.Sequential:
    """Logits start at zero."""
    model = networks.mlp(16, 64, 10)
    with torch.no_grad():
        model[-1].weight.zero_()
        model[-1].bias.zero_()
    return model


@cache
def body_outputs() -> Data:
    """The photos as the frozen body of the pretrained network sees them."""
    body, _ = networks.pretrained()
    with torch.no_grad():
        parts = [
            Part(torch.cat([body(x) for x in part.x.split(256)]), part.y)
            for part in data.clothing()
        ]
    return Data(*parts)


def fine_tuned() -> nn.Sequential:
    """The last block of the pretrained network and a new head."""
    return nn.Sequential(networks.pretrained()[1], nn.Linear(64, 10))


def adult_width() -> int:
    return data.adult().train.x.shape[1]


mlp, W = networks.mlp, Workload
DEVELOPMENT = {
    "digits_mlp_sgd": W(data.digits, lambda: mlp(64, 64, 10), "sgd", 32, 24),
    "digits_mlp_adam": W(data.digits, lambda: mlp(64, 64, 10), "adam", 32, 24),
    "digits_linear_sgd": W(data.digits, lambda: mlp(64, 10), "sgd", 32, 24),
    "digits_ae_adamw": W(
        lambda: data.reconstruction(data.digits()),
        lambda: mlp(64, 32, 8, 32, 64),
        "adamw",
        32,
        24,
        squared_error,
    ),
    "cancer_tanh4_sgdm": W(
        data.cancer, lambda: mlp(30, 32, 32, 32, 32, 2, activation=nn.Tanh), "sgdm", 16, 25
    ),
    "diabetes_mlp_sgdm": W(
        data.diabetes, lambda: mlp(10, 32, 32, 1), "sgdm", 16, 30, squared_error
    ),
    "adult_mlp_adam": W(data.adult, lambda: mlp(adult_width(), 64, 32, 2), "adam", 128, 10),
    "fmnist_mlp_sgd": W(data.fashion, lambda: mlp(784, 512, 200, 10), "sgd", 64, 4),
    "fmnist_cnnbn_sgdm": W(data.fashion_small, lambda: networks.cnn(True), "sgdm", 64, 5),
    "fmnist_cnn_adamw": W(data.fashion_small, lambda: networks.cnn(False), "adamw", 64, 5),
    "char_transformer_adamw": W(
        data.shakespeare, lambda: networks.Transformer(32, 1), "adamw", 16, 3
    ),
    "char_lstm_sgdm_clip": W(
        data.shakespeare, lambda: networks.CharRnn(nn.LSTM), "sgdm", 16, 3, clip=1.0
    ),
}
JUDGING = {
    "spirals_mlp_sgdm": W(data.spirals, lambda: mlp(2, 32, 32, 2), "sgdm", 32, 20),
    "friedman_gaussian_adam": W(
        data.friedman, lambda: mlp(10, 64, 64, 2), "adam", 64, 16, gaussian
    ),
    "friedman_mlp_nesterov": W(
        data.friedman, lambda: mlp(10, 64, 64, 1), "nesterov", 32, 8, squared_error
    ),
    "adult_mlpbn_sgdm": W(
        data.adult, lambda: networks.norm_mlp(adult_width(), 64, 64, 2), "sgdm", 256, 20
    ),
    "adult_linear_adam": W(data.adult, lambda: mlp(adult_width(), 2), "adam", 64, 8),
    "digits_cnn_adamw": W(data.digits, lambda: networks.small_cnn(8), "adamw", 16, 12),
    "fmnist_deep_sgd": W(data.fashion_14, lambda: mlp(196, *[64] * 6, 10), "sgd", 32, 5),
    "fmnist_badinit_adam": W(
        data.fashion_14,
        lambda: networks.scaled_start(mlp(196, 128, 128, 10), 2.5),
        "adam",
        64,
        8,
    ),
    "fmnist_resnet_nesterov": W(data.fashion_14, lambda: networks.resnet(14), "nesterov", 32, 2),
    "fmnist_vit_adamw": W(
        data.fashion_small, lambda: networks.Transformer(32, 2, patch=7), "adamw0.1", 32, 2
    ),
    "fmnist_contrastive_rmsprop": W(
        data.fashion_14,
        lambda: mlp(98, 128, 32),
        "rmsprop",
        128,
        12,
        alignment_and_uniformity,
    ),
    "char_gru_adam": W(data.shakespeare, lambda: networks.CharRnn(nn.GRU), "adam", 16, 3),
    "clothing_cnn_adamw": W(data.clothing, networks.colour_cnn, "adamw", 32, 4),
    "clothing_pretrained_sgdm": W(body_outputs, fine_tuned, "sgdm", 32, 2),
}
UNLEARNABLE = {
    "constant_inputs_sgd": W(data.nothing, flat_model, "sgd", 32, 8),
    "constant_inputs_adam": W(data.nothing, flat_model, "adam", 32, 8),
    "noise_stream_sgdm": W(data.noise_stream, uniform_model, "sgdm", 64, 1),
    "noise_stream_adam": W(data.noise_stream, uniform_model, "adam", 64, 1),
}
WORKLOADS: dict[str, Workload] = {**DEVELOPMENT, **JUDGING, **UNLEARNABLE}
globals().update(WORKLOADS)  # each by its name, for the command line
