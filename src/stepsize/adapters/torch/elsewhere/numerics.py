"""Torch's settings that decide numbers, taken from one process to another."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Numerics(NamedTuple):
    """Settings of the whole process that change what a training computes.

    The number of threads is none of them: workers have their share of the cores.

    Attributes:
        dtype: of new floating-point tensors.
        device: of new tensors.
        precision: of products of float32 matrices.
        deterministic: whether algorithms must be deterministic.
        warn_only: whether those that are not only warn.
        cudnn: enabled, benchmark, deterministic.

    >>> here = Numerics.here()
    >>> here.apply()
    >>> Numerics.here() == here
    True
    """

    dtype: torch.dtype
    device: str
    precision: str
    deterministic: bool
    warn_only: bool
    cudnn: tuple[bool, bool, bool]

    @classmethod
    def here(cls) -> Numerics:
        """Those of this process."""
        cudnn = torch.backends.cudnn
        return cls(
            torch.get_default_dtype(),
            str(torch.get_default_device()),
            torch.get_float32_matmul_precision(),
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            (cudnn.enabled, cudnn.benchmark, cudnn.deterministic),
        )

    def apply(self) -> None:
        """Make them this process's; what is the same already is left alone."""
        here = Numerics.here()
        if self.dtype != here.dtype:
            torch.set_default_dtype(self.dtype)
        if self.device != here.device:
            torch.set_default_device(self.device)
        if self.precision != here.precision:
            torch.set_float32_matmul_precision(self.precision)
        if self[3:5] != here[3:5]:
            torch.use_deterministic_algorithms(self.deterministic, warn_only=self.warn_only)
        if self.cudnn != here.cudnn:
            cudnn = torch.backends.cudnn
            cudnn.enabled, cudnn.benchmark, cudnn.deterministic = self.cudnn
