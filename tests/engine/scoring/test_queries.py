"""Which crops of a grid have labels."""

from dataclasses import replace

import numpy as np
import pytest

from costal.frames.grid import tile
from costal.labels.controls import control_flags
from costal.labels.project_file import create_project, load_project, save_project
from costal.labels.records import CropLabel
from costal.scoring.queries import by_index, query_of, rest_to_come, unanswered
from costal.scoring.scores import FrameScores
from costal.types import Scores


def label(y, x, side):
    return CropLabel(1, 1, y, x, side, 1)


def test_a_label_belongs_to_the_crop_of_its_place_and_size_alone():
    grid = tile((32, 48), 16)
    own = {1: label(0, 16, 16), 5: label(16, 32, 16)}
    others = [label(16, 16, 8), label(16, 16, 32), label(8, 0, 16), label(0, 8, 16), label(32, 0, 16), label(0, 48, 16)]
    found = by_index([*own.values(), *others], grid)
    assert found == own
    assert unanswered(found, grid).tolist() == [0, 2, 3, 4]


def frame_scores(grid, seed):
    rng = np.random.default_rng(seed)
    information, cost = rng.uniform(0.1, 1, (2, len(grid))).astype(np.float32)
    return FrameScores(Scores(information, cost, np.full((len(grid), 2), 0.5, np.float32), True, "cpu"), 1)


@pytest.mark.parametrize("seed", range(5))
def test_a_query_has_the_controls_of_the_hash_whatever_was_answered_and_whichever_model_asks(tmp_path, seed):
    """Answers given, taken back or deleted change the candidates; another window reads the project again."""
    project, grid = create_project(tmp_path / "p", ("one", "two")), tile((160, 160), 8)
    save_project(replace(project, choices=replace(project.choices, n=40, control_share=0.2)))
    flags_N = control_flags(load_project(tmp_path / "p"), "abc", grid)
    rng, asked = np.random.default_rng(seed), set()
    for model in range(8):
        reopened = load_project(tmp_path / "p")
        scores, free = frame_scores(grid, 10 * seed + model), np.flatnonzero(rng.random(len(grid)) < 0.7)
        query = query_of(scores, reopened, grid, free, model, "abc")
        np.testing.assert_array_equal(query.control_n, flags_N[query.picked_n])
        asked |= set(query.picked_n[query.control_n].tolist())
        picked = query.picked_n[5:], np.zeros(len(query.picked_n) - 5, bool)
        rest = rest_to_come(frame_scores(grid, 99 - model), reopened, grid, picked, free, model, "abc")
        assert set(rest[flags_N[rest]]) <= set(query.picked_n)  # no control comes in by a model between two answers
    assert asked
