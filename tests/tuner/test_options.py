"""What may be chosen about a recommendation, what is refused, and the bar that follows it."""

import functools
import io
import json
import math

import pytest
from tuner.landscapes import Landscape

from stepsize.errors import InputError
from stepsize.tuner import OPTIMIZERS, TuneOptions, recommend
from stepsize.tuner.progress import shown


@pytest.mark.parametrize(
    "wrong",
    [
        {"budget": 0},
        {"budget": -1.0},
        {"budget": math.inf},
        {"budget": math.nan},
        {"budget": "1"},
        {"around": 0.0},
        {"around": math.nan},
        {"around": "0.1"},
        {"seed": -1},
        {"seed": 0.5},
        {"seed": 2**63},
        {"optimizers": "adamw"},
        {"optimizers": ("adamw", "sgd")},
    ],
)
def test_what_makes_no_sense_is_refused(wrong):
    (name,) = wrong
    with pytest.raises(InputError, match=name if name != "optimizers" else "optimizers"):
        TuneOptions(**wrong)


def test_names_are_told_once():
    assert TuneOptions(optimizers=("momo", "adamw", "momo")).optimizers == ("momo", "adamw")
    assert TuneOptions(optimizers=list(OPTIMIZERS)).optimizers == OPTIMIZERS


def test_the_record_of_the_choices_is_json():
    options = TuneOptions(0.5, 3, 0.02, ("momo",), print)
    assert json.loads(json.dumps(options.to_dict())) == {
        "budget": 0.5, "seed": 3, "around": 0.02, "optimizers": ["momo"],
    }  # fmt: skip
    answer = recommend(Landscape(), options, task="mine", settings={"command": "mine"})
    assert answer.settings["command"] == "mine"
    assert answer.settings["budget"] == 0.5
    assert answer.settings["optimizer_family"] == "other"


def test_without_progress_nothing_is_written(capsys):
    options = TuneOptions()
    with shown(options, Landscape(), False) as same:
        assert same is options
    assert capsys.readouterr() == ("", "")


def test_a_bar_follows_the_updates_and_is_gone_in_the_end(monkeypatch):
    bar = functools.partial(pytest.importorskip("tqdm").tqdm, mininterval=0, miniters=1)
    monkeypatch.setattr("stepsize.tuner.progress.need_tqdm", lambda: bar)
    said = io.StringIO()
    monkeypatch.setattr("sys.stderr", said)
    told = []
    options = TuneOptions(1.5, on_reading=lambda entry, reading: told.append(reading))
    landscape = Landscape(limit=1.3)
    with shown(options, landscape, True) as watched:
        answer = recommend(landscape, watched, task="mine")
    assert answer.verdict == "ok"
    assert len(told) == len(landscape.asked)
    assert "4800" in said.getvalue()  # of the budget
    assert "val_loss" in said.getvalue()
    assert said.getvalue().rstrip(" \r") != said.getvalue()
    assert recommend(landscape.fresh(), options, task="mine") == answer
