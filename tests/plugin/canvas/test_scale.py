"""A million crops in a frame: what a move of the slider does must not grow with them but in numpy."""

import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel

from costal.agent.value import value
from costal.frames.grid import heatmap, tile
from costal.labels.project_file import create_project
from costal.scoring.queries import query_of, unanswered
from napari_costal.canvas.overlays import HEATMAP, FrameOverlay, centres
from napari_costal.canvas.placement import placement_of
from tests.benchmarks.gui import made_up

CROP, SIDES = 8, (100, 1000)
MOVE_CPU_S, SELECTION_CPU_S = 5 * 0.05, 5 * 0.1


class Large:
    """Made-up scores over a frame of side x side crops, drawn without a window."""

    def __init__(self, side):
        self.grid = tile((side * CROP, side * CROP), CROP)
        self.found = made_up(len(self.grid), seed=0)
        self.viewer = ViewerModel()
        self.layer = self.viewer.add_image(np.zeros((side, side), np.uint8), scale=(CROP, CROP))
        self.overlay = FrameOverlay(self.viewer, "test")

    def move(self, beta):
        scores = self.found.scores
        values_N = value(scores.information_N, scores.cost_N, 1.0, beta)
        drawn = heatmap(self.grid, values_N)
        self.overlay.draw_heatmap(drawn, self.grid, placement_of(self.layer), "value v", None)


@pytest.fixture(scope="module")
def frames():
    return [Large(side) for side in SIDES]


def calls_of(act):
    """Return how many functions are called, of Python and of C."""
    count = 0

    def seen(_frame, event, _argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(seen)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


def least_cpu_s(act, times=3):
    spent = []
    for _ in range(times):
        begun = time.process_time()
        act()
        spent.append(time.process_time() - begun)
    return min(spent)


def test_a_move_of_the_slider_calls_as_much_for_a_million_crops_as_for_ten_thousand(frames):
    for frame in frames:
        frame.move(0.2)
    few, many = (calls_of(lambda frame=frame: frame.move(0.5)) for frame in frames)
    assert many < 1.2 * few + 100
    drawn = next(each for each in frames[1].viewer.layers if each.metadata.get("part") == HEATMAP)
    assert drawn.data.shape == (1000, 1000)
    assert drawn.data.dtype == np.float32


def test_a_move_of_the_slider_over_a_million_crops_takes_a_moment(frames):
    betas = iter((0.3, 0.6, 0.9, 1.2))
    frames[1].move(next(betas))
    assert least_cpu_s(lambda: frames[1].move(next(betas))) < MOVE_CPU_S


@pytest.mark.parametrize(
    "choices", [{"diverse": False}, {"diverse": True}, {"by": "minutes", "diverse": False}], ids=str
)
def test_a_selection_among_a_million_crops_takes_a_moment_and_calls_nothing_for_each(frames, tmp_path, choices):
    project = create_project(tmp_path / "project")
    project = replace(project, choices=replace(project.choices, **choices))
    counts = []
    for frame in frames:
        candidates = unanswered({3: None}, frame.grid)
        query_of(frame.found, project, frame.grid, candidates, 0, "abc")  # what is imported or cached once
        counts.append(calls_of(lambda f=frame, c=candidates: query_of(f.found, project, f.grid, c, 0, "abc")))
    assert counts[1] < len(frames[0].grid)
    assert least_cpu_s(lambda: query_of(frame.found, project, frame.grid, candidates, 0, "abc")) < SELECTION_CPU_S


def test_free_crops_and_centres_are_found_without_a_call_for_each(frames):
    few, many = (
        calls_of(lambda grid=frame.grid: centres(grid, unanswered({3: None, 5: None}, grid))) for frame in frames
    )
    assert many == few
    grid = frames[0].grid
    assert centres(grid, [0, 101]).tolist() == [[3.5, 3.5], [11.5, 11.5]]
    assert unanswered({3: None, 5: None}, grid)[:5].tolist() == [0, 1, 2, 4, 6]
