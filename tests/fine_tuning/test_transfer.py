"""``stepsize.transfer``: everything of transfer learning under one name, loaded when it is used."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from stepsize import transfer


def test_every_name_is_there_and_documented():
    for name in dir(transfer):
        assert getattr(transfer, name) is not None
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    section = text.partition("`stepsize.transfer` holds")[2].partition("\n\nWith")[0]
    documented = set(re.findall(r"`(\w+)`", section))
    assert documented == set(dir(transfer)) == set(transfer.__all__)
    with pytest.raises(AttributeError, match="groupz"):
        _ = transfer.groupz


def test_values_need_no_framework_and_the_rest_says_what_it_needs():
    code = """
import sys
sys.modules["torch"] = None
sys.modules["numpy"] = None
from stepsize import transfer
print(transfer.discriminative(0.1, 2, 10).rates, len(transfer.PLANS) > 0)
transfer.groups
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "(0.01, 0.1) True\n"
    assert "MissingDependencyError: stepsize.transfer.groups needs PyTorch" in done.stderr
