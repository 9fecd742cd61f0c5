"""Processes killed at random moments: what was acknowledged is there afterwards."""

import os
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest

from costal.labels.project_file import create_project
from costal.labels.store import Store
from costal.workbench.session import ProjectSession

pytestmark = pytest.mark.slow

WRITER = """
import sys
from pathlib import Path
import numpy as np
from costal.labels.records import AnswerRecord, FrameRecord
from costal.labels.store import Store
with Store(Path(sys.argv[1])) as store:
    frame = store.add_frame(FrameRecord("hash", "all", "source", 10**6, 8, None, (0.0,), (1.0,)))
    start = len(store.presented())
    for row in range(start, start + 10_000):
        answer = AnswerRecord(frame, row * 8, 0, np.full((1, 8, 8), row % 251, np.uint8), "class", 1, "me", ())
        print(store.answer(answer), flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_no_acknowledged_label_is_lost_when_the_writer_is_killed(tmp_path):
    project = create_project(tmp_path / "project")
    rng, acknowledged = random.Random(0), set()
    for _ in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(project.store_path)], stdout=subprocess.PIPE, text=True
        )
        acknowledged.add(int(writer.stdout.readline()))
        time.sleep(rng.uniform(0, 0.2))
        writer.kill()
        acknowledged |= {int(line) for line in writer.stdout.read().split()}
        writer.wait()
        writer.stdout.close()
        with Store(project.store_path, read_only=True) as store:
            assert acknowledged <= {label.label_id for label in store.labels()}
            assert store.check() == []
    assert len(acknowledged) > 8
    ProjectSession(project.folder).close()


def test_an_engine_killed_while_it_learns_is_restarted_and_no_label_is_lost(make_napari_viewer, qtbot, tmp_path):
    from costal.frames.simulate import simulate_field
    from napari_costal.label_crops.widget import LabelCrops
    from napari_costal.ui.preferences import Preferences

    viewer = make_napari_viewer(show=True)
    field = simulate_field((64, 64), 16, seed=2, pixel_um=0.03)
    viewer.add_image(field.pixels_Y_X)
    dock = LabelCrops(viewer, Preferences("tester", tmp_path, "cpu"))
    viewer.window.add_dock_widget(dock)
    dock.setup.crop.value = 16
    for index, class_id in enumerate((1, 2, 1, 2)):
        dock.present_at(((index // 4) * 16 + 4, (index % 4) * 16 + 4))
        qtbot.waitUntil(lambda: (now := dock.labelling.current) is not None and now.is_shown, timeout=20_000)
        dock.labelling.answer(class_id)
        qtbot.waitUntil(lambda index=index: index in dock.frame.labels, timeout=5000)
    said = []
    dock.say = said.append
    dock.query.retrain()
    qtbot.waitUntil(lambda: dock._engine_now is not None and dock._engine_now.pid > 0, timeout=20_000)
    dock._engine_now.notice.connect(said.append)
    first = dock._engine_now.pid
    qtbot.waitUntil(lambda: "classifier" in dock.progress.format(), timeout=60_000)
    os.kill(first, getattr(signal, "SIGKILL", signal.SIGTERM))
    qtbot.waitUntil(lambda: any("started again" in each for each in said), timeout=5000)
    qtbot.waitUntil(lambda: not dock.query.is_busy and "Model 1" in dock.model_label.text(), timeout=120_000)
    assert not psutil.pid_exists(first)
    folder = dock.session.project.folder
    dock.close()
    with Store(folder / "labels.sqlite", read_only=True) as store:
        assert [label.class_id for label in store.labels()] == [1, 2, 1, 2]
