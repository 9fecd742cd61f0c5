"""The engine process: jobs come back, cancel works, a death is noticed, and nothing is left behind."""

import os
import signal
import sys

import numpy as np
import psutil
import pytest

from napari_costal.engine import client
from napari_costal.engine.client import Engine
from napari_costal.engine.messages import LARGE, pack
from napari_costal.engine.quiet import LOWEST_NICE

JOBS = "tests.plugin.engine.jobs"


@pytest.fixture
def engine(qtbot, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")]))
    engine = Engine()
    yield engine
    engine.stop()


def start(engine, name, *arguments, user=None):
    return engine.start(f"{JOBS}:{name}", pack(arguments), user)


def outcome(qtbot, job, signal_name, timeout=30000):
    with qtbot.waitSignal(getattr(job, signal_name), timeout=timeout) as blocker:
        pass
    return blocker.args


def test_a_result_comes_after_its_progress(qtbot, engine):
    job = start(engine, "counting_job", 5, 0.0)
    seen = []
    job.progress.connect(lambda progress: seen.append(progress.done))
    assert outcome(qtbot, job, "result") == [5]
    assert seen == [0, 1, 2, 3, 4]


def test_large_arrays_go_there_and_back(qtbot, engine, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    array = np.random.default_rng(0).random(LARGE)
    (doubled,) = outcome(qtbot, start(engine, "summing_job", array), "result")
    np.testing.assert_array_equal(doubled, array * 2)
    assert list(tmp_path.iterdir()) == [], "the request's file is deleted with the job"


def test_jobs_wait_for_each_other(qtbot, engine):
    order = []
    jobs = [start(engine, "counting_job", steps, 0.0) for steps in (3, 2, 1)]
    for job in jobs:
        job.result.connect(order.append)
    outcome(qtbot, jobs[-1], "result")
    assert order == [3, 2, 1]


def test_an_expected_error_is_its_own_sentence(qtbot, engine):
    assert outcome(qtbot, start(engine, "refusing_job"), "failed") == [
        "The committee is on holiday. Come back tomorrow."
    ]


def test_a_bug_is_said_and_the_process_lives_on(qtbot, engine, caplog):
    (message,) = outcome(qtbot, start(engine, "broken_job"), "failed")
    assert "nobody expected this" in message
    assert "ZeroDivisionError" in caplog.text
    assert outcome(qtbot, start(engine, "counting_job", 1, 0.0), "result") == [1]


def test_a_running_job_is_cancelled_politely(qtbot, engine):
    job = start(engine, "counting_job", 10_000, 0.01)
    outcome(qtbot, job, "progress")
    pid = engine.pid
    engine.cancel(job)
    outcome(qtbot, job, "cancelled", timeout=2500)
    assert engine.pid == pid, "the process was not needed to be ended"
    assert outcome(qtbot, start(engine, "counting_job", 1, 0.0), "result") == [1]


def test_a_job_that_does_not_listen_is_cancelled_firmly(qtbot, engine, monkeypatch):
    monkeypatch.setattr(client, "PATIENCE_MS", 200)
    job = start(engine, "deaf_job")
    outcome(qtbot, job, "progress")
    qtbot.wait(500)  # by then it no longer hears a polite cancel
    pid = engine.pid
    engine.cancel(job)
    outcome(qtbot, job, "cancelled", timeout=20_000)
    qtbot.waitUntil(lambda: not psutil.pid_exists(pid), timeout=10_000)
    assert outcome(qtbot, start(engine, "counting_job", 1, 0.0), "result") == [1]


def test_a_waiting_job_is_cancelled_without_running(qtbot, engine):
    first = start(engine, "counting_job", 20, 0.01)
    second = start(engine, "counting_job", 1, 0.0)
    ran = []
    second.result.connect(ran.append)
    with qtbot.waitSignal(second.cancelled, timeout=1000):
        engine.cancel(second)
    outcome(qtbot, first, "result")
    assert ran == []


def test_a_death_is_said_and_the_job_begun_again(qtbot, engine, tmp_path):
    job = start(engine, "dying_job", str(tmp_path / "deaths"), 1)
    with qtbot.waitSignal(engine.notice, timeout=30000) as notice:
        pass
    assert "restarted" in notice.args[0]
    assert outcome(qtbot, job, "result") == ["survived"]


def test_a_job_that_kills_twice_fails_and_says_that_labels_are_safe(qtbot, engine, tmp_path):
    job = start(engine, "dying_job", str(tmp_path / "deaths"), 2)
    (message,) = outcome(qtbot, job, "failed")
    assert "Your labels are safe" in message


def test_an_idle_process_killed_from_outside_is_noticed(qtbot, engine):
    outcome(qtbot, start(engine, "counting_job", 1, 0.0), "result")
    with qtbot.waitSignal(engine.notice, timeout=5000) as notice:
        os.kill(engine.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    assert "ended while it was idle" in notice.args[0]
    assert engine.pid == 0
    assert outcome(qtbot, start(engine, "counting_job", 1, 0.0), "result") == [1]


def test_the_last_dock_to_leave_ends_the_process(qtbot):
    from qtpy.QtWidgets import QMainWindow, QWidget

    window = QMainWindow()
    qtbot.addWidget(window)
    docks = [QWidget(window), QWidget(window)]
    engines = [Engine.of(dock) for dock in docks]
    assert engines[0] is engines[1], "docks of a window share one engine"
    job = engines[0].start("costal.workbench.retraining:retrain", pack(()), docks[0])
    with qtbot.waitSignal(job.failed, timeout=30000):
        pass
    pid = engines[0].pid
    engines[0].leave(docks[0])
    assert psutil.pid_exists(pid)
    engines[0].leave(docks[1])
    qtbot.waitUntil(lambda: not psutil.pid_exists(pid), timeout=2000)


def test_the_process_ends_when_the_window_dies(qtbot, engine):
    outcome(qtbot, start(engine, "counting_job", 1, 0.0), "result")
    child = psutil.Process(engine.pid)
    engine._process.closeWriteChannel()
    child.wait(timeout=5)
    assert not child.is_running()


def test_a_quiet_job_has_one_thread_of_low_priority_and_the_next_has_what_was_before(qtbot, engine):
    loud, quiet, after = (
        outcome(qtbot, engine.start(f"{JOBS}:standing_job", pack(()), None, is_quiet), "result")[0]
        for is_quiet in (False, True, False)
    )
    assert loud == after
    assert quiet[0] == 1
    if sys.platform == "linux":
        assert quiet[1] == max(loud[1], LOWEST_NICE)
