"""Random generators' states as plain data: what a checkpoint can hold and another process read."""

from __future__ import annotations

import random
import sys
from typing import Any

import torch


def take() -> dict[str, Any]:
    """The states of all global generators: Python's, torch's, NumPy's, those in use of devices.

    >>> state = take(); first = torch.rand(1); put(state); bool(torch.rand(1) == first)
    True
    """
    numpy: Any = sys.modules.get("numpy")
    cuda = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return {
        "python": random.getstate(),
        "torch": torch.get_rng_state(),
        "numpy": None if numpy is None else _plain(numpy.random.get_state(legacy=False)),
        "cuda": torch.cuda.get_rng_state_all() if cuda else None,
        "mps": torch.mps.get_rng_state() if torch.backends.mps.is_available() else None,
    }


def put(states: dict[str, Any]) -> None:
    """Set all global generators to what :func:`take` has returned, in this process or another."""
    random.setstate(_tuples(states["python"]))
    torch.set_rng_state(states["torch"])
    if states["numpy"] is not None:
        import numpy

        numpy.random.set_state(_arrays(states["numpy"]))
    if states["cuda"] is not None:
        torch.cuda.set_rng_state_all(states["cuda"])
    if states["mps"] is not None:
        torch.mps.set_rng_state(states["mps"])


def is_generator(value: object) -> bool:
    """Whether ``value`` is a random generator of a kind that can be taken.

    The system's entropy (``random.SystemRandom``) has no state, and is none of them.
    """
    if isinstance(value, (torch.Generator, random.Random)):
        return not isinstance(value, random.SystemRandom)
    numpy: Any = sys.modules.get("numpy")
    kinds = ("Generator", "RandomState", "BitGenerator")
    return numpy is not None and isinstance(value, tuple(getattr(numpy.random, k) for k in kinds))


def kind_of(generator: Any) -> str:
    """The kind of a generator; of NumPy's, that of its bits.

    >>> kind_of(random.Random(1)), kind_of(torch.Generator())
    ('Random', 'torch')
    """
    if isinstance(generator, torch.Generator):
        return "torch"
    if isinstance(generator, random.Random):
        return "Random"
    return type(getattr(generator, "bit_generator", generator)).__name__


def new_generator(kind: str) -> Any:
    """A new generator of a kind that :func:`kind_of` has told."""
    if kind == "torch":
        return torch.Generator()
    if kind == "Random":
        return random.Random()
    import numpy

    if kind == "RandomState":
        return numpy.random.RandomState()
    return numpy.random.Generator(getattr(numpy.random, kind)())


def take_generator(generator: Any) -> Any:
    """The state of one generator (see :func:`is_generator`)."""
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, random.Random):
        return generator.getstate()
    if hasattr(generator, "get_state"):
        return _plain(generator.get_state(legacy=False))
    return _plain(getattr(generator, "bit_generator", generator).state)


def put_generator(generator: Any, state: Any) -> None:
    """Set ``generator`` to the state that :func:`take_generator` has read from one of its kind."""
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    elif isinstance(generator, random.Random):
        generator.setstate(_tuples(state))
    elif hasattr(generator, "set_state"):
        generator.set_state(_arrays(state))
    else:
        getattr(generator, "bit_generator", generator).state = _arrays(state)


def _plain(value: Any) -> Any:
    """NumPy's states without NumPy's types; whole numbers as text, for some have 128 bits."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if hasattr(value, "tolist"):
        return {"array": value.tolist(), "dtype": str(value.dtype)}
    return f"0x{value:x}" if type(value) is int else value


def _arrays(value: Any) -> Any:
    import numpy

    if not isinstance(value, dict):
        return int(value, 16) if isinstance(value, str) and value.startswith("0x") else value
    if "array" in value:
        return numpy.array(value["array"], dtype=value["dtype"])
    return {name: _arrays(item) for name, item in value.items()}


def _tuples(state: Any) -> Any:
    return tuple(map(_tuples, state)) if isinstance(state, (list, tuple)) else state
