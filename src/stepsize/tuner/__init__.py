"""Spend a budget of trainings on the question which peak rate and which schedule to use."""

from stepsize.tuner.options import OPTIMIZERS, TuneOptions
from stepsize.tuner.recommend import recommend
from stepsize.tuner.trainer import Advanced, ArmTrainer, Entry

__all__ = ["OPTIMIZERS", "Advanced", "ArmTrainer", "Entry", "TuneOptions", "recommend"]
