import pytest
from report.browser.conftest import PHONE, settle
from report.browser.looks import OVERFLOW, PALE
from report.tune_examples import EXAMPLES, hostile, other_optimizer, sgd, twenty_arms

from stepsize.report.tune_code import snippets
from stepsize.report.tune_html import page

#: Letters of pictures that reach out of them.
CUT = """() => [...document.querySelectorAll("svg.still")].flatMap((svg) => {
  const frame = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text")].filter((text) => {
    const box = text.getBoundingClientRect();
    return box.left < frame.left - 1 || box.right > frame.right + 1
      || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
  }).map((text) => text.textContent);
})"""


def shown_code(opened):
    return [block.inner_text() for block in opened.locator(".lines pre:visible").all()]


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("dark", [False, True])
def test_all_text_is_readable(show, name, dark):
    opened = show(page(EXAMPLES[name]()), dark=dark)
    assert opened.evaluate(PALE) == []
    assert opened.evaluate(CUT) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_telephone_never_scrolls_sideways(show, name):
    opened = show(page(EXAMPLES[name]()), PHONE, touch=True)
    assert opened.evaluate(OVERFLOW) <= 0
    assert opened.evaluate(CUT) == []


@pytest.mark.parametrize("scripts", [True, False])
def test_each_library_has_its_code_with_and_without_scripts(show, scripts):
    given = other_optimizer()
    opened = show(page(given), scripts=scripts)
    for one in snippets(given):
        opened.locator(f"label[for=code-{one.name}]").click()
        assert shown_code(opened) == [lines for lines in (one.code, one.plain) if lines]


def test_the_keyboard_reaches_every_library(show):
    given = sgd()
    opened = show(page(given))
    opened.locator("#code-torch").focus()
    opened.keyboard.press("ArrowRight")
    assert shown_code(opened)[0] == snippets(given)[1].code


def test_a_button_copies_the_code(show):
    given = sgd()
    opened = show(page(given))
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened.locator(".lines .copy:visible").first.click()
    settle(opened)
    assert opened.evaluate("navigator.clipboard.readText()") == snippets(given)[0].code


def test_pointing_at_a_row_lights_its_line(show):
    opened = show(page(twenty_arms()))
    opened.locator("tr[data-arm='10']").hover()
    settle(opened)
    lit = opened.locator(".lit").evaluate_all("parts => parts.map((part) => part.dataset.arm)")
    assert lit == ["10", "10"]


def test_lines_have_the_colours_of_their_rates_in_the_dark_too(show):
    colours = []
    for dark in (False, True):
        opened = show(page(sgd()), dark=dark)
        line = opened.locator("svg .arm-3 polyline").last
        colours.append(line.evaluate("line => getComputedStyle(line).stroke"))
    assert colours[0] != colours[1]
    assert all(colour.startswith("rgb(") for colour in colours)


def test_hostile_text_runs_nothing(show):
    opened = show(page(hostile()))
    assert opened.locator("img").count() == 0
