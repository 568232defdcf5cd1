"""Many copies of one training as one batched model, each with numbers of its own serial run."""

from stepsize.adapters.torch.fused.detect import why_not
from stepsize.adapters.torch.fused.evaluation import evaluated
from stepsize.adapters.torch.fused.gradients import UnevenGradientsError
from stepsize.adapters.torch.fused.memory import most_copies
from stepsize.adapters.torch.fused.stack import Stack
from stepsize.adapters.torch.fused.streams import RandomStates, Stream

__all__ = [
    "RandomStates",
    "Stack",
    "Stream",
    "UnevenGradientsError",
    "evaluated",
    "most_copies",
    "why_not",
]
