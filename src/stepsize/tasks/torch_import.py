"""PyTorch, imported when a task is made and not before."""

from __future__ import annotations

from typing import Any

from stepsize.errors import MissingDependencyError


def need_torch() -> Any:
    """The ``torch`` module.

    Raises:
        MissingDependencyError: PyTorch is not installed, or is installed and does not load.
    """
    try:
        import torch
    except Exception as error:  # a broken install raises OSError, AttributeError, ...
        absent = isinstance(error, ModuleNotFoundError)
        state = "is not installed" if absent else f"does not load ({error})"
        raise MissingDependencyError(
            f"This task needs PyTorch, which {state}: pip install 'stepsize[torch]'."
        ) from error
    return torch
