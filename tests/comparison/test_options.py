"""What may be chosen about a comparison, and what is refused."""

import pytest

from stepsize.comparison import CompareOptions
from stepsize.errors import InputError


def test_seeds_are_three_unless_said():
    assert CompareOptions(1).seeds == (0, 1, 2)
    assert CompareOptions(1, 5).seeds == (5,)
    assert CompareOptions(1, [3, 1]).seeds == (3, 1)
    assert CompareOptions(1, range(2)).seeds == (0, 1)


@pytest.mark.parametrize(
    ("metric", "higher"),
    [
        ("val_loss", False),
        ("val_accuracy", True),
        ("val_top5", True),
        ("val_f1_macro", True),
        ("val_error", False),
        ("val_top1_error", False),
        ("val_accuracy_loss", False),
        ("val_rmse_score", False),
        ("val_psnr", True),
        ("val_perplexity", False),
    ],
)
def test_which_way_is_better_is_read_from_the_name(metric, higher):
    assert CompareOptions(1, metric=metric).higher is higher
    assert CompareOptions(1, metric=metric, higher=not higher).higher is not higher


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"epochs": 1.5},
        {"epochs": True},
        {"seeds": ()},
        {"seeds": (0, 0)},
        {"seeds": (-1,)},
        {"seeds": ("0",)},
        {"seeds": 1.5},
        {"seeds": (2**63,)},
        {"at": "last"},
        {"interval": "normal"},
        {"interval": "bootstrap", "seeds": (0, 1, 2, 3)},
        {"rate_factors": (1.0, 1.0)},
        {"rate_factors": (0.0,)},
        {"rate_factors": (float("inf"),)},
        {"tuning_seeds": (2, 3)},
        {"tuning_seeds": ()},
    ],
)
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(InputError):
        CompareOptions(**{"epochs": 1, **wrong})


def test_the_seeds_that_choose_rates_are_never_those_that_judge():
    options = CompareOptions(1, (0, 4), rate_factors=(3, 0.3, 1))
    assert set(options.tuning_seeds).isdisjoint(options.seeds)
    assert options.rate_factors == (0.3, 1.0, 3.0)


def test_a_name_that_does_not_tell_what_is_better_is_asked_about():
    with pytest.raises(InputError, match="--lower"):
        CompareOptions(1, metric="val_inaccuracy").need_metric(["val_inaccuracy"])
    CompareOptions(1, metric="val_inaccuracy", higher=False).need_metric(["val_inaccuracy"])


def test_an_unknown_metric_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="Did you mean val_accuracy"):
        CompareOptions(1, metric="val_acuracy").need_metric(["val_loss", "val_accuracy"])
