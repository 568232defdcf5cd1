"""What any crew keeps to, whoever its workers are."""

import time
from pathlib import Path

import pytest
from engines import calls

from stepsize.engines import Call, carried_out
from stepsize.errors import EngineError

#: Until a machine that is busy with other things has done what takes it a moment.
PATIENCE_SECONDS = 60.0


def call(function, *arguments):
    return Call(f"engines.calls:{function.__name__}", arguments)


def outcomes(crew, *tickets):
    """The outcomes of those calls, in their order."""
    found, end = {}, time.monotonic() + PATIENCE_SECONDS
    while set(tickets) - set(found):
        assert time.monotonic() < end
        found |= {outcome.ticket: outcome for outcome in crew.wait(1.0)}
    return [found[ticket] for ticket in tickets]


def awaited(*paths):
    end = time.monotonic() + PATIENCE_SECONDS
    while not all(Path(path).exists() for path in paths):
        assert time.monotonic() < end
        time.sleep(0.01)


class CrewLaws:
    """To be run with a fixture ``crew`` of two workers."""

    def test_values_come_back_under_their_tickets(self, crew):
        tickets = [crew.submit(call(calls.double, number)) for number in range(5)]
        assert [each.value for each in outcomes(crew, *tickets)] == [0, 2, 4, 6, 8]
        assert crew.wait(0.0) == []

    def test_as_many_calls_as_workers_are_carried_out_at_once(self, crew, tmp_path):
        assert crew.workers == 2
        pairs = [("a", "b"), ("b", "a")]
        tickets = [crew.submit(call(calls.meeting, str(tmp_path), *pair)) for pair in pairs]
        assert [each.value for each in outcomes(crew, *tickets)] == [True, True]

    def test_what_a_call_tells_is_heard_in_order_and_before_it_ends(self, crew):
        heard = []
        messages = [("loss", 0.5), {"number": 1}, [1, 2, 3], b"x" * 100_000]
        one = crew.submit(call(calls.telling, messages), heard.append)
        nobody = crew.submit(call(calls.telling, messages))
        assert [each.value for each in outcomes(crew, one, nobody)] == [4, 4]
        assert heard == messages

    def test_an_error_comes_back_with_the_traceback_from_there(self, crew):
        (outcome,) = outcomes(crew, crew.submit(call(calls.raising, "ValueError", "no such class")))
        assert isinstance(outcome.error, ValueError)
        assert str(outcome.error) == "no such class"
        assert any("calls.py" in note for note in outcome.error.__notes__)

    @pytest.mark.parametrize("kind", ["Unpicklable", "Unreadable"])
    def test_an_error_that_cannot_be_sent_is_told_in_words(self, crew, kind):
        (outcome,) = outcomes(crew, crew.submit(call(calls.raising, kind, "no such class")))
        assert isinstance(outcome.error, Exception)
        assert "no such class" in str(outcome.error)
        assert any("calls.py" in note for note in outcome.error.__notes__)

    def test_a_value_that_cannot_be_sent_is_an_error(self, crew):
        (outcome,) = outcomes(crew, crew.submit(call(calls.a_lambda)))
        assert outcome.error is not None

    def test_a_function_that_is_not_there_is_an_error(self, crew):
        tickets = [crew.submit(Call("no_such_module:f")), crew.submit(Call("math:no_such_thing"))]
        kinds = [type(each.error) for each in outcomes(crew, *tickets)]
        assert kinds == [ModuleNotFoundError, AttributeError]

    def test_what_a_call_prints_and_reads_disturbs_nobody(self, crew):
        (outcome,) = outcomes(crew, crew.submit(call(calls.printing, "hello")))
        assert outcome.value == ""

    def test_a_call_whose_worker_is_killed_is_lost_and_the_crew_goes_on(self, crew, tmp_path):
        file = str(tmp_path / "lives")
        killed, other = crew.submit(call(calls.dying, file, 9)), crew.submit(call(calls.double, 4))
        one, two = outcomes(crew, killed, other)
        assert one.lost
        assert one.error is None
        assert two.value == 8
        (after,) = outcomes(crew, crew.submit(call(calls.double, 5)))
        assert after.value == 10

    def test_a_lost_call_is_tried_again_but_not_for_ever(self, crew, tmp_path):
        assert [*carried_out(crew, [call(calls.dying, str(tmp_path / "a"), 2)])] == [(0, "alive")]
        with pytest.raises(EngineError):
            [*carried_out(crew, [call(calls.dying, str(tmp_path / "b"), 9)])]

    def test_interrupted_calls_end_like_ctrl_c_and_waiting_ones_never_begin(self, crew, tmp_path):
        names = ["a", "b", "c"]
        tickets = [crew.submit(call(calls.sleeping, str(tmp_path), name)) for name in names]
        awaited(tmp_path / "a.begun", tmp_path / "b.begun")
        crew.interrupt()
        for outcome in outcomes(crew, *tickets):
            assert outcome.lost or isinstance(outcome.error, KeyboardInterrupt)
        assert (tmp_path / "a.ended").read_text() == "KeyboardInterrupt"
        assert not (tmp_path / "c.begun").exists()
        (after,) = outcomes(crew, crew.submit(call(calls.double, 5)))
        assert after.value == 10
