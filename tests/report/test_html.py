import hashlib
import json
import re
from importlib.resources import files

import pytest
from report.pages import Page, assert_self_contained
from report.results import ODD_LOSSES, make_result

from stepsize.errors import OutputError
from stepsize.report.find_html import fragment, render, save

HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)> \"'`${x} \0\n\ud800\u2028 &lt;"
)


def hostile_result(verdict="ok"):
    return make_result(
        verdict,
        task=HOSTILE,
        rules={HOSTILE: 0.1, "valley": None, "slide": None},
        notes=(HOSTILE,),
        settings={HOSTILE: HOSTILE, "command": HOSTILE, "deep": {HOSTILE: [HOSTILE]}},
    )


def test_a_page_for_every_verdict(verdict):
    page = Page(render(make_result(verdict)))
    answer = page.inside["p"][0]
    assert answer == ("0.03" if verdict == "ok" else "No rate suggested")
    assert page.count("script") == 3


@pytest.mark.parametrize("name", ODD_LOSSES)
def test_odd_curves_have_a_page(name, verdict):
    result = make_result(verdict, ODD_LOSSES[name])
    data = json.loads(Page(render(result)).inside["script"][0])
    assert len(data["rates"]) == len(data["losses"]) == len(data["line"]) == len(result.curve)
    assert fragment(result)


def test_hostile_text_adds_no_markup():
    plain, hostile = Page(render(make_result())), Page(render(hostile_result()))
    assert hostile.count("script") == plain.count("script") == 3
    assert hostile.count("img") == 0
    assert not any(key.startswith("on") for _, attrs in hostile.tags for key in attrs)
    labels = {
        mark["label"]
        for layout in json.loads(hostile.inside["script"][0])["layouts"]
        for mark in layout["marks"]
    }
    assert all(label.startswith("</") for label in labels)
    assert "<img src=x" in hostile.inside["h1"][0]
    assert "script><img" in hostile.inside["title"][0]
    assert "<" not in re.search('id="find-data">(.*)</script>', render(hostile_result())).group(1)


def test_hostile_text_adds_no_markup_to_a_notebook(verdict):
    page = Page(fragment(hostile_result(verdict)))
    assert {tag for tag, _ in page.tags} <= {
        "div",
        "strong",
        "br",
        "svg",
        "rect",
        "line",
        "polyline",
        "small",
    }


def test_the_page_is_self_contained(result):
    assert_self_contained(render(result))


def test_vendored_files_are_the_ones_described():
    vendor = files("stepsize.report").joinpath("vendor")
    described = re.findall(
        r"`(\S+)` \|.*`([0-9a-f]{64})`", vendor.joinpath("README.md").read_text()
    )
    assert len(described) == 3
    for name, digest in described:
        assert hashlib.sha256(vendor.joinpath(name).read_bytes()).hexdigest() == digest


def test_the_same_result_gives_the_same_page(result):
    assert render(result) == render(make_result())


def test_rates_ascend_for_the_library():
    shuffled = make_result().curve
    curve = type(shuffled)(shuffled.lr[::-1], shuffled.loss[::-1])
    data = json.loads(Page(render(make_result(curve=curve))).inside["script"][0])
    assert data["rates"] == sorted(data["rates"])


def test_every_row_of_marks_fits_its_width(result):
    data = json.loads(Page(render(result)).inside["script"][0])
    columns = [layout["columns"] for layout in data["layouts"]]
    assert columns == sorted(columns)
    assert all(len(layout["marks"]) == len(data["marks"]) for layout in data["layouts"])


def test_group_ratios_are_kept_in_the_code():
    text = Page(render(make_result(group_ratios=(1.0, 0.1)))).inside["code"][0]
    assert "[0.03, 0.003]" in text
    assert "base_lr=[0.003, 3e-4]" in text


def test_save_writes_utf8_or_explains(tmp_path, result):
    path = save(hostile_result(), tmp_path / "find.html")
    assert path.read_bytes().decode("utf-8").startswith("<!doctype html>")
    with pytest.raises(OutputError):
        save(result, tmp_path / "missing" / "find.html")
