"""Text: the grammar, the canonical form, and errors that point at the place."""

import gc
import re
from dataclasses import fields
from pathlib import Path
from time import process_time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stepsize.errors import InputError
from stepsize.schedules import (
    KINDS,
    Chain,
    Clip,
    Constant,
    Cosine,
    Function,
    Linear,
    Multiply,
    Points,
    Ramp,
    Scale,
    Schedule,
    WarmRestarts,
    Warmup,
    parse,
)

GUIDE = Path(__file__).parents[2] / "docs" / "schedule-text.md"


def guide_examples():
    blocks = re.findall(r"```text\n(.*?)```", GUIDE.read_text(), re.S)
    for line in "".join(blocks).splitlines():
        text, _, canonical = line.partition("->")
        yield text.strip(), canonical.strip() or text.strip()


@pytest.mark.parametrize(("text", "canonical"), list(guide_examples()))
def test_the_examples_of_the_guide(text, canonical):
    assert str(parse(text)) == canonical
    assert parse(canonical) == parse(text)


def test_the_guide_shows_the_error_that_is_raised():
    shown = re.search(r"```console\n(.*?)\n```", GUIDE.read_text(), re.S)[1]
    with pytest.raises(InputError) as caught:
        parse("warmup(cosine(0.1, stps=500), steps=5%)")
    assert str(caught.value) == shown


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("cosine(0.1)", Cosine(0.1)),
        (" cosine ( .1 , ) ", Cosine(0.1)),
        ("cosine(\n\t1_0e-2,\r\n end_value = +1E-3)", Cosine(0.1, 0.001)),
        ("cosine(1., 1/4)", Cosine(1.0, 0.25)),
        ("cosine(2 * 0.1 / 4)", Cosine(0.05)),
        ("cosine(0.1, steps=3epochs)", Cosine(0.1, steps="3 epochs")),
        ("cosine(0.1, steps=.5 ep)", Cosine(0.1, steps="0.5 epochs")),
        ("cosine(0.1, steps=2_00 updates)", Cosine(0.1, steps=200)),
        ("cosine(0.1, steps=12.5%)", Cosine(0.1, steps="12.5%")),
        ("cosine(0.1, steps=rest)", Cosine(0.1)),
        ("ramp(0.1, shape='1-sqrt')", Ramp(0.1)),
        ("constant(0.1, None)", Constant(0.1)),
        ("clip(linear(1), high=none, low=0.1)", Clip(Linear(1.0), 0.1)),
        ("chain(cosine(1, 0, 9))", Chain((Cosine(1.0, steps=9),))),
        ("chain(constant(1, 2), linear(1),)", Chain((Constant(1.0, 2), Linear(1.0)))),
        ("chain(pieces=[constant(1, 2), linear(1)])", Chain((Constant(1.0, 2), Linear(1.0)))),
        ("warmup(cosine(0.1), 10, cosine)", Warmup(Cosine(0.1), 10, "cosine")),
        ("((cosine(0.1)))", Cosine(0.1)),
        ("0.5 * 0.5 * cosine(1)", Scale(Cosine(1.0), 0.25)),
        ("0.5 * (0.5 * cosine(1))", Scale(Scale(Cosine(1.0), 0.5), 0.5)),
        ("cosine(1) * 0.5 * linear(1)", Multiply(Scale(Cosine(1.0), 0.5), Linear(1.0))),
        (
            "linear(1) * (linear(2) * linear(3))",
            Multiply(Linear(1.0), Multiply(Linear(2.0), Linear(3.0))),
        ),
    ],
)
def test_what_texts_mean(text, schedule):
    assert parse(text) == schedule
    assert parse(str(schedule)) == schedule


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        (Cosine(1.0), "cosine(1)"),
        (Cosine(1e-5), "cosine(1e-05)"),
        (Cosine(1e22), "cosine(1e+22)"),
        (Linear(0.0, 1.0, 10), "linear(0, end_value=1, steps=10)"),
        (Constant(0.1), "constant(0.1)"),
        (Cosine(1.0, steps="0.0000001 epochs"), "cosine(1, steps=0.0000001 epochs)"),
        (Cosine(1.0, steps="10000000 epochs"), "cosine(1, steps=10000000 epochs)"),
        (WarmRestarts(0.1, reach_end=True), "warm_restarts(0.1, reach_end=true)"),
        (Points((0, "5%"), (0.1, 1.0)), "points([0, 5%], [0.1, 1])"),
        (Ramp(0.1, shape="square"), 'ramp(0.1, shape="square")'),
        (Scale(Multiply(Cosine(1.0), Linear(1.0)), 2.0), "2 * (cosine(1) * linear(1))"),
        (Multiply(Scale(Cosine(1.0), 2.0), Linear(1.0)), "2 * cosine(1) * linear(1)"),
        (Multiply(Cosine(1.0), Scale(Linear(1.0), 2.0)), "cosine(1) * (2 * linear(1))"),
    ],
)
def test_the_canonical_text(schedule, text):
    assert str(schedule) == text
    assert parse(text) == schedule


def test_a_text_is_resolved_when_the_run_is_known():
    text = "warmup(cosine(0.1, steps=rest), steps=2 epochs)"
    assert parse(text, steps=1000, steps_per_epoch=50) == parse(text).resolve(1000, 50)
    assert parse(text, steps=1000, steps_per_epoch=50).length == 1000
    assert not parse(text).is_resolved
    with pytest.raises(InputError, match="only together with steps"):
        parse(text, steps_per_epoch=50)
    with pytest.raises(InputError, match="steps_per_epoch"):
        parse(text, steps=1000)


#: The carets of each error stand under what is in «» here.
@pytest.mark.parametrize(
    ("marked", "message"),
    [
        ("«cosin»(0.1)", "no schedule 'cosin'. Did you mean cosine"),
        ("«qqqq»(0.1)", "There are .*chain, .*warmup"),
        ("«cosine»", "no schedule: write its parameters in parentheses"),
        ("«cosin»", r"parentheses, such as cosine\(0.1\). Did you mean cosine"),
        ("«0.1»", r"constant\(0.1\)"),
        ("«[cosine(1)]»", "This is no schedule"),
        ("cosine(«-1»)", "init_value must be 0 or more, got -1.0"),
        ("exponential(1, factor=«1.1»)", "factor must be at most 1, got 1.1"),
        ("cosine(0.1, end_value=«true»)", "end_value must be a number, got True"),
        ("cosine(0.1, steps=«0»)", "1 or more whole updates"),
        ("cosine(0.1, steps=«150%»)", "at most 100%"),
        ("cosine(0.1, steps=3 «epocs»)", "'epocs' is no unit of length. Did you mean epochs"),
        ("cosine(0.1, steps=«[1, 2]»)", "steps is a number of updates"),
        ("cosine(0.1, «stps»=3)", "no parameter 'stps'. Did you mean steps"),
        ("cosine(0.1, «init_value»=3)", "init_value is given twice"),
        ("cosine(0.1, steps=1, «steps»=2)", "steps is given twice"),
        ("cosine(1, 2, 3, «4», 5)", "at most 3 parameters"),
        ("cosine(steps=3, «0.1»)", "before the named ones"),
        ("«cosine(end_value=3)»", "cosine needs init_value"),
        ("«cosine(end_value=true)»", "cosine needs init_value"),
        ("warmup(«cosine(end_value=3)», steps=5)", "cosine needs init_value"),
        ("clip(«cosine(steps=3)», low=1)", "cosine needs init_value"),
        ("2 * «clip(cosine(1), low=2, high=1)»", "low <= high"),
        ("warmup(«cosine»)", r"must be a schedule, got 'cosine'. A schedule .*: cosine\(...\)"),
        ("chain(cosine(1, 0, 9), «linear»)", "This is no schedule"),
        ("«chain(constant(1), linear(1))»", "never ends"),
        ("cosine(0.1«»", r"',' or the '\)' that closes the '\(' of character 7.*the text ends"),
        ("cosine(0.1 «0.2»)", "',' or the '.' .*not '0.2'"),
        ("cosine(0.1)«)»", r"ends before '\)'"),
        ("cosine(0.1) «cosine»(0.2)", "ends before 'cosine'"),
        ("cosine(0.1, «,»)", "A value is expected here, not ','"),
        ("cosine(«*» 3)", r"A value is expected here, not '\*'"),
        ("-«cosine»(0.1)", "A number is expected after '-'"),
        ("«-1 * cosine(0.1)»", "factor must be 0 or more"),
        ("cosine(0.1) «*» [1]", "Only schedules and numbers can be multiplied"),
        ("cosine(0.1) «*» true", "Only schedules and numbers can be multiplied"),
        ("cosine(0.1) «/» 2", "Only numbers can be divided"),
        ("cosine(1/«0»)", "divides by zero"),
        ("cosine(«1e999»)", "too large"),
        ("cosine(«1e300 * 1e300»)", "too large"),
        ("cosine(«1e300/1e-300»)", "too large"),
        ("cosine(«'»1)", "never closed"),
        ("cosine(«é»)", "cannot hold LATIN SMALL LETTER E WITH ACUTE"),
        ("cosine(0.1)«\0»", "cannot hold U[+]0000"),
        ("«日»本(0.1)", "cannot hold CJK"),
        ("ramp(1, shape='日本', steps=«0»)", "1 or more"),
        ("ramp(1, steps=5, shape=«'日本'»)", "shape must be one of"),
        ("warmup(\n  cosine(0.1),\n  steps=«0»\n)", "1 or more"),
    ],
)  # fmt: skip
def test_an_error_points_at_the_place(marked, message):
    text = marked.replace("«", "").replace("»", "")
    with pytest.raises(InputError, match=message) as caught:
        parse(text)
    *_, shown, carets = str(caught.value).splitlines()
    start, stop = marked.index("«"), marked.index("»") - 1
    line = text[text.rfind("\n", 0, start) + 1 :].partition("\n")[0]
    column = start - (text.rfind("\n", 0, start) + 1)
    wide = sum(character > "\u2fff" for character in line[:column])
    length = max(stop - start, 1) + sum(character > "\u2fff" for character in text[start:stop])
    assert shown == "  " + line.replace("\0", "?")
    assert carets == "  " + " " * (column + wide) + "^" * length


def test_an_empty_text():
    for text in ("", " \n"):
        with pytest.raises(InputError, match=r"such as cosine\(0.1\); the text is empty"):
            parse(text)


@pytest.mark.parametrize("wrong", [None, b"cosine(0.1)", Cosine(0.1), 0.1])
def test_only_text_is_parsed(wrong):
    with pytest.raises(InputError, match="text is expected"):
        parse(wrong)


def test_a_long_text_is_shown_in_part():
    with pytest.raises(InputError) as caught:
        parse(f"chain({'cosine(1, 0, 9), ' * 100} cosine(-1))")
    *_, shown, carets = str(caught.value).splitlines()
    assert len(shown) < 100
    assert shown[carets.index("^") : carets.rindex("^") + 1] == "-1"
    assert "..." in shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("9" * 10_000_000, "at most 1,000,000 characters, got 10,000,000"),
        ("(" * 900_000, "More than 50 brackets"),
        ("[" * 900_000, "More than 50 brackets"),
        ("warmup(" * 100_000, "More than 50 brackets"),
        ("*".join(["cosine(1)"] * 60), "more than 50 schedules within"),
        ("-" * 900_000, "number is expected"),
        ("9" * 900_000, "too long for a number"),
        ("0" + "_0" * 400_000, "too long for a number"),
        ("." * 900_000, "cannot hold FULL STOP"),
        ("'" * 900_001, "The schedule ends before"),
        ("a" * 900_000, "no schedule"),
        ("a" * 900_000 + "(", "There is no schedule"),
        (f"cosine({'9' * 350})", "too large"),
        (f"cosine({'9' * 200} * {'9' * 200})", "too large"),
        (f"cosine(1, steps='{'9' * 5000}')", "steps is a number of updates"),
        (f"cosine(1, steps={'9' * 399})", "too large"),
        (f"cosine(1, steps={'9' * 300})", "1 or more whole updates"),
        (f"cosine({' ' * 900_000}-1)", "0 or more"),
        (f"cosine(1, {'x' * 900_000}=1)", "no parameter"),
        (f"cosine({'[' * 40}{'1,' * 300_000}{']' * 40})", "must be a number"),
    ],
)
def test_hostile_texts_are_refused_soon(text, message):
    gc.collect()
    gc.freeze()  # the heap of the tests before is not searched again and again
    try:
        start = process_time()
        with pytest.raises(InputError, match=message) as caught:
            parse(text)
        spent = process_time() - start
    finally:
        gc.unfreeze()
    assert len(str(caught.value)) < 1500
    assert spent < 10  # seconds; the largest takes one or two, not hours


def read(text):
    """A schedule or None; anything but InputError is a failure."""
    try:
        schedule = parse(text)
    except InputError:
        return None
    assert isinstance(schedule, Schedule)
    return schedule


NAMES = sorted({field.name for kind in KINDS.values() for field in fields(kind)})
LEAVES = ["0", "1", "-1", "0.1", "1e-3", "1/3", "1e400", "10_000", "5%", "3 epochs", "rest"]
LEAVES += ["none", "true", "'x'", '"1/W"', "cosine", "[]", "[1, 2]", "[0, 0.1]", "9007199254740993"]
SIGNS = ["(", ")", "[", "]", ",", "=", "*", "/", "-", "+", "%", "epochs", "\0", "\n", "é", "'"]
WORDS = st.sampled_from(
    SIGNS + LEAVES + [f"{name}(" for name in KINDS] + [f"{name}=" for name in NAMES]
)


@st.composite
def calls(draw, inner):
    """Grammatical calls that rarely mean anything."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    own = [field.name for field in fields(KINDS[kind])]
    arguments = draw(st.lists(inner, max_size=3))
    for name in draw(st.lists(st.sampled_from(own), max_size=3)):
        arguments.append(f"{name}={draw(inner)}")
    return f"{kind}({', '.join(arguments)})"


SENTENCES = st.recursive(
    st.sampled_from(LEAVES) | calls(st.sampled_from(LEAVES)),
    lambda inner: calls(inner) | st.tuples(inner, inner).map(" * ".join),
    max_leaves=8,
)


@given(st.text(max_size=40) | st.lists(WORDS, max_size=25).map(" ".join) | SENTENCES)
@example("cosine(" * 300)
@example("cosine(0.1, steps='' )")
def test_any_text_is_a_schedule_or_an_input_error(text):
    schedule = read(text)
    assert schedule is None or parse(str(schedule)) == schedule


VALID = [text for text, _ in guide_examples()]


@given(st.sampled_from(VALID), st.data())
def test_a_damaged_text_is_a_schedule_or_an_input_error(text, data):
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        stop = data.draw(st.integers(at, min(at + 4, len(text))))
        text = text[:at] + data.draw(WORDS | st.text(max_size=3)) + text[stop:]
    schedule = read(text)
    assert schedule is None or parse(str(schedule)) == schedule


def test_functions_are_refused_unless_the_text_is_trusted():
    schedule = Warmup(Function("math:sqrt", steps=10), steps=2)
    assert str(schedule) == 'warmup(function("math:sqrt", steps=10), steps=2)'
    assert parse(str(schedule), functions=True) == schedule
    for text in (str(schedule), 'function("os:abort")', "function(", "2 * function('no.module:f')"):
        with pytest.raises(InputError, match="runs code; if you trust") as caught:
            parse(text)
        *_, shown, carets = str(caught.value).splitlines()
        assert shown[carets.index("^") : carets.rindex("^") + 1] == "function"


def test_a_lambda_prints_but_has_no_text():
    text = str(Function(lambda step: 0.1, steps=5))
    assert text.startswith("function(<")
    with pytest.raises(InputError, match="cannot hold LESS-THAN SIGN"):
        parse(text, functions=True)


def test_numbers_may_be_used_by_name():
    names = {"lr": 0.28, "base_lr": 0.03}
    assert parse("0.5 * cosine(lr, end_value=base_lr)", names=names) == parse(
        "0.5 * cosine(0.28, end_value=0.03)"
    )
    with pytest.raises(InputError, match="lr"):
        parse("cosine(lr)")
    with pytest.raises(InputError, match="must be"):
        parse("cosine(lr)", names={"lr": -1.0})
