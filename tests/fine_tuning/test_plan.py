"""Plans as values: laid out over any epochs, written and read back, refused with a way out."""

import json
import pickle
import re

import pytest
from fine_tuning.plan_strategies import plans
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.errors import InputError, OutputError
from stepsize.fine_tuning.layer_groups import LayerGroup, LayerGroups
from stepsize.fine_tuning.phase import Phase
from stepsize.fine_tuning.plan import TransferPlan
from stepsize.fine_tuning.presets import PLANS
from stepsize.fine_tuning.timeline import least_epochs


def layer_groups(*sizes):
    return LayerGroups(
        tuple(LayerGroup(f"g{i}", (), (f"g{i}.w",), size, size) for i, size in enumerate(sizes))
    )


def expected_counts(plan, spans, groups):
    """How many last groups train in each epoch, told epoch by epoch."""
    counts = []
    for phase, span in zip(plan.phases, spans, strict=True):
        now = {"all": groups, "head": 1, "gradual": (counts or [0])[-1] + 1}
        count = min(now.get(phase.trainable, phase.trainable), groups)
        for epoch in range(span):
            again = phase.trainable == "gradual" and epoch and epoch % phase.unfreeze_epochs == 0
            count = min(count + 1, groups) if again else count
            counts.append(count)
    return counts


@settings(max_examples=60)
@given(plans(), st.integers(1, 80), st.integers(1, 7))
def test_phases_share_the_epochs_and_every_group_has_its_time(plan, epochs, groups):
    size = min(groups, plan.groups or groups)
    try:
        least = least_epochs(plan, size)
    except InputError:  # a phase that unfreezes all groups is shorter than that in any training
        for few in (1, 2, 3, 5, 8, 13, 21, 400):
            with pytest.raises(InputError, match="no room in any number of epochs"):
                plan.timeline(few, groups)
        return
    if least > 1:
        with pytest.raises(InputError, match=rf"Give it {least} epochs at least"):
            plan.timeline(least - 1, groups)
    try:
        timeline = plan.timeline(epochs, groups)
    except InputError as error:  # a share that is rounded up may leave no rest
        more = int(re.search(r"Give it (\d+) epochs at least", str(error))[1])
        assert more > epochs
        epochs, timeline = more, plan.timeline(more, groups)
    assert timeline.least_epochs == least <= epochs
    assert len(timeline.names) == size
    stretches = timeline.stretches
    assert [s.first_epoch for s in stretches[1:]] == [s.stop for s in stretches[:-1]]
    assert (stretches[0].first_epoch, stretches[-1].stop) == (0, epochs)
    assert all(len(s.trainable) == s.epochs >= 1 for s in stretches)
    counts = [count for s in stretches for count in s.trainable]
    assert counts == expected_counts(plan, [s.epochs for s in stretches], size)
    for stretch in stretches:
        if stretch.phase.trainable == "gradual":
            assert stretch.trainable[-1] == size  # all train before it ends
        changes = [
            (e, c) for e, c in enumerate(stretch.trainable) if [c] != counts_before(stretch, e)
        ]
        assert list(stretch.unfreezings) == changes
    assert all(timeline.at(e) is s for s in stretches for e in range(s.first_epoch, s.stop))


def counts_before(stretch, epoch):
    return list(stretch.trainable[epoch - 1 : epoch]) if epoch else []


def test_two_gradual_phases_and_the_epochs_that_a_share_needs():
    again = TransferPlan("mine", (Phase("a", 4, "gradual"), Phase("b", trainable="gradual")))
    assert [s.trainable for s in again.timeline(6, 3).stretches] == [(1, 2, 3, 3), (3, 3)]
    slow = Phase("slow", "5%", "gradual", unfreeze_epochs=3)  # 16 epochs for 6 groups
    assert least_epochs(TransferPlan("mine", (slow, Phase("all"))), 6) == 310  # 15.5 / 5 %


@settings(max_examples=40)
@given(plans())
def test_a_plan_survives_json_pickle_and_is_a_value(plan):
    again = TransferPlan.from_dict(json.loads(json.dumps(plan.to_dict())))
    assert again == plan == pickle.loads(pickle.dumps(plan))
    assert hash(again) == hash(plan)
    assert TransferPlan.of(plan.to_dict()) == plan == TransferPlan.of(plan)


@pytest.mark.parametrize("name", PLANS)
def test_every_preset_fits_any_length_and_network(name):
    plan = PLANS[name]
    for groups in (1, 2, 3, 5, 14):
        least = least_epochs(plan, min(groups, plan.groups or groups))
        for epochs in {least, least + 1, 12, 25}:
            if epochs < least:
                continue
            for stretch in plan.timeline(epochs, groups).stretches:
                for per_epoch in (2, 3, 47):
                    updates = stretch.epochs * per_epoch
                    schedule = stretch.phase.resolved(0.1, updates, per_epoch)
                    assert max(schedule.values(updates)) == pytest.approx(0.1)
    assert plan.about
    assert TransferPlan.of(name) is plan


def test_fastai_is_lesson_1():
    """``fit(0.01, 2)`` precomputed, ``fit(lr, 3, cycle_len=1)``, then all, ``cycle_mult=2``."""
    plan = PLANS["fastai"]
    spans = [stretch.epochs for stretch in plan.timeline(12, 3).stretches]
    precomputed, head, everything = (
        phase.resolved(0.01, 20 * span, 20) for phase, span in zip(plan.phases, spans, strict=True)
    )
    assert spans == [2, 3, 7]
    assert [precomputed(t) for t in (0, 39)] == [0.01, 0.01]
    assert head.cycle_ends(60) == (20, 40, 60)
    assert everything.cycle_ends(140) == (20, 60, 140)
    assert [everything(t) for t in (0, 20, 60)] == [0.01] * 3
    assert plan.phases[2].fixed_ratios(3) == pytest.approx((0.01, 0.1, 1.0))
    assert [phase.lr for phase in plan.phases] == ["find", "previous", "find"]
    assert [phase.precompute for phase in plan.phases] == [True, False, False]


def test_ulmfit_is_the_papers():
    (phase,) = PLANS["ulmfit"].phases
    stretch = PLANS["ulmfit"].timeline(8, 5).stretches[0]
    assert stretch.trainable == (1, 2, 3, 4, 5, 5, 5, 5)
    assert phase.fixed_ratios(5) == pytest.approx([2.6**-4, 2.6**-3, 2.6**-2, 1 / 2.6, 1])
    schedule = phase.resolved(0.01, 800, 100)
    assert [schedule(t) for t in (0, 80, 800)] == pytest.approx([0.01 / 32, 0.01, 0.01 / 32])


def test_groups_are_merged_as_the_plan_says():
    groups = layer_groups(10, 20, 30, 400, 5)
    timeline = PLANS["fastai"].timeline(12, groups)
    assert timeline.names == groups.merged(3).names
    assert PLANS["full"].timeline(3, groups).names == groups.names
    assert PLANS["fastai"].timeline(12, 9).names == ("group 1", "group 2", "head")
    assert PLANS["fastai"].timeline(12, ["body", "head"]).names == ("body", "head")
    with pytest.raises(InputError, match="names alone cannot be merged"):
        PLANS["fastai"].timeline(12, groups.names)


def test_ratios_are_relative_to_the_highest():
    assert Phase("all", ratios=(0.002, 0.02, 0.01)).fixed_ratios(3) == pytest.approx((0.1, 1, 0.5))
    assert Phase("all", ratios="measured").fixed_ratios(3) is None
    assert Phase("all").fixed_ratios(2) == Phase("all", ratios=1).fixed_ratios(2) == (1.0, 1.0)
    plan = TransferPlan("mine", (Phase("all", ratios=(1.0, 2.0)),))
    with pytest.raises(InputError, match="2 ratios were given for 3 layer groups"):
        plan.timeline(2, 3)


def test_one_phase_can_be_changed():
    plan = PLANS["fastai"].changed("all", lr=0.003, ratios=2.6)
    assert (plan.phases[2].lr, plan.phases[2].ratios) == (0.003, 2.6)
    assert plan.phases[:2] == PLANS["fastai"].phases[:2]
    with pytest.raises(InputError, match=r"no phase 'al'\. Did you mean all"):
        plan.changed("al", lr=1)


def test_a_file_comes_back_and_says_what_is_wrong_with_it(tmp_path):
    path = PLANS["ulmfit"].save(tmp_path / "plan.json")
    assert TransferPlan.of(path) == TransferPlan.of(str(path)) == PLANS["ulmfit"]
    assert [file.name for file in tmp_path.iterdir()] == ["plan.json"]
    with pytest.raises(OutputError, match="Cannot write"):
        PLANS["ulmfit"].save(tmp_path / "nowhere" / "plan.json")
    for text, message in [
        ("{", "cannot be read"),
        ("[" * 10**5, "cannot be read"),
        ("[]", "an object with a 'name' and a list of 'phases'"),
        ('{"name": "a", "phases": {}}', "has a list of phases"),
        ('{"name": "a", "phases": [{"name": "b", "lrs": 1}]}', "no 'lrs'. Did you mean lr"),
        ('{"name": "a", "phases": [{"name": "b"}], "grups": 2}', "no 'grups'. Did you mean groups"),
        ('{"name": "a", "phases": [{"name": "b"}], "format": 9}', "reads 1. Update stepsize"),
    ]:
        path.write_text(text)
        with pytest.raises(InputError, match=re.escape(message)):
            TransferPlan.of(path)


def phase(**given):
    return lambda: Phase("one", **given)


def plan(*phases, **given):
    return lambda: TransferPlan("mine", phases, **given)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Phase(" "), "A phase has a name"),
        (phase(epochs=0), "epochs must be 1 or more, got 0"),
        (phase(epochs="most"), "'rest'; got 'most'"),
        (phase(epochs="101%"), "above 0%, got '101%'"),
        (phase(epochs="5%, at most 0"), "at most 1 or more"),
        (phase(trainable="tail"), "all, head, gradual, or how many"),
        (phase(trainable=0), "at least one group trains"),
        (phase(lr="valley"), "find, tune, previous; got 'valley'"),
        (phase(lr=0.0), "above 0, got 0.0"),
        (phase(lr=True), "must be a number, got True"),
        (phase(ratios=0.5), "1 or more; got 0.5"),
        (phase(ratios=()), "got none"),
        (phase(ratios=(1.0, -1.0)), "above 0, got -1.0"),
        (phase(ratios="folk"), "equal, measured, a factor"),
        (phase(precompute=True), "precompute needs groups that stay frozen"),
        (phase(lr="tune", trainable="gradual"), "lr='tune' cannot race for a gradual phase"),
        (phase(precompute=1, trainable="head"), "true or false, got 1"),
        (phase(frozen="thawed"), "eval, train, got 'thawed'"),
        (phase(unfreeze_epochs=0.5), "whole number, 1 or more, got 0.5"),
        (phase(otherwise=-1), "above 0, got -1"),
        (phase(schedule="cosine(0.1)"), "does not use lr"),
        (phase(schedule="cosin(lr)"), "Did you mean cosine"),
        (plan(), "needs a phase"),
        (plan("all"), "has phases, not 'all'"),
        (plan(Phase("a"), Phase("a", 1)), r"two phases of one name: \['a'\]"),
        (plan(Phase("a", lr="previous")), "no phase before it to take the peak from"),
        (plan(Phase("a"), Phase("b")), "can take the rest of the epochs, not a, b"),
        (plan(Phase("a", "30%")), "one phase has to take what they leave"),
        (plan(Phase("a", "60%"), Phase("b", "40%"), Phase("c")), "take 100% of the epochs"),
        (plan(Phase("a"), groups=0), "1 or more; got 0"),
        (plan(Phase("a"), start="fresh"), "pretrained, scratch, got 'fresh'"),
        (lambda: TransferPlan.of("ulmfitt"), "no plan 'ulmfitt'. Did you mean ulmfit"),
        (lambda: TransferPlan.of("no.json"), "'no.json' cannot be read: No such file"),
        (lambda: PLANS["full"].timeline(0, 3), "1 or more whole epochs, got 0"),
        (lambda: PLANS["full"].timeline(3, []), "got no names"),
        (lambda: PLANS["full"].timeline(3, "head"), "names or their number, got 'head'"),
        (lambda: PLANS["full"].timeline(3, 2).at(3), "epochs 0 to 2, not 3"),
        (lambda: plan(Phase("a", 2), Phase("b", 3))().timeline(7, 2), "take 5 epochs, and 7 were"),
        (
            lambda: Phase("a", schedule="cosine(lr, steps=9)").resolved(0.1, 20, 10),
            r"is 9 updates long, and the phase 20. .*stretch\(cosine\(lr, steps=9\)\)",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("3 epochs", 3),
        ("1 epoch", 1),
        (" 30 % ", "30%"),
        ("15%, AT MOST 2 epochs", "15%, at most 2"),
    ],
)
def test_lengths_have_one_form(given, canonical):
    assert Phase("one", epochs=given).epochs == canonical
