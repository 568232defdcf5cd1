"""Plans by name: published recipes as they are, and the plain ones to compare them with."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from stepsize.fine_tuning.phase import Phase
from stepsize.fine_tuning.plan import TransferPlan

#: A head that was just put on is trained alone so long.
_HEAD_EPOCHS = "15%, at most 2"
#: Straight up for a twentieth of the phase, then half a cosine.
_WARM_COSINE = "warmup(cosine(lr), steps=5%)"

_FASTAI = TransferPlan(
    "fastai",
    (
        Phase(
            "precomputed head",
            epochs=_HEAD_EPOCHS,
            trainable="head",
            schedule="constant(lr)",
            precompute=True,
        ),
        Phase(
            "head",
            epochs="25%, at most 3",
            trainable="head",
            schedule="warm_restarts(lr, first_steps=1 epoch)",
            lr="previous",
        ),
        Phase(
            "all",
            schedule="stretch(warm_restarts(lr, first_steps=1 epoch, t_mul=2, cycles=3))",
            ratios=10.0,
        ),
    ),
    groups=3,
    about="fast.ai's recipe for images (course of 2018, lesson 1; fastai 0.7): the head on "
    "precomputed activations at a constant rate, the head with augmentation and a restart in every "
    "epoch, then all in three groups, each 10 times lower than the next, in three cycles that "
    "double in length; a range test before the head and another after unfreezing. In 12 epochs the "
    "cycles are of 1, 2 and 4 epochs, as taught; the course takes a factor of 3 where the data "
    "are unlike those of the pretraining.",
)

_ULMFIT = TransferPlan(
    "ulmfit",
    (
        Phase(
            "gradual",
            trainable="gradual",
            schedule="slanted_triangular(lr)",
            ratios=2.6,
        ),
    ),
    groups=5,
    about="Howard & Ruder 2018 (arXiv:1801.06146), section 3: the head alone for an epoch, then "
    "another group in every epoch until all train; each group's rate 2.6 times lower than that of "
    "the one above it; one slanted triangle over the whole. Five groups, as their network has. "
    "Their released script makes three triangles of it: head, last two groups, all.",
)

_HEAD_ONLY = TransferPlan(
    "head-only",
    (Phase("head", trainable="head", precompute=True),),
    about="A linear probe: the body stays as it was pretrained, its outputs are computed once, and "
    "only the last group trains on them. Augmentation is that of the one pass.",
)

_FULL = TransferPlan(
    "full",
    (Phase("all", schedule=_WARM_COSINE),),
    about="All layers at one rate from the first update on: what every recipe has to beat.",
)

_MEASURED = TransferPlan(
    "measured",
    (
        Phase(
            "head",
            epochs=_HEAD_EPOCHS,
            trainable="head",
            precompute=True,
        ),
        Phase("all", schedule=_WARM_COSINE, ratios="measured"),
    ),
    about="The head first, then all groups at rates that range tests of every group suggest, "
    "instead of a factor that is taken on trust.",
)

_GRADUAL = TransferPlan(
    "gradual",
    (
        Phase("head", epochs=1, trainable="head"),
        Phase("unfreezing", trainable="gradual", schedule=_WARM_COSINE),
    ),
    groups=5,
    about="Gradual unfreezing by itself (Howard & Ruder 2018, section 3.3): the head for an epoch, "
    "then another group in every epoch, all that train at one rate that is found again after the "
    "head.",
)

_SCRATCH = TransferPlan(
    "scratch",
    (Phase("all", schedule=_WARM_COSINE),),
    start="scratch",
    about="The same network with fresh weights, all layers at one rate: was transfer worth it?",
)

#: Every preset by name.
PLANS: Mapping[str, TransferPlan] = MappingProxyType(
    {
        plan.name: plan
        for plan in (_FASTAI, _ULMFIT, _HEAD_ONLY, _FULL, _MEASURED, _GRADUAL, _SCRATCH)
    }
)
