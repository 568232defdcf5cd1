"""A bit-exact picture of objects, taken without any of the code under test.

Everything reachable is walked: modules, optimizers, containers and plain objects alike. Tensors
are pictured as their bytes, with identity, layout, ``requires_grad`` and gradient; containers with
identity and order; random generators with their state.
"""

import random

import numpy as np
import torch

_ATOMS = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.Size)


class Fingerprint:
    """What ``things`` and the global random states look like now; ``==`` compares bit for bit."""

    def __init__(self, *things):
        self.facts = {}
        self._seen = {}  # id -> (object, path); keeping the object keeps its id its own
        for number, thing in enumerate(things):
            self._walk(thing, f"{type(thing).__name__}[{number}]")
        self.facts["python random"] = repr(random.getstate())
        self.facts["numpy random"] = _numpy_state(np.random.get_state())
        self.facts["torch random"] = _bytes(torch.get_rng_state())

    def difference(self, other):
        """The names of all facts that differ."""
        names = {**self.facts, **other.facts}
        return sorted(n for n in names if self.facts.get(n) != other.facts.get(n))

    def _walk(self, value, path):
        if isinstance(value, _ATOMS):
            self.facts[path] = (type(value).__name__, repr(value))
        elif id(value) in self._seen:
            self.facts[path] = ("same as", self._seen[id(value)][1])
        else:
            self._seen[id(value)] = (value, path)
            self.facts[path] = (type(value).__name__, id(value))
            self._inside(value, path)

    def _inside(self, value, path):
        if isinstance(value, torch.Tensor):
            self._tensor(value, path)
        elif isinstance(value, torch.Generator):
            self.facts[path + " state"] = _bytes(value.get_state())
        elif isinstance(value, random.Random):
            self.facts[path + " state"] = repr(value.getstate())
        elif isinstance(value, np.random.Generator):
            self.facts[path + " state"] = repr(value.bit_generator.state)
        elif isinstance(value, np.random.RandomState):
            self.facts[path + " state"] = _numpy_state(value.get_state())
        elif isinstance(value, np.ndarray):
            self.facts[path + " values"] = (value.dtype.str, value.shape, value.tobytes())
        elif isinstance(value, dict):
            self._dict(value, path)
        elif isinstance(value, (set, frozenset)):
            self.facts[path + " items"] = sorted(map(repr, value))
        elif isinstance(value, (list, tuple)) or type(value).__name__ == "deque":
            self.facts[path + " length"] = len(value)
            for index, item in enumerate(value):
                self._walk(item, f"{path}[{index}]")
        elif (
            hasattr(value, "__dict__") and not isinstance(value, type) and not callable_only(value)
        ):
            self._dict(vars(value), path + ".")

    def _dict(self, items, path):
        self.facts[path + " keys"] = [_key(key) for key in items]
        for key, item in items.items():
            self._walk(item, f"{path}{_key(key)}")

    def _tensor(self, tensor, path):
        layout = (tensor.dtype, tuple(tensor.shape), tensor.layout, tensor.requires_grad)
        self.facts[path + " values"] = (*layout, _bytes(tensor))
        if tensor.is_leaf:
            self._walk(tensor.grad, path + ".grad")

    def __eq__(self, other):
        return self.facts == other.facts

    __hash__ = None


def callable_only(value):
    """Functions and methods are compared by identity alone."""
    return callable(value) and not isinstance(value, torch.nn.Module) and not vars(value)


def _key(key):
    return f"<{id(key)}>" if isinstance(key, torch.Tensor) else repr(key)


def _bytes(tensor):
    tensor = tensor.detach()
    if tensor.layout != torch.strided:
        tensor = tensor.coalesce()
        return _bytes(tensor.indices()), _bytes(tensor.values())
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def _numpy_state(state):
    name, keys, *rest = state
    return name, keys.tobytes(), *rest


def assert_unchanged(before, *things):
    """Fail with the names of what changed since ``before`` was taken of the same things."""
    changed = before.difference(Fingerprint(*things))
    assert not changed, f"{len(changed)} changed: {changed[:12]}"
