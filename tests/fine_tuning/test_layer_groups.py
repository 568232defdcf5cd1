"""Layer groups as values: each parameter once, neighbours joined, written and read back."""

import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.errors import InputError
from stepsize.fine_tuning import LayerGroup, LayerGroups
from stepsize.fine_tuning.layer_groups import SPAN


def group(name, numel=10, trainable=None):
    names = (f"{name}.weight", f"{name}.bias")
    return LayerGroup(name, (name,), names, numel, numel if trainable is None else trainable)


def chain(*sizes):
    return LayerGroups(tuple(group(f"layer{i}", size) for i, size in enumerate(sizes)))


@st.composite
def layer_groups(draw):
    sizes = draw(st.lists(st.integers(1, 10**6), min_size=1, max_size=9))
    names = draw(st.lists(st.text("abc.0123<&", min_size=1), unique=True, min_size=len(sizes)))
    groups = [
        LayerGroup(
            name, (name,), (f"{i}.w", f"{i}.b"), size, draw(st.integers(0, size)), (f"{i}.b",)
        )
        for i, (name, size) in enumerate(zip(names, sizes, strict=False))
    ]
    tied = draw(st.dictionaries(st.sampled_from(["x", "y"]), st.just("0.w")))
    order = draw(st.sampled_from(["forward pass", "registration", "given"]))
    return LayerGroups(tuple(groups), order, tied, tuple(draw(st.lists(st.text(), max_size=2))))


@settings(max_examples=50)
@given(layer_groups(), st.integers(1, 10))
def test_merging_keeps_every_parameter_in_order_and_the_head_alone(groups, most):
    merged = groups.merged(most)
    assert len(merged) == min(most, len(groups))
    for name in ("parameters", "modules", "plain"):
        flat = [each for group in groups for each in getattr(group, name)]
        assert flat == [each for group in merged for each in getattr(group, name)]
    assert (merged.numel, merged.trainable) == (groups.numel, groups.trainable)
    assert (merged.tied, merged.order, merged.notes) == (groups.tied, groups.order, groups.notes)
    if most > 1:
        assert merged.head == groups.head
    assert merged.merged(most) == merged


@settings(max_examples=50)
@given(layer_groups())
def test_written_down_and_read_back(groups):
    assert LayerGroups.from_dict(json.loads(json.dumps(groups.to_dict()))) == groups
    assert pickle.loads(pickle.dumps(groups)) == groups
    assert hash(pickle.loads(pickle.dumps(groups))) == hash(groups)


def test_the_pair_with_the_fewest_numbers_is_joined_first():
    groups = chain(1, 100, 2, 3, 7)
    sizes = [[each.numel for each in groups.merged(most)] for most in (4, 3, 2, 1)]
    assert sizes == [[1, 100, 5, 7], [101, 5, 7], [106, 7], [113]]
    assert groups.merged(2).names == (f"layer0{SPAN}layer3", "layer4")


def test_a_parameter_is_found_under_each_of_its_names():
    groups = LayerGroups((group("a"), group("b")), tied={"c.weight": "b.weight"})
    assert [groups.group_of(name) for name in ("a.bias", "b.weight", "c.weight")] == [0, 1, 1]
    with pytest.raises(InputError, match=r"b\.weight"):
        groups.group_of("b.weigth")


@settings(max_examples=30)
@given(layer_groups())
def test_the_table_has_a_row_for_each_group(groups):
    lines = groups.table().split("\n")
    for each, line in zip(groups, lines[1:], strict=False):
        assert each.name in line
        assert f"{each.numel:,}" in line
    html = groups._repr_html_()
    assert html.count("<tr>") == len(groups) + 1
    assert html.count("<th>") == html.count("</th>") == html.count("<td>") / len(groups)


def test_columns_are_aligned():
    groups = LayerGroups((group("a", 10), group("the second", 1_000_000)))
    lines = groups.table().split("\n")[:3]
    cells = ("parameters", "10 ", "1,000,000")
    assert len({line.index(cell) for line, cell in zip(lines, cells, strict=True)}) == 1


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: LayerGroups(()), "at least one"),
        (lambda: LayerGroups((group("a"), group("a"))), "'a'"),
        (lambda: LayerGroups((group("a"), LayerGroup("b", (), ("a.bias",), 1, 1))), "a.bias"),
        (lambda: LayerGroups((group("a"),), "alphabet"), "alphabet"),
        (lambda: LayerGroups((group("a"),), tied={"x": "y"}), "y"),
        (lambda: LayerGroup("a", (), (), 0, 0), "no parameters"),
        (lambda: LayerGroup("a", (), ("w", "w"), 1, 1), "twice"),
        (lambda: LayerGroup("a", (), ("w",), 1, 1, ("b",)), "b"),
        (lambda: chain(1, 2).merged(0), "0"),
        (lambda: chain(1, 2).merged(True), "True"),
        (lambda: chain(1, 2).merged(1.5), "1.5"),
    ],
)
def test_what_cannot_be(make, what):
    with pytest.raises(InputError, match=what):
        make()
