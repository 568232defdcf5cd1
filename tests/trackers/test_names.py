import re

from hypothesis import given
from hypothesis import strategies as st
from trackers.stored import HOSTILE

from stepsize.trackers.names import FILE, PLAIN, fit, line
from stepsize.trackers.ranking import markdown
from stepsize.trackers.to_tensorboard import tag
from stepsize.trackers.to_wandb import metric

texts = st.one_of(st.text(), st.sampled_from([HOSTILE, "..", ".", "", "../x", "a/b", "\ud800"]))


@given(texts, st.sampled_from([FILE, PLAIN]), st.integers(10, 100))
def test_a_fit_name_is_one_part_of_a_path(text, allowed, longest):
    name = fit(text, allowed, longest)
    assert re.fullmatch(rf"[{allowed}]{{1,{longest}}}", name)
    assert name not in (".", "..")
    assert not name.startswith(".")
    assert fit(name, allowed, longest) == name


@given(texts, texts)
def test_two_names_stay_two(one, other):
    assert (fit(one) == fit(other)) == (one == other)


def test_names_that_only_differ_in_what_is_replaced_stay_two():
    assert len({fit("a/b"), fit("a:b"), fit("a_b"), fit("a\0b")}) == 4


@given(texts)
def test_a_line_is_printable(text):
    assert line(text).isprintable()
    assert len(line(text)) <= 250


def test_metrics_have_at_most_one_section():
    for name in ("val_a/b/../c", "val_\n", "train_x:y", "val_", "odd/../name", HOSTILE):
        for found in (tag(name), metric(name)):
            assert found.count("/") <= 1
            assert found.isprintable()


def test_text_of_users_ends_no_table(tmp_path):
    from trackers.stored import Stored

    lines = markdown(Stored(tmp_path).result()).splitlines()
    rows = [row for row in lines if row.startswith("|")]
    assert len(rows) == 4
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
    assert "<" not in "".join(lines)
