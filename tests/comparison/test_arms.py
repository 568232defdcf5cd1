"""Arms: schedules with a name, with rates that are given or found."""

import pytest

from stepsize.comparison import DEFAULT_ARMS, STUDIES, Arm, arms_of
from stepsize.errors import InputError
from stepsize.schedules import Cosine, Scale, parse

FOUND = {"lr": 0.28, "base_lr": 0.03, "max_lr": 0.45}


def test_an_arm_is_called_what_it_is_unless_it_is_named():
    assert Arm.of("cosine(0.1)").name == "cosine(0.1)"
    assert Arm.of(" my own : cosine(0.1)") == Arm("cosine(0.1)", name="my own")
    assert Arm.of(Cosine(0.1)).name == "cosine(0.1)"
    arm = Arm("cosine(0.1)", "mine")
    assert Arm.of(arm) is arm
    assert eval(repr(arm)) == arm


def test_a_name_is_text_that_can_be_written():
    assert Arm.of("bad \udcff: cosine(0.1)").name.encode()


def test_found_rates_are_put_in_by_name():
    arm = Arm("triangular(base_lr, max_lr, up_steps=10%)")
    assert arm.uses == ("base_lr", "max_lr")
    schedule = arm.resolved(1000, 100, FOUND)
    assert (schedule(0), schedule(100)) == (0.03, 0.45)
    assert Arm("0.5 * cosine(lr)").resolved(100, 10, FOUND)(0) == 0.14


def test_a_text_without_them_needs_none():
    assert Arm("cosine(0.1)").uses == ()
    assert Arm("cosine(0.1)").resolved(100, 10) == Cosine(0.1, steps=100)


def test_lengths_are_resolved_for_the_run():
    assert Arm("step(0.5, every=10 epochs, factor=0.8)").resolved(250 * 20, 250)(2500) == 0.4


@pytest.mark.parametrize("text", ["cosine(0.1, steps=50)", "cosine(0.1, steps=500)"])
def test_a_length_that_is_not_the_runs_is_refused_unless_it_is_wanted(text):
    with pytest.raises(InputError, match=r"100"):
        Arm(text).resolved(100, 10)
    assert Arm(text).resolved(100, 10, any_length=True) == parse(text)


def test_a_schedule_without_an_end_fits_every_run():
    assert Arm("inverse_sqrt(0.1, warmup_steps=10)").resolved(100, 10)(50) > 0


@pytest.mark.parametrize("wrong", ["cosin(0.1)", "cosine(rate)", "", "name:", 7, None])
def test_what_is_no_schedule_is_refused(wrong):
    with pytest.raises(InputError):
        arms_of([wrong])


def test_an_unknown_schedule_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="Did you mean cosine"):
        arms_of(["cosin(0.1)"])


def test_names_are_given_once():
    with pytest.raises(InputError, match="Two arms"):
        arms_of(["cosine(0.1)", Cosine(0.1)])
    assert [arm.name for arm in arms_of(["a: cosine(0.1)", "b: cosine(0.1)"])] == ["a", "b"]


def test_none_at_all_is_refused_and_one_alone_is_a_list():
    with pytest.raises(InputError, match="at least one"):
        arms_of([])
    assert arms_of("cosine(0.1)") == arms_of([Arm("cosine(0.1)")])
    assert arms_of(Scale(Cosine(0.1), 2))[0].name == "2 * cosine(0.1)"


@pytest.mark.parametrize("study", STUDIES.values(), ids=lambda study: study.name)
def test_the_arms_of_a_study_fit_its_run(study):
    for arm in arms_of(study.arms):
        arm.resolved(study.epochs * 250, 250, FOUND)


def test_the_published_study_is_what_its_script_ran():
    """The rates of each epoch, from the formulas of the script."""
    arms = {arm.name: arm for arm in STUDIES["fashion-mnist-schedules"].arms}
    epochs, per_epoch = 100, 250

    def rates(name):
        schedule = arms[name].resolved(epochs * per_epoch, per_epoch, FOUND)
        for epoch in range(epochs):  # its callback sets the rate once, at the epoch's beginning
            assert schedule(epoch * per_epoch) == schedule((epoch + 1) * per_epoch - 1)
        return [schedule(epoch * per_epoch) for epoch in range(epochs)]

    def close(values):
        return pytest.approx(values, rel=1e-12)

    every = range(epochs)
    assert rates("constant 0.01") == [0.01] * epochs
    assert rates("linear (polynomial 1)") == close([0.5 * (1 - e / 100) for e in every])
    assert rates("polynomial 0.5") == close([0.5 * (1 - e / 100) ** 0.5 for e in every])
    assert rates("polynomial 2") == close([0.5 * (1 - e / 100) ** 2 for e in every])
    assert rates("time-based, as meant") == close([0.5 / (1 + 0.005 * e) for e in every])
    assert rates("exponential") == close([0.5 * 2.718281828459045 ** (-0.1 * e) for e in every])
    assert rates("step") == close([0.5 * 0.8 ** (e // 10) for e in every])
    rate, ran = 0.5, []
    for epoch in every:  # lr * 1 / (1 + decay * epoch), of the rate before
        rate *= 1 / (1 + 0.005 * epoch)
        ran.append(rate)
    assert rates("time-based, as run") == close(ran)


def test_the_default_arms_all_use_what_was_found():
    assert all(arm.uses for arm in DEFAULT_ARMS)
