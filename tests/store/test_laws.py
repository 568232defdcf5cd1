"""Laws: what is logged is what is read, and a trace leaves nothing out."""

import math
from collections import namedtuple
from itertools import count

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from store.processes import DEFINITION

from stepsize.records import Evaluation, Trace
from stepsize.store import Store, lease

KEYS = count()
rates = st.floats(0.0, 10.0)
losses = st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf])
names = st.text(min_size=1, max_size=8).filter(lambda text: text.isprintable())
Log = namedtuple("Log", "lr loss")
Rewind = namedtuple("Rewind", "share")
actions = st.one_of(
    st.builds(Log, rates, losses),
    st.sampled_from(["flush", "leave", "fact"]),
    st.builds(Rewind, st.floats(0.0, 1.0)),
    st.dictionaries(names, losses, max_size=3),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("laws")) as opened:
        yield opened


@given(st.lists(actions, max_size=60), st.sampled_from([0.0, 1e-4, 1e9]))
def test_what_is_logged_is_what_is_read(store, wanted, seconds):
    """In any order of updates, evaluations, rewinds and resumptions, however they are grouped."""
    rows, history, facts = [], [], {}
    run_id = store.add_run(f"k{next(KEYS)}", DEFINITION)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lease, "COMMIT_SECONDS", seconds)
        held = store.claim(run_id, {})
        for action in wanted:
            if isinstance(action, Log):
                held.log(len(rows), *action)
                rows.append((len(rows), *action))
            elif isinstance(action, Rewind):
                updates = round(action.share * len(rows))
                held.rewind(updates)
                rows = rows[:updates]
                history = [each for each in history if each.updates <= updates]
            elif isinstance(action, dict):
                made = Evaluation(1, len(rows), action)
                held.evaluate(made)
                history = [each for each in history if each.updates < len(rows)] + [made]
            elif action == "fact":
                held.facts(**{f"fact {len(facts)}": len(rows)})
                facts[f"fact {len(facts)}"] = len(rows)
            elif action == "flush":
                held.flush()
            else:
                held.finish("interrupted")
                held = store.claim(run_id, {})
        held.finish("finished")
    run = store.read(run_id)
    written = [(number, lr + 0.0, loss + 0.0) for number, lr, loss in rows]  # -0.0 becomes 0.0
    assert repr(list(store.updates(run_id))) == repr(written)  # NaN by its repr
    assert (run.done, run.history, run.facts) == (len(rows), tuple(history), facts)
    assert [list(each.values) for each in run.history] == [list(each.values) for each in history]
    middle = len(rows) // 2
    assert [row[0] for row in store.updates(run_id, middle)] == list(range(middle, len(rows)))


def reference(values, width):
    """The trace of a run, from its definition."""
    parts = [values[at : at + width] for at in range(0, len(values), width)]
    columns = {name: [] for name in ("lr_low", "lr_high", "loss_low", "loss_mean", "loss_high")}
    for part in parts:
        finite = all(math.isfinite(loss) for _, loss in part)
        known = [loss for _, loss in part if not math.isnan(loss)]
        low = min(known, default=math.inf)
        columns["lr_low"].append(min(lr for lr, _ in part))
        columns["lr_high"].append(max(lr for lr, _ in part))
        columns["loss_low"].append(low if math.isfinite(low) else math.inf)
        columns["loss_mean"].append(math.fsum(known) / len(part) if finite else math.inf)
        columns["loss_high"].append(max(known) if finite else math.inf)
    return columns


@given(st.lists(st.tuples(rates, losses), max_size=120), st.integers(1, 8))
@example([(0.1, math.nan), (0.2, 1.0), (0.3, 2.0), (0.4, 3.0)], 2)
@example([(0.1, 1.0), (0.2, math.inf), (0.3, -math.inf), (0.4, math.nan)], 2)
def test_a_trace_is_that_of_the_definition(store, values, buckets):
    run_id = store.add_run(f"k{next(KEYS)}", DEFINITION)
    with store.claim(run_id, {}) as held:
        for update, value in enumerate(values):
            held.log(update, *value)
        held.finish("finished")
    trace = store.trace(run_id, buckets)
    assert len(trace) <= buckets
    assert trace.updates == len(values)
    assert trace.width == max(1, math.ceil(len(values) / buckets))
    for name, column in reference(values, trace.width).items():
        assert list(getattr(trace, name)) == pytest.approx(column, rel=1e-9, abs=1e-9), name
    assert Trace.from_dict(trace.to_dict()) == trace


def test_a_trace_shows_where_updates_are_missing(store):
    run_id = store.add_run(f"k{next(KEYS)}", DEFINITION)
    with store.claim(run_id, {}) as held:
        held.log(0, 0.5, 1.0)
        held.log(10**9, 0.25, 2.0)
        held.finish("finished")
    trace = store.trace(run_id, 3)
    assert trace.lr_high == (0.5, math.inf, 0.25)
    assert trace.loss_mean == (1.0, math.inf, 2.0)
