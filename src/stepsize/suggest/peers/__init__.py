"""The rules other tools use, each from its own released definition, smoothing and trims included.

They are here to be compared with, warts and all: where a peer's rule misbehaves (it answers on a
flat curve, it moves with the number of points), so does its copy. Each is checked against the
peer's released code on recorded curves (tests/golden/peer_rules.json).
"""

from stepsize.suggest.peers.fastai import minimum_over_ten, slide, valley
from stepsize.suggest.peers.ignite import ignite
from stepsize.suggest.peers.lightning import lightning
from stepsize.suggest.peers.torch_lr_finder import torch_lr_finder

__all__ = ["ignite", "lightning", "minimum_over_ten", "slide", "torch_lr_finder", "valley"]
