"""The bits of NumPy's global generator, where they lie: a hundred times as quick as its state."""

from __future__ import annotations

import ctypes
import struct
import sys
from typing import Any, Self, final

#: NumPy's generator, as long as nobody has put another in its place.
_KIND = "MT19937"


@final
class Bits:
    """What NumPy's global generator has in memory, at the address that NumPy tells.

    A normal number that is kept for the next call lies elsewhere, so there are no bits of a state
    that has one.

    >>> import numpy
    >>> numpy.random.seed(0); bits = Bits.of(numpy.random.get_state())
    >>> first = numpy.random.rand(); bits is not None and bits.stand()
    False
    >>> bits is None or bits.put(), numpy.random.rand() == first
    (True, True)
    """

    def __init__(self, held: bytes) -> None:
        self._held = held

    @classmethod
    def of(cls, state: Any) -> Self | None:
        """The bits of the generator's present ``state``; None where they are not just these."""
        name, keys, position, kept, _ = state
        generator = _generator()
        if name != _KIND or kept or generator is None:
            return None
        held = keys.tobytes() + struct.pack("i", position)
        present = ctypes.string_at(generator.ctypes.state_address, len(held))
        return cls(held) if present == held else None

    def stand(self) -> bool:
        """Whether the generator has not moved since it had these bits."""
        generator = _generator()
        if generator is None:
            return False
        present = ctypes.string_at(generator.ctypes.state_address, len(self._held))
        return present == self._held

    def put(self) -> bool:
        """Bring the generator to these bits; False where that cannot be."""
        generator = _generator()
        if generator is None:
            return False
        ctypes.memmove(generator.ctypes.state_address, self._held, len(self._held))
        sys.modules["numpy"].random.set_bit_generator(generator)  # forgets the number it has kept
        return True


def _generator() -> Any:
    """The global bit generator, if its memory is known; versions before 1.24 do not tell it."""
    random: Any = sys.modules["numpy"].random
    generator = random.get_bit_generator() if hasattr(random, "get_bit_generator") else None
    return generator if type(generator).__name__ == _KIND else None
