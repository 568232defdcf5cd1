"""What a runs database holds, for a terminal: a list of the runs, and one run in detail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from stepsize.records import OVER, Evaluation
from stepsize.report.characters import encoded
from stepsize.report.compare_words import number_text
from stepsize.report.wording import count_text, plain_text, seconds_text, setting_text
from stepsize.store import StoredComparison, StoredRun

_GAP = "  "
#: Evaluations of a run that are shown; of more, the first and the last.
_MOST_EVALUATIONS = 40


@final
@dataclass(frozen=True, slots=True)
class Listed:
    """A run in a list: the run, its arm, and its final values."""

    run: StoredRun
    arm: str
    final: Mapping[str, float]


def listing(
    groups: Sequence[tuple[StoredComparison | None, Sequence[Listed]]], *, ascii_only: bool = False
) -> str:
    """The runs by comparison and arm; None stands for runs that are in no comparison.

    >>> definition = {"task": "digits", "schedule": "cosine(0.1, steps=6)", "updates": 6}
    >>> run = StoredRun(7, "k", {**definition, "seed": 0, "epochs": 1}, "finished", 6, seconds=2)
    >>> print(listing([(None, [Listed(run, "cosine(0.1, steps=6)", {"val_loss": 0.31})])]))
    in no comparison: digits
      cosine(0.1, steps=6)
        run  seed  status    updates  val_loss  time   started (UTC)
        7    0     finished  6 of 6   0.31      2.0 s  –
    """
    blocks = ["\n".join(_group(comparison, runs)) for comparison, runs in groups]
    return encoded("\n\n".join(blocks), ascii_only)


def _group(comparison: StoredComparison | None, runs: Sequence[Listed]) -> Iterator[str]:
    tasks = ", ".join(dict.fromkeys(plain_text(each.run.definition["task"]) for each in runs))
    if comparison is None:
        yield f"in no comparison: {tasks}"
    else:
        over = sum(each.run.status in OVER for each in runs)
        name = f", {plain_text(comparison.name)}" if comparison.name else ""
        state = f"{over} of {len(runs)} runs over" if runs else "no runs"
        about = f": {tasks}; {state}" if tasks else f": {state}"
        yield f"comparison {comparison.id}{name}{about}; {_moment(comparison.created)}"
    metric = str(comparison.plan.get("metric", "val_loss")) if comparison else "val_loss"
    heads = ("run", "seed", "status", "updates", plain_text(metric), "time", "started (UTC)")
    cells = [_cells(each, metric) for each in runs]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    for number, (each, texts) in enumerate(zip(runs, cells, strict=True)):
        if not number or runs[number - 1].arm != each.arm:
            yield f"  {plain_text(each.arm)}"
        if not number:
            yield f"    {_joined(heads, widths)}"
        yield f"    {_joined(texts, widths)}"


def _cells(each: Listed, metric: str) -> tuple[str, ...]:
    run = each.run
    return (
        str(run.id),
        str(run.definition["seed"]),
        run.status,
        _updates(run),
        number_text(each.final.get(metric)),
        seconds_text(run.seconds) if run.seconds > 0 else "–",
        _moment(run.started),
    )


def _joined(texts: Sequence[str], widths: Sequence[int]) -> str:
    return _GAP.join(f"{text:<{width}}" for text, width in zip(texts, widths, strict=True)).rstrip()


def _updates(run: StoredRun) -> str:
    return f"{count_text(run.done)} of {count_text(run.definition['updates'])}"


def _moment(at: str | None) -> str:
    """A time of the store to the minute."""
    return plain_text(at)[:16].replace("T", " ") if at else "–"


def details(
    run: StoredRun, comparisons: Sequence[tuple[StoredComparison, str]], *, ascii_only: bool = False
) -> str:
    """Everything the store knows of one run.

    Args:
        run: with its history and events.
        comparisons: those it is in, each with its arm's name.
        ascii_only: leave out what an ASCII terminal cannot show.
    """
    return encoded("\n".join(_about(run, comparisons)), ascii_only)


def _about(run: StoredRun, comparisons: Sequence[tuple[StoredComparison, str]]) -> Iterator[str]:
    definition = run.definition
    yield f"run {run.id}, {run.key}: {run.status}, {_updates(run)} updates"
    if run.error:
        yield f"  error: {plain_text(run.error)}"
    if run.status == "crashed":
        yield "  its process is gone without a word; the command that began it goes on with it"
    for comparison, arm in comparisons:
        name = f" ({plain_text(comparison.name)})" if comparison.name else ""
        yield f"  in comparison {comparison.id}{name} as {plain_text(arm)}"
    times = {"started": run.started, "ended": run.ended}
    said = [f"{word} {_moment(at)} UTC" for word, at in times.items() if at]
    if run.seconds > 0:
        said.append(f"{seconds_text(run.seconds)} of training")
    if run.owner is not None:
        said.append(f"process {run.owner[1]} on {plain_text(run.owner[0])}")
    if said:
        yield f"  {', '.join(said)}"
    for title, data in (
        ("definition", definition),
        ("environment", run.environment),
        ("facts", run.facts),
    ):
        if data:
            yield f"{title}:"
            yield from (f"  {line}" for line in _pairs(data))
    yield from _evaluations(run.history)
    if run.events:
        yield "events (UTC):"
        for event in run.events:
            yield f"  {plain_text(event.at)[:19].replace('T', ' ')}  {plain_text(event.kind)}" + (
                f": {plain_text(event.text)}" if event.text else ""
            )


def _pairs(data: Mapping[str, Any]) -> Iterator[str]:
    """Names and values, one line each; a mapping in one line of its own."""
    for name, value in data.items():
        if isinstance(value, Mapping) and value:
            inside = (f"{plain_text(key)} {setting_text(each)}" for key, each in value.items())
            yield f"{plain_text(name)}: {', '.join(inside)}"
        else:
            yield f"{plain_text(name)}: {setting_text(value)}"


def _evaluations(history: Sequence[Evaluation]) -> Iterator[str]:
    if not history:
        return
    names = list(dict.fromkeys(name for each in history for name in each.values))
    heads = ("epoch", "updates", *map(plain_text, names))
    shown = list(history)
    left_out = len(history) - _MOST_EVALUATIONS
    if left_out > 0:
        half = _MOST_EVALUATIONS // 2
        shown = [*history[:half], *history[-half:]]
    cells = [
        (
            str(each.epoch),
            count_text(each.updates),
            *(number_text(each.values.get(name)) for name in names),
        )
        for each in shown
    ]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    yield "evaluations:"
    yield f"  {_joined(heads, widths)}"
    for number, texts in enumerate(cells):
        if left_out > 0 and number == _MOST_EVALUATIONS // 2:
            yield f"  … {count_text(left_out)} more"
        yield f"  {_joined(texts, widths)}"
