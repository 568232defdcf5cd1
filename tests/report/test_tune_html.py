import json
import re
from dataclasses import replace
from html import unescape

import pytest
from report.comparisons import HOSTILE
from report.pages import Page, assert_self_contained
from report.tune_examples import EXAMPLES, flat, hostile, nothing, other_optimizer, sgd

from stepsize.errors import OutputError
from stepsize.records import Recommendation
from stepsize.report.tune_code import snippets
from stepsize.report.tune_files import FILES, write
from stepsize.report.tune_html import fragment, page
from stepsize.report.tune_words import check_command
from stepsize.report.wording import plain_text


@pytest.fixture(params=EXAMPLES)
def recommendation(request):
    return EXAMPLES[request.param]()


def words_of(markup):
    """What a reader sees, without tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def rows_of(markup):
    return [attrs for tag, attrs in Page(markup).tags if tag == "tr" and "data-arm" in attrs]


def test_every_recommendation_has_a_self_contained_page_that_stays_the_same(recommendation):
    markup = page(recommendation)
    assert markup == page(Recommendation.from_dict(recommendation.to_dict()))
    assert_self_contained(markup)
    assert len(rows_of(markup)) == len(recommendation.evidence)


def test_the_page_says_which_rate_how_sure_and_what_it_cost():
    said = words_of(page(sgd()).partition("</header>")[0].partition("<header>")[2])
    for part in ("0.21", "0.12 to 0.34", "0.312", "0.298 to 0.327", "3.4 %", "1.95", "parabola"):
        assert part in said


def test_the_code_and_the_commands_stand_there_whole():
    given = sgd()
    blocks = [unescape(block) for block in re.findall(r"<code>([^<]*)</code>", page(given))]
    for one in snippets(given):
        assert one.code in blocks
        assert not one.plain or one.plain in blocks
    assert check_command(given) in blocks
    assert given.settings["command"] in blocks


def test_the_losses_are_in_the_table_rung_by_rung():
    given = sgd()
    markup = page(given)
    for number, arm in enumerate(given.evidence):
        row = markup.partition(f'<tr data-arm="{number}"')[2].partition("</tr>")[0]
        cells = re.findall(r'<td class="number[^>]*>([^<]*)</td>', row)[:-1]
        numbers = [float(cell) for cell in cells if cell[0].isdigit()]
        read = [r.val_loss for r in arm.readings if r.val_loss < 100]
        assert numbers == pytest.approx(read, abs=5.1e-5)


def test_an_abstention_says_what_to_try_and_has_no_code():
    said = words_of(page(flat()))
    assert "No rate recommended" in said
    assert "stepsize find digits" in said
    assert "import stepsize" not in said


def test_another_optimizer_is_named_beside_the_rate():
    assert "AdamW" in page(other_optimizer()).partition("</header>")[0]


def test_an_early_stop_is_told():
    stopped = replace(sgd(), interrupted=True)
    assert words_of(page(stopped)) != words_of(page(sgd()))


def test_hostile_text_adds_no_markup():
    markup = page(hostile())
    found = Page(markup)
    assert found.count("script") == 1
    assert found.count("img") == 0
    assert not any(key.startswith("on") for _, attrs in found.tags for key in attrs)
    assert plain_text(HOSTILE) in unescape(markup)
    markup.encode("utf-8")


def test_a_notebook_gets_the_answer_without_a_script(recommendation):
    shown = Page(fragment(recommendation))
    simple = {"div", "strong", "br", "small", "svg", "polyline"}
    assert {tag for tag, _ in shown.tags} <= simple
    assert recommendation._repr_html_() == fragment(recommendation)


def test_a_race_without_arms_has_no_pictures():
    assert Page(page(nothing())).count("svg") == 0
    assert Page(page(sgd())).count("svg") > 10


def test_all_files_are_written_or_none(recommendation, tmp_path):
    paths = write(recommendation, tmp_path)
    assert [path.name for path in paths] == list(FILES)
    read = json.loads((tmp_path / "tune.json").read_text())
    assert Recommendation.from_dict(read).to_dict() == recommendation.to_dict()
    assert (tmp_path / "tune.html").read_text(encoding="utf-8") == page(recommendation)
    assert (tmp_path / "tune.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_is_not_there_is_an_error_and_stays_so(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        write(sgd(), tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []
