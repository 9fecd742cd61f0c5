import time

import pytest
import torch

from tests.benchmarks.stopwatch import Spent, timed


def test_waiting_counts_on_the_clock_alone():
    outcome, spent = timed(lambda: time.sleep(0.2) or 7, "cpu")
    assert outcome == 7
    assert spent.wall_s >= 0.2
    assert spent.cpu_s < 0.1


@pytest.mark.parametrize(("device", "expected"), [("cpu", 1.0), ("cuda", 2.0), ("cuda:1", 2.0), ("mps", 2.0)])
def test_only_a_cpu_is_measured_in_cpu_seconds(device, expected):
    assert Spent(1.0, 2.0).on(device) == expected


def test_a_gpu_has_finished_before_either_end_of_the_clock(monkeypatch):
    said = []
    monkeypatch.setattr(torch.cuda, "synchronize", said.append)
    timed(lambda: said.append("work"), "cuda:0")
    assert said == ["cuda:0", "work", "cuda:0"]
