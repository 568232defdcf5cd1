"""Two real processes: one loss, one decision, nobody left waiting, each rank restored."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch.distributed as dist
from adapters import distributed_cases as cases

import stepsize

pytestmark = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()), reason="torch without gloo"
)

#: A deadlock ends here.
SECONDS = 55

AGREE = [
    "finds",
    "finds_by_the_default_rule",
    "finds_held_out_with_extension",
    "finds_from_an_equal_start",
    "one_rank_sees_nan",
    "one_clock_is_fast",
    "line_search",
    "sweeps",
]
FAIL = {  # the rank that fails, with its own exception
    "loss_raises": (1, "PlannedError"),
    "loader_raises": (0, "PlannedError"),
    "step_raises": (1, "PlannedError"),
    "ctrl_c_on_one_rank": (0, "KeyboardInterrupt"),
    "held_out_is_empty_on_one_rank": (0, "InputError"),
    "loss_has_no_gradient_on_one_rank": (0, "RangeTestError"),
    "sweep_body_raises_between_updates": (1, "PlannedError"),
    "sweep_report_is_bad_on_one_rank": (0, "RangeTestError"),
}
LEFT = ["sweep_is_left_early_by_one_rank", "sweep_is_left_early_by_all"]
STUCK = {"stuck_in_forward": 0, "stuck_in_backward": 0, "stuck_after_a_hook": 1}


class World:
    """Two processes that run some cases."""

    def __init__(self, folder, names):
        self.folder, self.began = folder, time.monotonic()
        sources = [str(Path(stepsize.__file__).parents[1]), str(Path(__file__).parents[1])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sources)}
        self.processes = [
            subprocess.Popen(
                [sys.executable, cases.__file__, str(rank), str(folder), *names],
                env=environment,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(2)
        ]

    def wait(self):
        left = SECONDS - (time.monotonic() - self.began)
        with contextlib.suppress(subprocess.TimeoutExpired):
            for process in self.processes:
                process.wait(max(left, 0.1))
        for process in self.processes:
            process.kill()
        self.errors = [process.communicate()[1] for process in self.processes]

    def ends_of(self, case):
        """What the two ranks wrote down about ``case``."""
        files = [self.folder / f"{case}-{rank}.json" for rank in range(2)]
        missing = [file.name for file in files if not file.exists()]
        assert not missing, f"never came to an end: {missing}\n" + "\n".join(self.errors)
        return [json.loads(file.read_text()) for file in files]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """All worlds at once: each of the stuck cases ends one."""
    together = [*AGREE, *FAIL, *LEFT, "finds"]
    plan = {name: [name] for name in STUCK} | dict.fromkeys(together, together)
    started = {}
    for names in {tuple(names) for names in plan.values()}:
        started[names] = World(tmp_path_factory.mktemp("world"), names)
    for world in started.values():
        world.wait()
    return {name: started[tuple(names)] for name, names in plan.items()}


@pytest.fixture
def ends(worlds, request):
    both = worlds[request.param].ends_of(request.param)
    assert [end["changed"] for end in both] == [[], []]
    return both


def each(names):
    return pytest.mark.parametrize("ends", names, indirect=True)


@each(AGREE)
def test_all_ranks_come_to_the_same_result_and_are_restored(ends):
    assert "error" not in ends[0]
    assert "error" not in ends[1]
    assert ends[0]["result"] == ends[1]["result"]
    assert ends[0]["result"]["curve"]["lr"]


@each(["finds", "sweeps"])
def test_the_loss_is_the_mean_over_the_ranks(ends):
    losses = [end["first loss"] for end in ends]
    assert losses[0] != losses[1]
    result = ends[0]["result"]
    assert result["repeats"][0]["loss"][0] == pytest.approx(sum(losses) / 2, rel=1e-12)


@each(["one_rank_sees_nan"])
def test_nan_on_one_rank_stops_all(ends):
    assert ends[0]["result"]["curve"]["stop"] == "not_finite"
    assert len(ends[0]["result"]["curve"]["lr"]) == 3


@each(["one_clock_is_fast"])
def test_the_time_limit_is_decided_together(ends):
    assert ends[0]["result"]["curve"]["stop"] == "max_seconds"
    assert 0 < ends[0]["result"]["updates"] < 99_999


@each(FAIL)
def test_a_failure_on_one_rank_ends_all(ends, request):
    case = request.node.callspec.params["ends"]
    rank, error = FAIL[case]
    assert ends[rank]["error"] == error
    assert ends[1 - rank]["error"] == "OtherRankError"
    assert f"Rank {rank} failed" in ends[1 - rank]["message"]
    assert max(end["took"] for end in ends) < 20


@each(["sweep_is_left_early_by_one_rank"])
def test_a_loop_that_one_rank_leaves_ends_on_all(ends):
    assert "error" not in ends[0]
    assert ends[1]["error"] == "OtherRankError"


@each(["sweep_is_left_early_by_all"])
def test_a_loop_that_all_ranks_leave_is_no_error(ends):
    assert "error" not in ends[0]
    assert "error" not in ends[1]


@each(STUCK)
def test_a_rank_that_fails_while_the_other_is_stuck_ends_both(ends, request):
    """Inside a collective operation of the training nobody can be told; but nobody waits on."""
    rank = STUCK[request.node.callspec.params["ends"]]
    assert ends[rank]["error"] == "PlannedError"
    assert ends[1 - rank]["error"] in ("OtherRankError", "RuntimeError")
    assert max(end["took"] for end in ends) < 20
