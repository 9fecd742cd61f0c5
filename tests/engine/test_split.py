"""The parts that a benchmark splits its figures into: that each second is counted once, for the right part."""

import sys
import types

import pytest

from tests.benchmarks.split import REST, split_into


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def spend(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def clock(monkeypatch):
    clock, module = Clock(), types.ModuleType("made_up")

    def inner():
        clock.spend(2.0)

    def outer():
        clock.spend(1.0)
        module.inner()
        return "done"

    def job():
        clock.spend(4.0)
        yield "half"
        clock.spend(8.0)
        return "whole"

    module.inner, module.outer, module.job = inner, outer, job
    monkeypatch.setitem(sys.modules, "made_up", module)
    return clock


def test_a_part_is_counted_without_the_parts_that_it_calls(clock):
    import made_up

    with split_into({"one": ("made_up.outer",), "two": ("made_up.inner",)}, clock) as split:
        clock.spend(16.0)
        assert made_up.outer() == "done"
    assert split.seconds == {REST: 16.0, "one": 1.0, "two": 2.0}


def test_between_the_steps_of_a_job_its_caller_is_counted(clock):
    import made_up

    with split_into({"job": ("made_up.job",)}, clock) as split:
        job = made_up.job()
        assert next(job) == "half"
        clock.spend(32.0)
        with pytest.raises(StopIteration, match="whole"):
            next(job)
    assert split.seconds == {REST: 32.0, "job": 12.0}
