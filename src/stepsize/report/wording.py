"""Numbers and sentences as people read them, the same in every picture, page and table."""

from __future__ import annotations

import json
import math
from typing import Any

from stepsize.records import Clr, FindResult

#: What a newcomer reads instead of the name of the verdict.
VERDICT_WORDS = {
    "ok": "a rate is suggested",
    "flat": "the loss does not respond to the rate",
    "still_falling": "the loss is still falling at the last rate",
    "diverged_at_start": "the loss diverges from the first rates on",
    "too_noisy": "the loss is too noisy to read",
    "too_few_points": "there are too few points to read",
}

#: Longest task name in a title; the page shows the whole name.
_LONGEST_NAME = 30


def plain_text(value: object) -> str:
    r"""``value`` as one line of text any encoder, terminal and parser accepts.

    Control characters become spaces, halves of surrogate pairs a question mark.

    >>> plain_text("a\x00b\n\tc \ud800")
    'a b c ?'
    """
    text = str(value).encode("utf-8", "replace").decode("utf-8")
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def sentence(words: str) -> str:
    """``words`` with a capital at the front.

    >>> sentence("validation loss in nats")
    'Validation loss in nats'
    """
    return words[:1].upper() + words[1:]


def shorten(text: str, width: int) -> str:
    """``text`` cut to ``width`` characters, the cut marked.

    >>> shorten("learning rate", 9)
    'learning…'
    """
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def rate_text(rate: float, digits: int = 2) -> str:
    """A rate to ``digits`` significant digits, without an exponent where that stays short.

    >>> rate_text(0.0213), rate_text(2.13e-5), rate_text(1.0), rate_text(150.0), rate_text(0.1)
    ('0.021', '2.1e-5', '1', '150', '0.1')
    """
    if not math.isfinite(rate) or rate == 0:
        return f"{rate:g}"
    mantissa, exponent = f"{rate:.{digits - 1}e}".split("e")
    if -3 <= int(exponent) < 4:
        text = f"{float(f'{mantissa}e{exponent}'):.{max(0, digits - 1 - int(exponent))}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"


def interval_texts(rate: float, interval: tuple[float, float]) -> tuple[str, str, str]:
    """The rate and both ends of its interval, with as many digits as it takes to tell them apart.

    >>> interval_texts(0.0213, (0.015, 0.0291)), interval_texts(0.0213, (0.0211, 0.0214))
    (('0.021', '0.015', '0.029'), ('0.0213', '0.0211', '0.0214'))
    """
    numbers = (rate, *interval)
    texts = tuple(rate_text(number) for number in numbers)
    if len(set(texts)) < len(set(numbers)):
        texts = tuple(rate_text(number, digits=3) for number in numbers)
    return texts[0], texts[1], texts[2]


def answer_text(result: FindResult) -> str:
    """The suggestion alone, short enough to stand beside its line; empty for an abstention."""
    if result.lr is None:
        return ""
    if result.interval is None:
        return f"lr = {rate_text(result.lr)}"
    rate, low, high = interval_texts(result.lr, result.interval)
    return f"lr = {rate}  [{low}, {high}]"


def clr_text(clr: Clr) -> str:
    """The cyclical bounds in one short line.

    >>> clr_text(Clr(0.002, 0.021))
    'cyclical: base_lr 0.002, max_lr 0.021'
    """
    return f"cyclical: base_lr {rate_text(clr.base_lr)}, max_lr {rate_text(clr.max_lr)}"


def task_text(task: str) -> str:
    """A task's name without the folders it lies in.

    >>> task_text("digits"), task_text("/home/ada/nets/mine.py:make")
    ('digits', 'mine.py:make')
    """
    return plain_text(task.replace("\\", "/").rpartition("/")[2])


def headline(result: FindResult) -> str:
    """The answer in words: the title of every picture."""
    about = shorten(task_text(result.task or ""), _LONGEST_NAME)
    about = f"{about}: " if about else ""
    if result.lr is None:
        return f"{about}no rate suggested – {VERDICT_WORDS[result.verdict]}"
    if result.interval is None:
        return f"{about}learning rate {rate_text(result.lr)}"
    rate, low, high = interval_texts(result.lr, result.interval)
    return f"{about}learning rate {rate} (95 % interval {low} to {high})"


def cost_text(result: FindResult) -> str:
    """What the answer cost, such as ``300 updates in 2.1 s, mean of 3 repeats``."""
    parts = f"{count_text(result.updates)} update{'' if result.updates == 1 else 's'}"
    if result.seconds > 0 and math.isfinite(result.seconds):
        parts += f" in {seconds_text(result.seconds)}"
    if len(result.repeats) > 1:
        parts += f", mean of {len(result.repeats)} repeats"
    return parts


def count_text(number: int) -> str:
    """A count with its thousands set apart.

    >>> count_text(12), count_text(1234567)
    ('12', '1,234,567')
    """
    return f"{number:,}"


def seconds_text(seconds: float) -> str:
    """A duration in the unit one would say aloud.

    >>> seconds_text(0.034), seconds_text(2.13), seconds_text(75.0), seconds_text(7300.0)
    ('34 ms', '2.1 s', '75 s', '2.0 h')
    """
    if seconds < 0.9995:
        return f"{max(1, round(seconds * 1000))} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def loss_text(loss: float) -> str:
    """A loss to five digits; what is not finite is divergence.

    >>> loss_text(2.302585), loss_text(float("inf"))
    ('2.3026', 'diverged')
    """
    return f"{loss:.5g}" if math.isfinite(loss) else "diverged"


def setting_text(value: Any) -> str:
    """A setting as one line: text as it is, numbers to six digits, lists joined, the rest as JSON.

    >>> setting_text("geometric"), setting_text(0.1 + 0.2), setting_text(None), setting_text(True)
    ('geometric', '0.3', 'none', 'yes')
    >>> setting_text(["Rise", 2]), setting_text({"rates": [1, 2]})
    ('Rise, 2', '{"rates": [1, 2]}')
    """
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(setting_text, value)) or "none"
    if isinstance(value, dict):
        return plain_text(json.dumps(value, default=str, ensure_ascii=False))
    return plain_text(value)
