"""A project that normalises all frames alike: a model fixes its range, which is measured anew on request."""

from dataclasses import replace

import numpy as np
import pytest

from costal.frames.grid import tile
from costal.frames.normalise import IntensityRange
from costal.labels.effort import Event, EventKind
from costal.labels.models import load_newest
from costal.labels.project import Choices, Tiling
from costal.labels.project_file import create_project, load_project, save_project
from costal.labels.records import AnswerRecord
from costal.labels.store import Store
from costal.scoring.frame_planes import FramePlane
from costal.scoring.model_version import range_in_use
from costal.scoring.prepare import ScoreRequest, prepare
from costal.types import finish
from costal.workbench.retraining import RetrainRequest, retrain
from costal.workbench.session import ProjectSession, recorded

CROP, SIDE, S = 16, 64, 1_000_000_000


def frame_up_to(brightest, number):
    """Return a frame whose range is 0 to `brightest`."""
    pixels = np.linspace(0, brightest, SIDE * SIDE).astype(np.float32).reshape(1, SIDE, SIDE)
    return FramePlane(pixels, f"{number}.tif", "all", str(number) * 64, None)


@pytest.fixture
def project(tmp_path):
    made = create_project(tmp_path / "cells", ("dark", "bright"))
    tiling = Tiling(CROP, CROP, normalise="project")
    save_project(replace(made, tiling=tiling, choices=Choices(passes=2, n=2, backbone="efficientnet_lite0")))
    with ProjectSession(made.folder, "ada") as session:
        frame = frame_up_to(100, 1)
        stored, grid = session.place(recorded(frame)), tile((SIDE, SIDE), CROP)
        for index in (0, 1, 14, 15):
            y, x = grid.origin(index)
            crop = frame.pixels_C_Y_X[:, y : y + CROP, x : x + CROP]
            events = (Event(EventKind.SHOWN, 0, 0), Event(EventKind.ANSWERED, S, S))
            session.answer(AnswerRecord(stored.id, y, x, crop, "class", 1 + (index > 7), "ada", events))
    return load_project(made.folder)


def place(project, frame):
    with ProjectSession(project.folder, "ada") as session:
        return session.place(recorded(frame)).range


def test_the_range_grows_with_frames_until_a_model_is_trained_and_then_stays(project):
    before = place(project, frame_up_to(200, 2))
    assert before.high_C[0] > 150
    finish(retrain(RetrainRequest(project, 0, "cpu")))
    assert place(project, frame_up_to(1000, 3)) == before
    origin = load_newest(project.model_folder).provenance
    assert (origin.low_C, origin.high_C) == (before.low_C, before.high_C)


def test_later_models_keep_the_range_and_a_new_one_is_measured_on_request(project):
    finish(retrain(RetrainRequest(project, 0, "cpu")))
    fixed = place(project, frame_up_to(1000, 3))
    finish(retrain(RetrainRequest(project, 0, "cpu")))
    assert place(project, frame_up_to(100, 1)) == fixed
    finish(retrain(RetrainRequest(project, 0, "cpu", new_range=True)))
    assert place(project, frame_up_to(100, 1)).high_C[0] > 900


def test_a_frame_beyond_the_range_is_scored_with_a_warning_that_names_both_and_the_remedy(project):
    finish(retrain(RetrainRequest(project, 0, "cpu")))
    warning = prepare(ScoreRequest(project, frame_up_to(1000, 3))).warning
    assert "intensities from" in warning and "were trained for" in warning and "costal train --new-range" in warning
    assert prepare(ScoreRequest(project, frame_up_to(50, 4))).warning == ""


def test_frames_with_ranges_of_their_own_are_never_beyond(project):
    own = replace(project, tiling=replace(project.tiling, normalise="frame"))
    finish(retrain(RetrainRequest(own, 0, "cpu")))
    assert load_newest(project.model_folder).provenance.low_C == ()
    assert prepare(ScoreRequest(own, frame_up_to(1000, 3))).warning == ""
    with Store(own.store_path, read_only=True) as store:
        assert range_in_use(own, IntensityRange((1.0,), (2.0,)), store.ranges()) == IntensityRange((1.0,), (2.0,))
