"""Trains the arms of a race: many trainings of one task, each a part at a time."""

from stepsize.adapters.torch.arms.arm_trainer import TorchArmTrainer

__all__ = ["TorchArmTrainer"]
