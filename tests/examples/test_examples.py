"""The examples run, and do what they say."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import stepsize as ss

EXAMPLES = Path(__file__).parents[2] / "examples"


def loaded(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_runs_without_a_warning(path):
    if "torch" in path.read_text():
        pytest.importorskip("torch")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


class TestNumPyNetwork:
    """The core needs no framework: a network in plain NumPy is found a rate and given back."""

    @pytest.fixture
    def network(self):
        pytest.importorskip("numpy")
        return loaded("numpy_network").TwoLayerNetwork

    @pytest.fixture(autouse=True)
    def quiet_numpy(self):
        numpy = pytest.importorskip("numpy")
        with numpy.errstate(over="ignore", invalid="ignore"):
            yield

    def test_it_is_found_a_rate_that_trains_it(self, network):
        result = ss.finder.find(network)
        assert result.verdict == "ok", result.reason
        assert len(result.repeats) == 1

        def trained(lr):
            made = network(seed=7)
            return sum([made.step(lr) for _ in range(500)][-50:]) / 50

        at_answer = trained(result.lr)
        assert at_answer < 0.8 * trained(result.lr / 100)
        assert not trained(30 * result.lr) < at_answer

    @pytest.mark.parametrize("ending", ["end", "raise"])
    def test_its_weights_and_its_generator_come_back_bit_for_bit(self, network, ending):
        made, twin = network(), network()
        if ending == "raise":
            made.step = lambda lr: 1 / 0
        try:
            ss.range_test(made, ss.Geometric(1e-6, 100.0))
        except ZeroDivisionError:
            del made.step
        for ours, theirs in zip(made.weights, twin.weights, strict=True):
            assert ours.tobytes() == theirs.tobytes()
        assert [made.step(0.1) for _ in range(5)] == [twin.step(0.1) for _ in range(5)]
