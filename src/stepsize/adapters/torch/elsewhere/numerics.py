"""Torch's settings that decide numbers, taken from one process to another."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import Any, NamedTuple

import torch

from stepsize.adapters.torch import threads

#: Switches of ``torch.backends``, as far as a version has them.
SWITCHES = (
    "cudnn.enabled",
    "cudnn.benchmark",
    "cudnn.deterministic",
    "cudnn.allow_tf32",
    "cuda.matmul.allow_fp16_reduced_precision_reduction",
    "cuda.matmul.allow_bf16_reduced_precision_reduction",
    "mkldnn.enabled",
    "mkldnn.deterministic",
    "mkldnn.allow_tf32",
)
#: Ways to compute attention, each with a function that asks and one that sets.
ATTENTION = ("flash_sdp", "mem_efficient_sdp", "math_sdp", "cudnn_sdp")


class Numerics(NamedTuple):
    """Settings of the whole process that change what a training computes.

    The number of threads that train is none of them: workers have their share of the cores. Those
    that make a task are, so that it is the same task.

    Attributes:
        dtype: of new floating-point tensors.
        device: of new tensors.
        precision: of products of float32 matrices.
        deterministic: whether algorithms must be deterministic.
        warn_only: whether those that are not only warn.
        threads: that make tasks.
        switches: of :data:`SWITCHES` and :data:`ATTENTION`, by their names.

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
    threads: int
    switches: tuple[tuple[str, Any], ...]

    @classmethod
    def here(cls) -> Numerics:
        """Those of this process."""
        return cls(
            torch.get_default_dtype(),
            str(torch.get_default_device()),
            torch.get_float32_matmul_precision(),
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            threads.threads_of_making(),
            tuple(_switches()),
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
        threads.make_with(self.threads)
        known = dict(here.switches)
        for name, value in self.switches:
            if known.get(name, value) != value:
                _set(name, value)


def _switches() -> Iterator[tuple[str, Any]]:
    for name in SWITCHES:
        try:
            yield name, attrgetter(name)(torch.backends)
        except (AttributeError, RuntimeError):
            continue  # another version of torch, or set in a way that this cannot say
    for name in ATTENTION:
        asked = getattr(torch.backends.cuda, f"{name}_enabled", None)
        if asked is not None:
            yield name, asked()


def _set(name: str, value: Any) -> None:
    if name in ATTENTION:
        getattr(torch.backends.cuda, f"enable_{name}")(value)
        return
    owner, _, attribute = name.rpartition(".")
    setattr(attrgetter(owner)(torch.backends), attribute, value)
