"""From the text of a schedule to the schedule, by recursive descent.

::

    product  = signed { ("*" | "/") signed }
    signed   = [ "-" | "+" ] value
    value    = number [ unit | "%" ] | string | word | call | list | "(" product ")"
    call     = name "(" [ argument { "," argument } [","] ] ")"
    argument = [ name "=" ] product
    list     = "[" [ product { "," product } [","] ] "]"

Nothing is looked up but the kinds of schedules and the names that were given, and nothing is
evaluated but ``*`` and ``/``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from types import MappingProxyType
from typing import Any, Final, NamedTuple, final

from stepsize.errors import InputError, did_you_mean
from stepsize.schedules.base import Schedule
from stepsize.schedules.combine import Chain
from stepsize.schedules.fields import cleaned
from stepsize.schedules.function import Function
from stepsize.schedules.kinds import KINDS, build, parameter_names, required_names
from stepsize.schedules.tokens import Token, fault, tokens

#: Schedules within schedules; far beyond use, far below Python's own limit on recursion.
MOST_DEPTH = 50
_WORDS: Final = {
    "true": True, "True": True, "false": False, "False": False, "none": None, "None": None,
}  # fmt: skip
_UNITS = ("epoch", "epochs", "ep", "step", "steps", "update", "updates")
_END = Token("end", "", 0, 0)


class Part(NamedTuple):
    """A value and where it stands: ``text[start:stop]``; ``depth`` counts calls and products."""

    value: Any
    start: int
    stop: int
    depth: int = 0


class Argument(NamedTuple):
    """What stands between two commas of a call."""

    name: Token | None
    part: Part


@final
class Parser:
    """Reads one text, once: ``Parser(text).schedule()``."""

    def __init__(
        self, text: str, functions: bool = False, names: Mapping[str, float] = MappingProxyType({})
    ) -> None:
        self._text = text
        self._functions = functions
        self._names = names
        self._tokens = tokens(text)
        self._ahead = _END  # the token after the current one, once it was peeked at
        self._peeked = False
        self._now = next(self._tokens)
        self._stop = 0  # where the token before the current one ends
        self._open = 0  # brackets around the current token

    def schedule(self) -> Schedule:
        """The schedule that is the whole text.

        Raises:
            InputError: it is none; the message points at the place.
        """
        if self._now.sort == "end":
            raise InputError("A schedule is expected, such as cosine(0.1); the text is empty.")
        part = self._product()
        if self._now.sort != "end":
            raise self._fault(self._now, f"The schedule ends before {self._now.text!r:.40}.")
        if not isinstance(part.value, Schedule):
            raise self._no_schedule(part)
        return part.value

    # -- the grammar --------------------------------------------------------------------------

    def _product(self) -> Part:
        left = self._signed()
        while self._now.sort == "sign" and self._now.text in ("*", "/"):
            sign = self._take()
            left = self._combined(left, sign, self._signed())
        return left

    def _signed(self) -> Part:
        if not self._sees("-", "+"):
            return self._value()
        sign = self._take()
        if self._now.sort != "number":
            raise self._fault(self._now, f"A number is expected after {sign.text!r}.")
        part = self._value()
        if sign.text == "+":
            return part._replace(start=sign.start)
        opposite = f"-{part.value}" if isinstance(part.value, str) else -part.value
        return Part(opposite, sign.start, part.stop)

    def _value(self) -> Part:
        token = self._now
        if token.sort == "number":
            return self._number()
        if token.sort == "string":
            return Part(self._take().text[1:-1], token.start, token.stop)
        if token.sort == "name":
            self._take()
            if self._sees("("):
                return self._call(token)
            return Part(self._word(token.text), token.start, token.stop)
        if self._sees("["):
            items, depth = self._items("]")
            return Part(tuple(item.value for item in items), token.start, self._stop, depth)
        if self._sees("("):
            self._enter()
            inside = self._product()
            self._leave(token, ")")
            return Part(inside.value, token.start, self._stop, inside.depth)
        raise self._fault(token, f"A value is expected here{self._instead()}.")

    def _word(self, text: str) -> Any:
        return self._names[text] if text in self._names else _WORDS.get(text, text)

    def _number(self) -> Part:
        token = self._take()
        digits = token.text.replace("_", "")
        if self._sees("%"):
            self._take()
            return Part(f"{digits}%", token.start, self._stop)
        if self._now.sort == "name":
            unit = self._take()
            if unit.text.lower() not in _UNITS:
                hint = did_you_mean(unit.text, ("epochs", "steps"))
                raise self._fault(unit, f"{unit.text!r:.40} is no unit of length.{hint}")
            return Part(f"{digits} {unit.text}", token.start, self._stop)
        value = int(digits) if digits.isdigit() else float(digits)
        return self._finite(Part(value, token.start, token.stop))

    def _call(self, name: Token) -> Part:
        kind = KINDS.get(name.text)
        if kind is None:
            hint = did_you_mean(name.text, KINDS) or f" There are {', '.join(sorted(KINDS))}."
            raise self._fault(name, f"There is no schedule {name.text!r:.80}.{hint}")
        if kind is Function and not self._functions:
            message = "This runs code; if you trust the text, say parse(..., functions=True)."
            raise self._fault(name, message)
        arguments = self._arguments()
        whole = Part(None, name.start, self._stop)
        depth = 1 + max((argument.part.depth for argument in arguments), default=0)
        self._check_depth(depth, whole)
        positional = [argument.part for argument in arguments if argument.name is None]
        if kind is Chain and positional and not isinstance(positional[0].value, tuple):
            arguments = [self._pieces(positional, whole), *arguments[len(positional) :]]
        return whole._replace(value=self._built(kind, arguments, whole), depth=depth)

    def _arguments(self) -> list[Argument]:
        bracket = self._enter()
        arguments: list[Argument] = []
        while not self._sees(")"):
            name = None
            if self._now.sort == "name" and self._next().text == "=":
                name = self._take()
                self._take()
            elif any(argument.name for argument in arguments):
                raise self._fault(self._now, "A value without a name comes before the named ones.")
            arguments.append(Argument(name, self._product()))
            if not self._sees(","):
                break
            self._take()
        self._leave(bracket, ")")
        return arguments

    def _items(self, close: str) -> tuple[list[Part], int]:
        bracket = self._enter()
        items: list[Part] = []
        while not self._sees(close):
            items.append(self._product())
            if not self._sees(","):
                break
            self._take()
        self._leave(bracket, close)
        return items, max((item.depth for item in items), default=0)

    # -- what is made -------------------------------------------------------------------------

    def _built(self, kind: type[Schedule], arguments: list[Argument], whole: Part) -> Schedule:
        positional = tuple(a.part.value for a in arguments if a.name is None)
        named: dict[str, Any] = {}
        for argument in arguments:
            if argument.name and argument.name.text in named:
                message = f"{kind.kind}: {argument.name.text} is given twice."
                raise self._fault(argument.name, message)
            if argument.name:
                named[argument.name.text] = argument.part.value
        try:
            return build(kind, positional, named)
        except InputError as error:
            place, hint = _culprit(kind, arguments, whole)
            raise self._fault(place, f"{error}{hint}") from error

    def _pieces(self, parts: list[Part], whole: Part) -> Argument:
        """``chain(a, b)`` for ``chain([a, b])``."""
        for part in parts:
            if not isinstance(part.value, Schedule):
                raise self._no_schedule(part)
        return Argument(None, whole._replace(value=tuple(part.value for part in parts)))

    def _combined(self, left: Part, sign: Token, right: Part) -> Part:
        """``left * right`` or ``left / right``."""
        depth = 1 + max(left.depth, right.depth)
        whole = Part(None, left.start, right.stop, depth)
        a, b = left.value, right.value
        numbers = _is_number(b) and (_is_number(a) or isinstance(a, Schedule))
        if sign.text == "/":
            if not _is_number(a) or not _is_number(b):
                raise self._fault(sign, "Only numbers can be divided, such as 1/3.")
            if b == 0:
                raise self._fault(right, "This divides by zero.")
            return self._finite(whole._replace(value=a / b, depth=0))
        if _is_number(a) and _is_number(b):
            return self._finite(whole._replace(value=a * b, depth=0))
        schedules = isinstance(b, Schedule) and (_is_number(a) or isinstance(a, Schedule))
        if not numbers and not schedules:
            raise self._fault(sign, "Only schedules and numbers can be multiplied.")
        self._check_depth(depth, whole)
        try:
            return whole._replace(value=a * b)
        except InputError as error:
            raise self._fault(whole, str(error)) from error

    def _finite(self, part: Part) -> Part:
        """A number that a float can hold."""
        with suppress(OverflowError):
            if math.isfinite(float(part.value)):
                return part
        raise self._fault(part, "This number is too large.")

    # -- the reading of tokens ----------------------------------------------------------------

    def _take(self) -> Token:
        token = self._now
        self._stop = token.stop
        if token.sort != "end":
            self._now = self._next()
            self._peeked = False
        return token

    def _next(self) -> Token:
        if not self._peeked:
            self._ahead = next(self._tokens, _END)
            self._peeked = True
        return self._ahead

    def _sees(self, *signs: str) -> bool:
        return self._now.sort == "sign" and self._now.text in signs

    def _enter(self) -> Token:
        self._open += 1
        if self._open > MOST_DEPTH:
            raise self._fault(self._now, f"More than {MOST_DEPTH} brackets are open here.")
        return self._take()

    def _leave(self, bracket: Token, close: str) -> None:
        if not self._sees(close):
            expected = f"A ',' or the {close!r} that closes the {bracket.text!r} of "
            place = f"character {bracket.start + 1} is expected here"
            raise self._fault(self._now, f"{expected}{place}{self._instead()}.")
        self._open -= 1
        self._take()

    # -- errors -------------------------------------------------------------------------------

    def _instead(self) -> str:
        if self._now.sort == "end":
            return ", but the text ends"
        return f", not {self._now.text!r:.40}"

    def _check_depth(self, depth: int, whole: Part) -> None:
        if depth > MOST_DEPTH:
            message = f"These are more than {MOST_DEPTH} schedules within each other."
            raise self._fault(whole, message)

    def _no_schedule(self, part: Part) -> InputError:
        hint = "write its parameters in parentheses, such as cosine(0.1)."
        if _is_number(part.value):
            hint = f"a rate that never changes is constant({part.value!r})."
        elif isinstance(part.value, str) and part.value not in KINDS:
            hint += did_you_mean(part.value, KINDS)
        return self._fault(part, f"This is no schedule: {hint}")

    def _fault(self, place: Token | Part, message: str) -> InputError:
        return fault(self._text, place.start, place.stop, message)


def _culprit(
    kind: type[Schedule], arguments: list[Argument], whole: Part
) -> tuple[Token | Part, str]:
    """What of a call that ``build`` refused is to blame, and a hint; in the order of its checks."""
    names = parameter_names(kind)
    given: dict[str, Part] = {}
    for number, argument in enumerate(arguments):
        if argument.name is None and number >= len(names):
            return argument.part, ""
        name = argument.name.text if argument.name else names[number]
        if argument.name and (name not in names or name in given):
            return argument.name, ""
        given[name] = argument.part
    if any(name not in given for name in required_names(kind)):
        return whole, ""
    for field in fields(kind):  # type: ignore[arg-type]  # every kind is a dataclass
        part = given.get(field.name)
        if part is None:
            continue
        try:
            cleaned(field, part.value, kind.kind)
        except InputError:
            bare = isinstance(part.value, str) and part.value in KINDS
            return part, f" A schedule has parentheses: {part.value}(...)." if bare else ""
    return whole, ""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
