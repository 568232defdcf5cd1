import sys

import pytest

from stepsize.errors import InputError, MissingDependencyError
from stepsize.trackers import TRACKERS, open_tracker

PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb",
            "trackio": "trackio"}  # fmt: skip


@pytest.mark.parametrize("name", TRACKERS)
def test_a_package_that_is_absent_is_named_with_its_extra(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for module in [m for m in sys.modules if m.split(".")[0] == PACKAGES[name]]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, PACKAGES[name], None)
    with pytest.raises(MissingDependencyError, match=rf"stepsize\[{name}\]"):
        open_tracker(name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "neptune", "mlflo", "wandb:a\nb", ":x", "tensorboard:\0"])
def test_what_is_no_tracker_is_refused(text):
    with pytest.raises(InputError):
        open_tracker(text)


def test_a_name_that_is_nearly_one_is_suggested():
    with pytest.raises(InputError, match="mlflow"):
        open_tracker("mlfow")
