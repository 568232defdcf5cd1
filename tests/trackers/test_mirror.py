"""The mirror with a tracker that only remembers."""

from dataclasses import dataclass, field

import pytest
from trackers.stored import HOSTILE, UPDATES, Stored, evaluation, loss, lr, rows

from stepsize.trackers import Mirror


@dataclass(eq=False)
class Remembering:
    name: str = "tensorboard"
    target: str = "here"
    runs: dict = field(default_factory=dict)  # by arm: the rows that were sent
    opened: list = field(default_factory=list)
    ended: list = field(default_factory=list)
    finished: list = field(default_factory=list)

    def has(self, info):
        return info.arm in self.runs

    def open(self, info, sent):
        self.opened.append((info.arm, sent))
        self.runs.setdefault(info.arm, [])
        return _Run(self, info)

    def finish(self, info, result, files):
        self.finished.append((info, result, files))

    def close(self):
        pass


@dataclass
class _Run:
    tracker: Remembering
    info: object

    def log(self, update, values):
        self.tracker.runs[self.info.arm].append((update, dict(values)))

    def flush(self):
        pass

    def end(self, status, summary):
        self.tracker.ended.append((self.info.arm, status, summary))


@pytest.fixture
def stored(tmp_path):
    return Stored(tmp_path)


@pytest.fixture
def tracker():
    return Remembering()


def plain(found):
    return repr(found)  # NaN is not itself


def expected(seed, updates=UPDATES):
    return list(rows(seed, updates).items())


def test_rows_come_once_and_in_order_however_often_it_is_asked(stored, tracker):
    mirror = Mirror(stored.store, tracker, stored.id)
    run = stored.runs[0][0]
    with stored.store.claim(run, {}) as lease:
        for t in range(UPDATES):
            lease.log(t, lr(t), loss(t, 0))
            if (t + 1) % 10 == 0:
                lease.evaluate(evaluation((t + 1) // 10, 0))
            if t % 3 == 0:
                lease.flush()
                mirror.sync(run)
        lease.finish("finished")
    mirror.end(run)
    mirror.end(run)
    assert plain(tracker.runs["cosine(0.1)"]) == plain(expected(0))
    assert [status for _, status, _ in tracker.ended] == ["finished"]


def test_an_update_and_the_evaluation_after_it_are_never_parted(stored, tracker):
    """A run is looked at between its epoch's last update and the evaluation."""
    mirror = Mirror(stored.store, tracker, stored.id)
    run = stored.runs[0][0]
    with stored.store.claim(run, {}) as lease:
        for t in range(10):
            lease.log(t, lr(t), loss(t, 0))
        lease.flush()
        mirror.sync(run)
        mirror.sync(run)
        lease.evaluate(evaluation(1, 0))
        mirror.sync(run)
    assert plain(tracker.runs["cosine(0.1)"]) == plain(expected(0, 10))


@pytest.mark.parametrize("stop", [9, 10, 11, 25])
def test_an_interrupted_run_that_went_back_to_its_checkpoint_comes_once(stored, tracker, stop):
    run = stored.make(0, stop, "interrupted")
    Mirror(stored.store, tracker, stored.id).end(run)
    with stored.store.claim(run, {}) as lease:
        lease.rewind(stop // 10 * 10)
    stored.make(0)
    Mirror(stored.store, tracker, stored.id).end(run)
    assert plain(tracker.runs["cosine(0.1)"]) == plain(expected(0))
    assert [status for _, status, _ in tracker.ended] == ["interrupted", "finished"]


def test_what_the_tool_has_lost_is_sent_anew(stored, tracker):
    run = stored.make(0)
    Mirror(stored.store, tracker, stored.id).end(run)
    tracker.runs.clear()
    Mirror(stored.store, tracker, stored.id).end(run)
    assert plain(tracker.runs["cosine(0.1)"]) == plain(expected(0))


def test_the_end_brings_what_was_missed_and_the_result_once(stored, tracker):
    for number in range(2):
        stored.make(number)
    for _ in range(2):
        mirror = Mirror(stored.store, tracker, stored.id)
        mirror.finish(stored.result(), {"compare.json": b"{}"})
        mirror.close()
    assert plain(tracker.runs[HOSTILE]) == plain(expected(1))
    assert len(tracker.ended) == 2
    ((info, result, files),) = tracker.finished
    assert (info.key, result.metric, files) == (
        "0123456789abcdef", "val_loss", {"compare.json": b"{}"},
    )  # fmt: skip


def test_another_place_gets_everything_too(stored, tracker):
    run = stored.make(0)
    Mirror(stored.store, tracker, stored.id).end(run)
    other = Remembering(target="there")
    Mirror(stored.store, other, stored.id).end(run)
    assert plain(other.runs) == plain(tracker.runs)


def test_two_arms_that_are_one_run_are_both_there(tmp_path, tracker):
    """What is known to be sent under one arm says nothing of the other."""
    stored = Stored(tmp_path, arms=(("a", 0), ("b", 0)))
    mirror = Mirror(stored.store, tracker, stored.id)
    mirror.sync(stored.make(0, 25, "interrupted"))
    mirror.end(stored.make(0))
    assert plain(tracker.runs["a"]) == plain(tracker.runs["b"]) == plain(expected(0))


def test_an_arm_that_joins_later_gets_its_own_copy(stored, tracker):
    mirror = Mirror(stored.store, tracker, stored.id)
    mirror.end(stored.make(0))
    tracker.runs["late"] = []  # the tool has an empty run of that name
    plan, arm = stored.store.comparison(stored.id).plan, (stored.runs[0][0], "late")
    stored.store.add_comparison("0123456789abcdef", stored.name, plan, [arm])
    Mirror(stored.store, tracker, stored.id).end(stored.runs[0][0])
    assert plain(tracker.runs["late"]) == plain(expected(0))


def test_a_run_of_another_comparison_is_left_alone(stored, tracker):
    definition = {"task": "t", "schedule": "constant(1)", "seed": 0, "epochs": 1, "updates": 1}
    other = stored.store.add_run("other", definition)
    Mirror(stored.store, tracker, stored.id).end(other)
    assert tracker.opened == []


def test_a_run_that_waits_is_not_sent(stored, tracker):
    stored.make(0)
    Mirror(stored.store, tracker, stored.id).finish(stored.result(), {})
    assert [arm for arm, _ in tracker.opened] == ["cosine(0.1)"]


def test_the_summary_has_final_and_best_values(stored, tracker):
    Mirror(stored.store, tracker, stored.id).end(stored.make(0))
    ((_, _, summary),) = tracker.ended
    assert summary["final_val_loss"] == summary["best_val_loss"] == 1 / 12
    assert (summary["best_epoch"], summary["updates_done"], summary["seconds"]) == (4, 40, 1.5)
