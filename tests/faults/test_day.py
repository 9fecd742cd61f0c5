"""A day of labelling by real keys, while a microscope writes into the watched folder; see `day`.

Run ``python -m tests.benchmarks.stalls`` for the figures of a machine: a shared one without a GPU paints when it can,
so that here only their order of magnitude is judged.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("the script presses keys of an X server", allow_module_level=True)

from costal.labels.effort import EventKind, derive, replay
from costal.labels.store import Store
from napari_costal.labelling.presentation import KeyClock, Presenter
from tests.faults.day import AWAY_EVERY, AWAY_S, IDLE_EVERY, IDLE_LIMIT_S, microscope, project_for_a_day

pytestmark = pytest.mark.slow

DAY = Path(__file__).with_name("day.py")
CROPS = 60
IDLE = [number for number in range(1, CROPS + 1) if number % IDLE_EVERY == 0]
AWAY = [number for number in range(1, CROPS + 1) if number % AWAY_EVERY == 0 and number not in IDLE]


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    folder = tmp_path_factory.mktemp("day")
    project, inbox = project_for_a_day(folder)
    with microscope(inbox, frames=5, every=4):
        command = [sys.executable, DAY, project.folder, folder / "acknowledged.jsonl", folder / "report.json"]
        asked = ["--crops", CROPS, "--frames", 5]
        subprocess.run([str(each) for each in [*command, *asked]], check=True, timeout=280)
    report = json.loads((folder / "report.json").read_text())
    with Store(project.store_path, read_only=True) as store:
        rows = {row.label_id: row for row in store.presentations() if row.label_id is not None}
        labels = store.labels()
    return report, rows, labels


def efforts(day, interruption):
    report, rows, _ = day
    for each in report["done"]:
        if each["interruption"] == interruption:
            row = rows[each["label_id"]]
            yield each["looked_s"], derive(replay(row.events, round(IDLE_LIMIT_S * 1e9)))


@pytest.mark.timeout(300)
def test_every_label_is_there_as_it_was_given(day):
    report, rows, labels = day
    assert report["error"] == ""
    assert len(report["done"]) == CROPS
    assert {label.label_id: label.class_id for label in labels} == {
        each["label_id"]: each["class_id"] for each in report["done"]
    }
    assert {rows[each["label_id"]].frame_source for each in report["done"]} == {
        each["frame"] for each in report["done"]
    }
    assert len({each["frame"] for each in report["done"]}) > 1, "frames kept arriving"


def test_every_effort_is_the_scripted_one(day):
    found = list(efforts(day, ""))
    assert len(found) == CROPS - len(IDLE) - len(AWAY)
    assert all(effort.usable and not effort.censored for _, effort in found)
    off_s = [effort.active_s - looked_s for looked_s, effort in found]
    assert statistics.median(off_s) < 0.05
    assert min(off_s) > -0.002, "an effort is never shorter than the look"
    assert max(off_s) < 0.5


def test_an_idle_gap_ends_the_known_part(day):
    found = list(efforts(day, "idle"))
    assert len(found) == len(IDLE)
    for _, effort in found:
        assert effort.usable
        assert effort.censored
        assert effort.active_s < IDLE_LIMIT_S + 0.5


def test_time_in_another_window_does_not_count(day):
    found = list(efforts(day, "focus"))
    assert len(found) == len(AWAY)
    for looked_s, effort in found:
        assert effort.idle_ns > AWAY_S / 2 * 1e9
        assert effort.active_s == pytest.approx(looked_s, abs=0.4)


@pytest.mark.parametrize(
    ("keys", "lag_ms"),
    [
        pytest.param([(1000, 5000)], 0, id="nothing to compare with"),
        pytest.param([(1000, 5000), (2000, 6300)], 300, id="one that waited"),
        pytest.param([(1000, 5300), (2000, 6000)], 0, id="the first one waited"),
        pytest.param([(1000, 5000), (0, 6300)], 0, id="no time"),
        pytest.param([(1000, 5000), (2000, 60_000)], 0, id="a clock that jumped"),
    ],
)
def test_a_key_waited_for_as_long_as_it_came_later_than_the_quickest(keys, lag_ms):
    clock = KeyClock()
    lags = [clock.lag_ns(pressed_ms, heard_ms * 10**6) for pressed_ms, heard_ms in keys]
    assert lags[-1] == lag_ms * 10**6


@pytest.mark.parametrize(("pressed_ms", "is_meant"), [(900, False), (1200, True)], ids=["before", "after"])
def test_a_key_pressed_before_the_crop_was_painted_is_not_its_answer(pressed_ms, is_meant):
    now_ms = [100]
    presenter = Presenter(lambda _: None, lambda: (now_ms[0] * 10**6, now_ms[0] * 10**6))
    presenter.key_heard(100)  # this one did not wait
    crop = presenter.open(0, 1, 10**12)
    presenter.painted((1000 * 10**6, 1000 * 10**6))
    now_ms[0] = 1500  # the window was busy until now
    presenter.key_heard(pressed_ms)
    at = presenter.moment()
    assert at == (pressed_ms * 10**6, pressed_ms * 10**6)
    assert crop.may_end(at) is is_meant
    if is_meant:
        crop.record(EventKind.ANSWERED, at=at)
        assert derive(crop.state).active_ns == 200 * 10**6
