"""The page of a recommendation: one file with everything in it, for a browser without a network."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from stepsize.records import Recommendation
from stepsize.report import tune_svg as svg
from stepsize.report.compare_words import decimals_of_values, number_text
from stepsize.report.page import build, code, facts, items, section, table, text
from stepsize.report.sparkline import picture, polyline
from stepsize.report.tune_arms import ArmView, last_reading
from stepsize.report.tune_code import Snippet, snippets
from stepsize.report.tune_view import TuneView, view_of
from stepsize.report.tune_words import (
    BASIS_WORDS,
    DIGITS,
    FATE_WORDS,
    STAGE_WORDS,
    VERDICT_WORDS,
    attempts,
    check_command,
    check_words,
    cost_text,
    expected_texts,
    interval_words,
    length_text,
    sensitivity_text,
    under,
)
from stepsize.report.wording import count_text, plain_text, rate_text, sentence

#: Rungs in the table; of more, those that most arms reached.
_MOST_RUNGS = 8


def page(recommendation: Recommendation) -> str:
    """The whole page. The same recommendation gives the same page, byte for byte."""
    view = view_of(recommendation)
    return build(
        "tune",
        title=view.title,
        scripts=("tune.js",),
        style=_style(view),
        heading=_heading(recommendation),
        answer="\n".join(_answer(recommendation)),
        facts="\n".join(_facts(recommendation)),
        sections="\n".join(_sections(recommendation, view)),
    )


def fragment(recommendation: Recommendation) -> str:
    """A few lines of HTML for a notebook: the answer and a small picture, no script.

    >>> from stepsize.records import Cost
    >>> "<script" in fragment(Recommendation("digits", 1, 9, "flat", "", Cost(9, 0.0, 9)))
    False
    """
    view = view_of(recommendation)
    width, height = 320, 90
    lines = [
        polyline(
            ((view.place(rate), view.height(loss)) for rate, loss, _ in valley.points),
            width,
            height,
        )
        for valley in view.valleys
    ]
    said = [under(recommendation), recommendation.reason, sensitivity_text(recommendation)]
    below = "".join(f"<div>{text(line)}</div>" for line in said if line)
    return (
        f"<div><strong>{text(view.title)}</strong><br>"
        f"{picture(lines, width, height) if lines else ''}"
        f"{below}<small>{text(cost_text(recommendation))}</small></div>"
    )


def _heading(recommendation: Recommendation) -> str:
    return text(
        f"Peak learning rate and schedule for {recommendation.task}, {length_text(recommendation)}"
    )


def _style(view: TuneView) -> str:
    """Rules that give every arm its colour, on white and on dark."""
    light = "".join(f".arm-{arm.number} {{ --arm: {arm.style.colour}; }}\n" for arm in view.arms)
    dark = "".join(f".arm-{arm.number} {{ --arm: {arm.style.dark}; }}\n" for arm in view.arms)
    return f"{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n"


def _answer(recommendation: Recommendation) -> Iterator[str]:
    if recommendation.lr is None:
        yield '<p class="answer none">No rate recommended</p>'
        yield f"<p>{text(sentence(VERDICT_WORDS[recommendation.verdict]))}</p>"
    else:
        yield f'<p class="answer">{rate_text(recommendation.lr, DIGITS)}</p>'
        yield f'<p class="schedule">{text(recommendation.schedule)}</p>'
    if recommendation.lr is not None and recommendation.optimizer:
        yield (
            f"<p>with <strong>{text(recommendation.optimizer)}</strong> instead of the task's own "
            "optimizer</p>"
        )
    yield f'<p class="reason">{text(recommendation.reason)}</p>'
    if recommendation.interrupted and recommendation.lr is not None:
        yield (
            '<p class="warning">Stopped early: this is the answer of what was known then. '
            "A race that ends knows more.</p>"
        )


def _facts(recommendation: Recommendation) -> Iterator[str]:
    """How sure, what to expect, what it cost."""
    interval = interval_words(recommendation)
    if interval:
        first = interval.partition("interval ")[2]
        yield _fact("The best rate, at 80 %", first, "")
    for name, mean, ends in expected_texts(recommendation):
        below = f"95 % interval {ends[1:-1].replace(', ', ' to ')}" if ends else ""
        yield _fact(f"Expected {name} at the end", mean, below)
    matters, _, rest = sensitivity_text(recommendation).partition(": ")
    if matters:
        yield _fact("How much it matters", matters, sentence(rest))
    ratio, _, rest = cost_text(recommendation).partition(": ")
    yield _fact("What it cost", ratio, sentence(rest))


def _fact(name: str, value: str, more: str) -> str:
    below = f"<small>{text(more)}</small>" if more else ""
    return f"<div><dt>{text(name)}</dt><dd><b>{text(value)}</b>{below}</dd></div>"


def _sections(recommendation: Recommendation, view: TuneView) -> Iterator[str]:
    tries = attempts(recommendation)
    if tries:
        yield section("What to try", "".join(_attempt(*each) for each in tries))
    codes = snippets(recommendation)
    if codes:
        yield section("Use it", _codes(codes))
    if view.arms:
        yield section("The race", _pictures(view))
        yield section("Every arm", _arms(recommendation, view))
    if recommendation.alternatives:
        yield section("Other schedules and lengths", _alternatives(recommendation))
    yield '<div class="columns">'
    check = check_command(recommendation)
    if check:
        said = f'<p class="key">{text(check_words(recommendation))}</p>'
        yield section("Check it", said + _command(check))
    if recommendation.notes:
        yield section("Worth knowing", items(recommendation.notes))
    command = recommendation.settings.get("command")
    again = _command(plain_text(command)) if command else ""
    settings = facts(recommendation.settings)
    if again or settings:
        yield section("How to reproduce it", again + settings)
    yield "</div>"


def _attempt(words: str, command: str) -> str:
    return f"<p>{text(words)}</p>{_command(command) if command else ''}"


def _command(line: str) -> str:
    return f'<div class="command">{code(line)}</div>'


def _pictures(view: TuneView) -> str:
    legend = "".join(
        f"<li>{svg.sample(name)}<span>{text(words)}</span></li>" for name, words in view.legend
    )
    test = svg.range_test(view)
    below = f"<figcaption><h3>The range test before the race</h3></figcaption>{test}"
    kind = "legend" if test else "legend whole"
    return (
        '<p class="key">The colour of a line is its rate: its points in the second picture stand '
        'above that rate.</p><div class="pictures">'
        f"{_figure('Validation loss of every arm', svg.race(view))}"
        f"{_figure('Validation loss over the peak rate, rung by rung', svg.valleys(view))}"
        f'<ul class="{kind}">{legend}</ul>'
        + (f'<figure class="panel">{below}</figure>' if test else "")
        + "</div>"
    )


def _figure(caption: str, drawn: str) -> str:
    return (
        f'<figure class="panel"><figcaption><h3>{caption}</h3></figcaption>'
        f'<div class="chart" role="img" aria-label="{caption}; the table below has its numbers">'
        f"{drawn}</div></figure>"
    )


def _codes(codes: tuple[Snippet, ...]) -> str:
    """One tab for each library; they work without a script."""
    tabs = []
    for number, one in enumerate(codes):
        checked = " checked" if number == 0 else ""
        blocks = f"<div><h3>With stepsize</h3>{code(one.code)}</div>"
        remarks = "".join(f'<p class="key">{text(remark)}</p>' for remark in one.remarks)
        plain = code(one.plain) if one.plain else ""
        if plain or remarks:
            blocks += f"<div><h3>Without it</h3>{plain}{remarks}</div>"
        tabs.append(
            f'<input type="radio" name="library" id="code-{one.name}"{checked}>'
            f'<label for="code-{one.name}">{text(one.title)}</label>'
            f'<div class="lines">{blocks}</div>'
        )
    return f'<div class="codes">{"".join(tabs)}</div>'


def _arms(recommendation: Recommendation, view: TuneView) -> str:
    """The arms with their losses rung by rung: those that came far first, the lowest first."""
    rungs = _rungs(recommendation)
    stages = any(arm.arm.stage != "race" for arm in view.arms)
    above = f'<th class="number" colspan="{len(rungs)}">validation loss after so many updates</th>'
    last = '<th class="said">trained for</th>' if stages else ""
    heads = "".join(f'<th class="number">{count_text(rung)}</th>' for rung in rungs)
    head = (
        f"<tr><th></th>{above if rungs else ''}<th></th>{'<th></th>' if stages else ''}"
        '<th class="number">all its</th></tr>'
        f'<tr><th>rate</th>{heads}<th class="said">fate</th>{last}<th class="number">updates</th>'
        "</tr>"
    )
    decimals = decimals_of_values(loss for arm in view.arms for _, loss in arm.points)
    order = sorted(view.arms, key=lambda arm: (-last_reading(arm.arm)[0], last_reading(arm.arm)[1]))
    rows = "".join(_row(arm, rungs, decimals, stages) for arm in order)
    return (
        f'<div class="scroll"><table class="arms"><thead>{head}</thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(arm: ArmView, rungs: tuple[int, ...], decimals: int | None, stages: bool) -> str:
    at = {reading.updates: reading.val_loss for reading in arm.arm.readings}
    cells = []
    for rung in rungs:
        shown = number_text(at.get(rung), decimals)
        kind = "number diverged" if shown == "diverged" else "number"
        cells.append(f'<td class="{kind}">{shown}</td>')
    fate = arm.arm.fate
    cells.append(f'<td class="said {fate}">{FATE_WORDS[fate]}</td>')
    if stages:
        stage = STAGE_WORDS[arm.arm.stage] if arm.root is None else "a decay on trial"
        cells.append(f'<td class="said">{stage}</td>')
    cells.append(f'<td class="number">{count_text(arm.arm.updates)}</td>')
    winner = ' class="winner"' if arm.winner else ""
    return (
        f'<tr data-arm="{arm.number}"{winner}><th scope="row" title="{text(arm.arm.schedule)}">'
        f'<span class="named">{svg.swatch(arm)}<span>{text(arm.name)}</span></span></th>'
        f"{''.join(cells)}</tr>"
    )


def _rungs(recommendation: Recommendation) -> tuple[int, ...]:
    reached: dict[int, int] = {}
    for arm in recommendation.evidence:
        for reading in arm.readings:
            reached[reading.updates] = reached.get(reading.updates, 0) + 1
    most = sorted(reached, key=lambda rung: (-reached[rung], -rung))[:_MOST_RUNGS]
    return tuple(sorted(most))


def _alternatives(recommendation: Recommendation) -> str:
    rows = []
    for each in recommendation.alternatives:
        low, high = (rate_text(end) for end in each.interval)
        basis = BASIS_WORDS.get(each.basis, each.basis)
        rows.append(
            (
                text(each.what),
                f"<code>{text(each.schedule)}</code>",
                escape(f"{low} to {high}"),
                text(basis),
            )
        )
    head = ("for", "schedule", "best peak, at 80 %", "basis")
    return f'<div class="others">{table(head, rows)}</div>'
