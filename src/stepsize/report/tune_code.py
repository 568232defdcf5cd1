"""The code to paste: a recommendation in PyTorch, Keras, Lightning, transformers and optax."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, final

from stepsize.errors import StepsizeError
from stepsize.records import Recommendation
from stepsize.report.tune_formula import formula
from stepsize.report.wording import plain_text
from stepsize.schedules import Schedule, parse
from stepsize.schedules.bridges import write
from stepsize.schedules.bridges.record import Exported, is_call

#: Longer lines are broken: the page is read on telephones too.
_WIDTH = 56
#: Optimizers that are the same everywhere: their names, and what the defaults of Keras and of
#: optax differ in from torch's.
_OPTIMIZERS = {
    "SGD": ("SGD", "", "sgd", ""),
    "Adam": ("Adam", "epsilon=1e-8", "adam", ""),
    "AdamW": ("AdamW", "weight_decay=0.01, epsilon=1e-8", "adamw", ", weight_decay=0.01"),
}
_TORCH_SCHEDULERS = "torch.optim.lr_scheduler"
#: What a schedule is stepped by, in Lightning.
_CONFIGURED = """\
    return {
        "optimizer": optimizer,
        "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
    }"""


@final
@dataclass(frozen=True, slots=True)
class Snippet:
    """Code for one library.

    Attributes:
        name: of the library, as a key.
        title: of the library, as people write it.
        code: the lines, with this package.
        plain: the lines without it; empty where the library has no equal schedule.
        remarks: what the plain lines do differently outside of the training, or why there are
            none.
    """

    name: str
    title: str
    code: str
    plain: str
    remarks: tuple[str, ...]


def snippets(recommendation: Recommendation) -> tuple[Snippet, ...]:
    """The code for every library; empty for an abstention.

    The lines expect what a training has: ``model`` and ``loader`` with ``loss_fn(model, batch)``,
    ``x, y`` and ``loss`` in Keras, ``dataset`` and ``arguments`` in transformers.

    >>> from stepsize.records import Cost
    >>> some = Recommendation(
    ...     "digits", 1, 54, "ok", "why", Cost(9, 0.0, 54), lr=0.1, schedule="cosine(0.1)"
    ... )
    >>> print(snippets(some)[0].plain.splitlines()[0])
    from torch.optim.lr_scheduler import CosineAnnealingLR
    """
    if recommendation.schedule is None:
        return ()
    given = _Given(recommendation)
    return tuple(
        Snippet(name, title, *make(given))
        for name, title, make in (
            ("torch", "PyTorch", _torch),
            ("keras", "Keras", _keras),
            ("lightning", "Lightning", _lightning),
            ("transformers", "transformers", _transformers),
            ("optax", "optax", _optax),
        )
    )


def one_line(recommendation: Recommendation) -> str:
    """The line that does it in PyTorch; empty for an abstention."""
    if recommendation.schedule is None:
        return ""
    schedule = f"ss.schedules.parse({_quoted(recommendation.schedule)})"
    return (
        f"scheduler = ss.torch.ScheduledLR(optimizer, {schedule}, steps={recommendation.updates})"
    )


class _Scheduler(NamedTuple):
    """A scheduler of torch: what to import, to define, to write, the optimizer's rate, remarks."""

    imports: str
    defined: str
    made: str
    lr: float | None
    remarks: tuple[str, ...]


class _Given:
    """What all libraries are told."""

    def __init__(self, recommendation: Recommendation) -> None:
        self.epochs, self.updates = recommendation.epochs, recommendation.updates
        self.lr = recommendation.lr
        #: Another optimizer than the task's own.
        self.other = plain_text(recommendation.optimizer)
        name = self.other or recommendation.settings.get("optimizer")
        self.name = name if isinstance(name, str) and name in _OPTIMIZERS else "SGD"
        self.comment = "  # or yours"
        if self.other:
            self.comment = "" if self.name == self.other else f"  # {self.other} in its place"
        text = recommendation.schedule or ""
        self.parse = _broken(f"schedule = ss.schedules.parse({_quoted(text)})")
        self.schedule: Schedule | None = None
        with suppress(StepsizeError):
            # A function named in a text is not called: the text may come from anyone.
            self.schedule = parse(text, steps=self.updates)

    def export(self, library: str) -> tuple[Exported | None, tuple[str, ...]]:
        """The library's own schedule, and remarks; None with the reason where it has no equal."""
        if self.schedule is None:
            return None, ()
        try:
            call = write(self.schedule, library, self.updates)
        except StepsizeError as error:
            return None, (plain_text(str(error).partition(" Use it as it is")[0]),)
        return call, call.differences

    def torch_scheduler(self) -> _Scheduler | None:
        """torch's own scheduler, or its ``LambdaLR`` with the formula written out."""
        call, remarks = self.export("torch")
        if call is not None:
            made = _broken(f"scheduler = {call}")
            return _Scheduler(_imported(_TORCH_SCHEDULERS, call), "", made, call.lr, remarks)
        lines = "" if self.schedule is None else formula(self.schedule, self.updates)
        if not lines:
            return None
        imports = f"from {_TORCH_SCHEDULERS} import LambdaLR"
        imports = f"import math\n\n{imports}" if "math." in lines else imports
        said = ("torch multiplies the optimizer's rate by the function, so that rate is 1.",)
        made = "scheduler = LambdaLR(optimizer, rate)"
        return _Scheduler(imports, f"\n\n\n{lines}", made, 1.0, said)

    def torch_optimizer(self, model: str, rate: float | None = None) -> str:
        """A line that makes the optimizer, with the peak where its rate does not matter."""
        rate = self.lr if rate is None else rate
        made = f"optimizer = torch.optim.{self.name}({model}.parameters(), lr={rate!r})"
        return f"{made}{self.comment}"


_Lines = tuple[str, str, tuple[str, ...]]


def _torch(given: _Given) -> _Lines:
    loop = (
        f"\n\nfor epoch in range({given.epochs}):\n    for batch in loader:\n"
        "        optimizer.zero_grad()\n        loss_fn(model, batch).backward()\n"
        "        optimizer.step()\n        scheduler.step()"
    )
    imports = "import torch\n" if given.other else ""
    own = "# optimizer: yours; the groups keep their ratios"
    code = (
        f"import stepsize as ss\n{imports}\n"
        f"{given.torch_optimizer('model') if given.other else own}\n{given.parse}\n"
        f"{_scheduled(given)}{loop}"
    )
    found = given.torch_scheduler()
    if found is None:
        return code, "", given.export("torch")[1]
    own = f'for group in optimizer.param_groups:\n    group["lr"] = {found.lr!r}'
    plain = (
        f"{_joined(imports, found.imports)}{found.defined}{_gap(found.defined)}"
        f"{given.torch_optimizer('model', found.lr) if given.other else own}\n{found.made}{loop}"
    )
    return code, plain, found.remarks


def _keras(given: _Given) -> _Lines:
    own = "# optimizer: yours"
    if given.other:
        name, settings, _, _ = _OPTIMIZERS[given.name]
        own = f"optimizer = keras.optimizers.{name}({settings}){given.comment}"
    imports = "import keras\n" if given.other else ""
    code = (
        f"{imports}import stepsize as ss\n\n{own}\n{given.parse}\n"
        f"rates = ss.keras.ScheduledLR(schedule, steps={given.updates})\n"
        "model.compile(optimizer, loss)\n"
        f"model.fit(x, y, epochs={given.epochs}, callbacks=[rates])"
    )
    call, remarks = given.export("keras")
    if call is None:
        return code, "", remarks
    plain = (
        f"{imports}{_imported('keras.optimizers.schedules', call)}\n\n{own}\n"
        f"{_broken(f'optimizer.learning_rate = {call}')}\n"
        f"model.compile(optimizer, loss)\nmodel.fit(x, y, epochs={given.epochs})"
    )
    return code, plain, remarks


def _lightning(given: _Given) -> _Lines:
    head = "\n\n\ndef configure_optimizers(self):  # of your LightningModule\n"
    code = (
        f"import stepsize as ss\nimport torch{head}"
        f"    {given.torch_optimizer('self')}\n{_indented(given.parse)}\n"
        f"{_indented(_scheduled(given))}\n{_CONFIGURED}"
    )
    found = given.torch_scheduler()
    if found is None:
        return code, "", given.export("torch")[1]
    plain = (
        f"{_joined('import torch', found.imports)}{found.defined}{head}"
        f"    {given.torch_optimizer('self', found.lr)}\n{_indented(found.made)}\n{_CONFIGURED}"
    )
    return code, plain, found.remarks


def _transformers(given: _Given) -> _Lines:
    trainer = (
        "\ntrainer = transformers.Trainer(\n    model,\n"
        f"    arguments,  # with max_steps={given.updates}\n"
        "    train_dataset=dataset,\n    optimizers=(optimizer, scheduler),\n)\n"
        "trainer.train()"
    )
    code = (
        "import stepsize as ss\nimport torch\nimport transformers\n\n"
        f"{given.torch_optimizer('model')}\n{given.parse}\n{_scheduled(given)}{trainer}"
    )
    call, remarks = given.export("transformers")
    imports, defined = "import torch\nimport transformers", ""
    if call is not None:
        rate, made = call.lr, _broken(f"scheduler = transformers.{call}")
    else:
        found = given.torch_scheduler()
        if found is None:
            return code, "", remarks
        imports = _joined(imports, found.imports)
        rate, made, defined, remarks = found.lr, found.made, found.defined, found.remarks
    plain = (
        f"{imports}{defined}{_gap(defined)}{given.torch_optimizer('model', rate)}\n{made}{trainer}"
    )
    return code, plain, remarks


def _optax(given: _Given) -> _Lines:
    _, _, name, settings = _OPTIMIZERS[given.name]
    optimizer = f"optimizer = optax.{name}(rate{settings}){given.comment}"
    code = (
        f"import optax\nimport stepsize as ss\n\n{given.parse}\n"
        f"rate = ss.jax.as_schedule(schedule, steps={given.updates})\n{optimizer}"
    )
    call, remarks = given.export("optax")
    if call is None:
        return code, "", remarks
    plain = f"import optax\n{_imported('optax', call)}\n\n{_broken(f'rate = {call}')}\n{optimizer}"
    return code, plain, remarks


def _joined(first: str, imports: str) -> str:
    """Imports together, the standard library's before the others."""
    standard, gap, others = imports.rpartition("\n\n")
    return f"{standard}{gap}" + "\n".join(filter(None, (first.strip(), others)))


def _gap(defined: str) -> str:
    """Lines left blank after imports, and after a function."""
    return "\n\n\n" if defined else "\n\n"


def _scheduled(given: _Given) -> str:
    made = "scheduler = ss.torch.ScheduledLR(optimizer, schedule, "
    return _broken(f"{made}steps={given.updates})")


def _imported(module: str, call: Exported) -> str:
    names = ", ".join(sorted(set(_names(call.name, call.kwargs))))
    plain = f"from {module} import {names}"
    return plain if len(plain) <= _WIDTH else _broken(f"from {module} import ({names})")


def _names(name: str, kwargs: Mapping[str, Any]) -> Iterator[str]:
    """A call's name and those of the calls among its arguments."""
    yield name
    for value in kwargs.values():
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if is_call(item):
                yield from _names(item["name"], item["kwargs"])


def _quoted(text: str) -> str:
    """A text as Python writes it, in double quotes where that needs no escapes."""
    plain = plain_text(text)
    return f'"{plain}"' if not {'"', "\\"} & set(plain) else repr(plain)


def _indented(lines: str) -> str:
    return "\n".join(f"    {line}" for line in lines.splitlines())


def _broken(line: str, indent: str = "") -> str:
    """A long line broken inside of its outermost brackets: all items on one line, or one on each.

    >>> print(_broken(f"rate = decay(first=0.1, last=0.{'0' * 30}1)"))
    rate = decay(
        first=0.1, last=0.0000000000000000000000000000001
    )
    """
    line = f"{indent}{line}"
    start = next((i for i, char in enumerate(line) if char in "([\"'"), -1)
    if len(line) <= _WIDTH or start < 0 or line[start] in "\"'":
        return line
    items, end = _items(line, start)
    if not items:
        return line
    together = f"{indent}    {', '.join(items)}"
    if len(together) <= _WIDTH:
        return f"{line[: start + 1]}\n{together}\n{indent}{line[end:]}"
    inner = "".join(f"{_broken(item, indent + '    ')},\n" for item in items)
    return f"{line[: start + 1]}\n{inner}{indent}{line[end:]}"


def _items(line: str, start: int) -> tuple[list[str], int]:
    """What stands between the bracket at ``start`` and its partner, and where that is."""
    items: list[str] = []
    item, depth, quote = "", 0, ""
    for place, char in enumerate(line[start:], start):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        if not depth:
            return [*items, item.strip()] if item.strip() else items, place
        if char == "," and depth == 1 and not quote:
            items.append(item.strip())
            item = ""
        elif place > start:
            item += char
    return [], start
