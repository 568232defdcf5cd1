from dataclasses import replace
from functools import cache

import pytest
from report.browser.conftest import PHONE, settle
from report.browser.looks import OVERFLOW, PALE, PIXELS, rgb
from report.comparisons import (
    COMPARISONS,
    HOSTILE,
    hostile,
    make_trace,
    sixteen_arms,
    three_arms,
    with_diverged,
)

from stepsize.report.compare_html import render
from stepsize.report.compare_view import view_of
from stepsize.report.wording import plain_text

#: Of 25,000 updates, so that a bucket has 50.
BUCKETS = 500


@cache
def page_of(make, buckets=BUCKETS):
    comparison = make()
    made = {run.key: make_trace(run, buckets) for run in comparison.runs if run.done and buckets}
    return render(comparison, made)


def colours_of(comparison):
    return [rgb(row.style.colour) for row in view_of(comparison).rows]


def panels(page):
    return page.locator(".panel .u-over")


def point(page, panel, share):
    """Move the mouse to a share of a panel's width and return what its tip says, row by row."""
    box = panels(page).nth(panel).bounding_box()
    inside = min(max(share, 0.002), 0.998)
    page.mouse.move(box["x"] + inside * box["width"], box["y"] + box["height"] / 2)
    settle(page)
    return tip(page, panel)


def tip(page, panel):
    shown = panels(page).nth(panel).locator(".tip")
    rows = {
        row.locator(".name").inner_text(): row.locator(".value").inner_text()
        for row in shown.locator(".row").all()
    }
    return shown.locator("b").inner_text(), rows


def drag(page, panel, start, end):
    box = panels(page).nth(panel).bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + start * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + (start + end) / 2 * box["width"], middle)
    page.mouse.move(box["x"] + end * box["width"], middle)
    page.mouse.up()
    settle(page)


@pytest.mark.parametrize("name", ["no accuracy", "incomplete", "all diverged", "nothing yet"])
def test_every_comparison_is_drawn(show, name):
    comparison = COMPARISONS[name]()
    page = show(page_of(COMPARISONS[name]))
    assert page.locator(".chart canvas").count() == page.locator(".panel").count() >= 2
    assert page.locator("#legend li").count() == len(comparison.arms)
    first = view_of(comparison).panels[0]
    drawn = page.evaluate(PIXELS, rgb(first.series[0].style.colour))
    assert (drawn[0] > 100) == any(v is not None for v in first.series[0].mean)


def test_a_click_in_the_legend_hides_a_schedule_in_every_panel(show):
    comparison = three_arms()
    page = show(page_of(three_arms))
    worst = colours_of(comparison)[2]
    # Of lines above each other only the best is seen, in the rates of these traces.
    before = page.evaluate(PIXELS, worst)[:3]
    assert min(before) > 20
    name = page.locator("#legend .arm").nth(2)
    name.click()
    page.mouse.move(640, 5)
    settle(page)
    assert name.get_attribute("aria-pressed") == "false"
    assert max(page.evaluate(PIXELS, worst)) == 0
    page.locator("#all").click()
    settle(page)
    assert page.evaluate(PIXELS, worst)[:3] == before


def test_one_schedule_can_be_seen_alone_and_all_again(show):
    comparison = three_arms()
    page = show(page_of(three_arms))
    colours = colours_of(comparison)
    page.locator("#legend li").nth(1).hover()
    page.locator("#legend .only").nth(1).click()
    page.mouse.move(640, 5)
    settle(page)
    alone = [page.evaluate(PIXELS, colour) for colour in colours]
    assert max(alone[0]) == max(alone[2]) == 0
    assert min(alone[1]) > 50  # also where it was below others
    page.locator("#legend .only").nth(1).click(force=True)
    assert page.locator('#legend [aria-pressed="true"]').count() == 3


def test_pointing_at_a_name_makes_the_others_fade(show):
    comparison = three_arms()
    page = show(page_of(three_arms))
    other = colours_of(comparison)[2]
    assert page.evaluate(PIXELS, other)[0] > 100
    page.locator("#legend li").nth(0).hover()
    settle(page)
    assert page.evaluate(PIXELS, other)[0] == 0
    page.mouse.move(640, 5)
    settle(page)
    assert page.evaluate(PIXELS, other)[0] > 100


@pytest.mark.parametrize("panel", [0, 3])
def test_dragging_in_one_panel_zooms_all_and_a_double_click_resets(show, panel):
    page = show(page_of(three_arms))
    assert point(page, 0, 0.0)[0] == "epoch 1 · update 1,250"
    drag(page, panel, 0.49, 0.81)
    assert point(page, 0, 0.01)[0] == "epoch 10 · update 12,500"
    assert point(page, 1, 0.99)[0] == "epoch 16 · update 20,000"
    first, last = (point(page, 2, share)[0].split()[1] for share in (0.0, 1.0))
    assert abs(int(first.replace(",", "")) - 12_250) < 250
    assert abs(int(last.replace(",", "")) - 20_250) < 250
    panels(page).nth(2).dblclick()
    settle(page)
    assert point(page, 0, 0.0)[0] == "epoch 1 · update 1,250"
    assert page.locator("#reset").is_disabled()


def test_zooming_refines_the_training_loss_down_to_the_traces_buckets(show):
    page = show(page_of(three_arms))
    note = page.locator(".panel .note").nth(2)
    assert note.inner_text() == "400 updates a point"
    drag(page, 2, 0.5, 0.55)
    assert note.inner_text() == "50 updates a point"
    page.locator("#reset").click()
    assert note.inner_text() == "400 updates a point"


def test_what_is_read_is_what_was_measured(show):
    comparison = three_arms()
    page = show(page_of(three_arms))
    for epoch in (1, 7, 20):
        head, rows = point(page, 0, epoch / 20)
        assert head.startswith(f"epoch {epoch} ")
        for series in view_of(comparison).panels[0].series:
            assert float(rows[series.arm]) == pytest.approx(series.mean[epoch - 1], rel=1e-3)
    # The training loss: means of 8 buckets of 50 updates, and of three seeds.
    head, rows = point(page, 2, 0.5)
    start = int(head.split()[1].replace(",", ""))
    for arm in comparison.arms:
        buckets = slice(start // 50, start // 50 + 8)
        means = [make_trace(run, BUCKETS).loss_mean[buckets] for run in comparison.of(arm)]
        expected = sum(map(sum, means)) / sum(map(len, means))
        assert float(rows[arm]) == pytest.approx(expected, rel=1e-3)


def test_without_traces_the_rates_are_the_schedules(show):
    page = show(page_of(three_arms, buckets=0))
    head, rows = point(page, 3, 0.5)
    assert head.startswith("update 12,")
    assert float(rows["cosine(0.28)"]) == pytest.approx(0.14, rel=0.02)
    assert float(rows["0.1"]) == 0.1


def test_the_cursor_stands_at_the_same_place_in_every_panel(show):
    page = show(page_of(three_arms))
    point(page, 3, 0.6)
    shares = page.evaluate(
        """() => [...document.querySelectorAll(".u-over")].map((over) => {
          const box = over.getBoundingClientRect();
          const hair = over.querySelector(".hair").getBoundingClientRect();
          return (hair.left - box.left) / box.width;
        })"""
    )
    assert shares == pytest.approx([0.6] * 4, abs=0.03)
    assert page.locator(".tip:visible").count() == 1
    page.mouse.move(5, 5)
    settle(page)
    assert page.locator(".hair:visible").count() == 0


def test_the_loss_axis_can_be_logarithmic(show):
    page = show(page_of(three_arms))
    _, before = point(page, 0, 0.5)

    def heights():
        return page.evaluate(
            "() => [...document.querySelectorAll('.panel:first-child .dot')]"
            ".map((one) => one.getBoundingClientRect().top)"
        )

    low, middle, high = sorted(heights())
    linear = (middle - low) / (high - low)
    page.locator("#log-loss").click()
    settle(page)
    assert page.locator("#log-loss").get_attribute("aria-pressed") == "true"
    assert "log" in page.locator(".panel .note").first.inner_text()
    assert point(page, 0, 0.5)[1] == before
    low, middle, high = sorted(heights())
    assert (middle - low) / (high - low) != pytest.approx(linear, abs=1e-4)


def test_every_seed_can_be_seen(show):
    comparison = three_arms()
    page = show(page_of(three_arms))
    colour = colours_of(comparison)[2]
    mean = page.evaluate(PIXELS, colour)[0]
    page.locator("#every").click()
    settle(page)
    assert page.evaluate(PIXELS, colour)[0] != mean
    page.locator("#every").click()
    settle(page)
    assert page.evaluate(PIXELS, colour)[0] == mean


def test_a_schedule_beyond_the_picture_is_seen_when_it_is_alone(show):
    comparison = with_diverged()
    page = show(page_of(with_diverged))
    stuck = colours_of(comparison)[2]  # its loss ends at 2.3
    assert page.evaluate(PIXELS, stuck)[0] == 0
    page.locator("#legend .only").nth(2).click(force=True)
    page.mouse.move(640, 5)
    settle(page)
    assert page.evaluate(PIXELS, stuck)[0] > 100


def test_hostile_text_is_shown_as_text(show):
    page = show(page_of(hostile))
    shown = plain_text(HOSTILE)
    assert shown in page.locator("#legend").inner_text()
    assert shown in page.locator("table.ranking").inner_text()
    assert shown in page.locator(".columns").inner_text()  # the notes
    assert page.locator("img").count() == 0
    page.locator("#legend .only").first.click(force=True)
    assert shown.startswith(next(iter(point(page, 0, 0.5)[1]))[:20])


@pytest.mark.parametrize("make", [sixteen_arms, hostile, with_diverged])
def test_a_telephone_never_scrolls_sideways(show, make):
    page = show(page_of(make), PHONE, touch=True)
    assert page.evaluate(OVERFLOW) <= 0
    page.locator("details").evaluate("(one) => (one.open = true)")
    assert page.evaluate(OVERFLOW) <= 0


def test_fingers_read_and_zoom(show):
    page = show(page_of(three_arms), PHONE, touch=True)
    over = panels(page).first
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.touchscreen.tap(box["x"] + 0.5 * box["width"], middle)
    settle(page)
    assert tip(page, 0)[0] == "epoch 10 · update 12,500"
    touch = page.context.new_cdp_session(page)
    for kind, share in (("Start", 0.5), ("Move", 0.6), ("Move", 0.8), ("End", None)):
        points = [] if share is None else [{"x": box["x"] + share * box["width"], "y": middle}]
        touch.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})
    settle(page)
    assert page.locator("#reset").is_enabled()
    page.touchscreen.tap(box["x"] + 2, middle)
    settle(page)
    assert tip(page, 0)[0] == "epoch 10 · update 12,500"


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_is_readable(show, dark):
    page = show(page_of(with_diverged), dark=dark)
    point(page, 0, 0.5)
    assert page.evaluate(PALE) == []


def test_the_keyboard_does_what_the_mouse_does(show):
    page = show(page_of(three_arms))
    seen = []
    for _ in range(16):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate("() => document.activeElement.className || document.activeElement.id")
        )
    assert {"every", "log-loss", "log-rate", "arm", "only live", "chart"} <= set(seen)
    page.locator("#legend .arm").nth(1).focus()
    page.keyboard.press("Space")
    assert page.locator("#legend .arm").nth(1).get_attribute("aria-pressed") == "false"
    page.locator(".chart").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    settle(page)
    assert page.locator("#spoken").inner_text().startswith("epoch 2 · update 2,500, cosine(0.28): ")
    page.keyboard.press("+")
    assert page.locator("#reset").is_enabled()
    page.keyboard.press("Escape")
    assert page.locator("#reset").is_disabled()


def test_without_scripts_there_are_pictures_and_tables(show):
    page = show(page_of(three_arms), scripts=False)
    assert page.locator(".chart svg.still").count() == page.locator(".chart").count() == 4
    for picture in page.locator(".chart svg.still").all():
        assert picture.locator("polyline").count() == 3
        assert picture.bounding_box()["width"] > 200
    assert page.locator(".tools").is_hidden()
    assert page.locator("table.ranking tbody tr").count() == 3
    assert page.locator(".ranking svg.forest circle").count() == 3


def test_runs_are_sorted_by_any_column(show):
    page = show(page_of(three_arms))
    head = page.locator(".runs thead button")
    names = head.all_inner_texts()

    def column(name):
        cells = page.locator(f".runs tbody tr > :nth-child({names.index(name) + 1})")
        return cells.all_inner_texts()

    values = sorted(map(float, column("final validation loss")))
    head.nth(names.index("final validation loss")).click()
    assert list(map(float, column("final validation loss"))) == values
    head.nth(names.index("final validation loss")).click()
    assert list(map(float, column("final validation loss"))) == values[::-1]


def fifty_runs():
    """Sixteen arms by three seeds, and one more arm."""
    some = sixteen_arms()
    more = tuple(replace(run, arm="one more") for run in three_arms(seeds=(0, 1)).runs[:2])
    return replace(some, runs=(*some.runs, *more))


def test_fifty_runs_of_a_thousand_points_open_and_zoom(show):
    assert len(fifty_runs().runs) == 50
    page = show(page_of(fifty_runs, buckets=1000))
    assert page.evaluate("() => performance.getEntriesByName('drawn')[0].startTime") < 15_000
    drag(page, 0, 0.2, 0.7)
    assert page.locator("#reset").is_enabled()
