"""After a training: what changed on the frame, where, and back to the model before, in a real window's widgets."""

from unittest.mock import MagicMock

import numpy as np
import pytest
from qtpy.QtCore import QObject

from costal.labels.models import newest_number, save_agent
from costal.scoring.scores import FrameScores
from costal.types import Agent, AgentSettings, Scores
from napari_costal.label_crops.after_training import AfterTraining
from napari_costal.label_crops.frame_canvas import FrameCanvas
from tests.plugin.label_crops.test_sessions import COUNT, Screen


@pytest.fixture
def bench(tmp_path, qtbot):
    bench = Screen(tmp_path / "project")
    bench.canvas = MagicMock(spec=FrameCanvas)
    bench.parent = QObject()
    bench.after = AfterTraining(bench.parent, bench.view, bench.canvas, bench.session, bench.frame, bench.query)
    qtbot.addWidget(bench.after.view)
    return bench


def score(bench, model_version, first_class):
    """Score the frame; so many crops are of the first class."""
    bench.query.score()
    probs = np.tile(np.float32([[0.1, 0.9]]), (COUNT, 1))
    probs[:first_class] = 0.9, 0.1
    ones = np.ones(COUNT, np.float32)
    bench.engine.jobs[-1].result.emit(FrameScores(Scores(ones, ones, probs, False, "cpu"), model_version))


def learn(bench, model_version, first_class):
    bench.query.learned.emit()
    score(bench, model_version, first_class)


def test_after_a_training_the_crops_that_changed_class_are_told_and_not_drawn(bench):
    score(bench, 1, 4)
    assert bench.after.view.isHidden()
    learn(bench, 2, 7)
    assert bench.after.view.text.text() == "3 of 16 crops of this frame changed class from model 1 to model 2."
    assert not bench.canvas.show_changes.called
    bench.after.view.where.setChecked(True)
    changed_N, are_wanted = bench.canvas.show_changes.call_args.args
    assert np.flatnonzero(changed_N).tolist() == [4, 5, 6]
    assert are_wanted


def test_another_frame_ends_what_was_told(bench):
    score(bench, 1, 4)
    learn(bench, 2, 7)
    bench.choose(bench.field.pixels_Y_X[::-1].copy())
    assert bench.after.view.isHidden()
    assert bench.after.changes is None


def test_back_saves_the_model_before_as_the_newest_and_scores_with_it(bench):
    project = bench.session.project
    agent = Agent(AgentSettings(2, class_ids=(1, 2)), (1, 8, 8), ({"w": np.zeros(2, np.float32)},), None, 4)
    for _ in range(2):
        save_agent(project.model_folder, agent)
    score(bench, 1, 4)
    learn(bench, 2, 7)
    jobs = len(bench.engine.jobs)
    bench.after.view.back_button.click()
    assert newest_number(project.model_folder) == 3
    assert "Model 3 is now the newest. It is a copy of model 1." in [
        call.args[0] for call in bench.view.say.call_args_list
    ]
    assert len(bench.engine.jobs) == jobs + 1
    assert bench.after.view.isHidden()
