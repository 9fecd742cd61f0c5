"""Learning between two answers, and models made again from what presentations say of them."""

from dataclasses import replace

import numpy as np
import pytest

from costal.agent.cards import EFFICIENTNET_LITE0
from costal.errors import ProjectError
from costal.frames.grid import crop_at
from costal.frames.simulate import CLASS_NAMES, simulate_field, simulated_effort_s
from costal.labels.classes import merge_classes
from costal.labels.effort import Event, EventKind
from costal.labels.models import kept_versions
from costal.labels.project import Choices, Tiling
from costal.labels.project_file import create_project, load_project, save_project
from costal.labels.recipes import Recipe, digest_of
from costal.labels.records import AnswerRecord, QueryReason
from costal.scoring.frame_planes import FramePlane
from costal.scoring.job import score_prepared
from costal.scoring.prepare import ScoreRequest, prepare
from costal.types import finish
from costal.workbench.live import learn_between, live_request, live_seed
from costal.workbench.rebuilding import rebuild
from costal.workbench.retraining import RetrainRequest, retrain
from costal.workbench.session import ProjectSession, recorded

CROP, S = 32, 1_000_000_000
FIELD = simulate_field((256, 256), CROP, seed=1)
FRAME = FramePlane(FIELD.pixels_Y_X[np.newaxis], "field.tif", "all", "0" * 64, FIELD.pixel_um)
EFFORTS = simulated_effort_s(FIELD, 0)


def label(session, frame_id, indices, class_id=None, found=None):
    """Label crops as an expert would, asked by the model that scored."""
    for index in indices:
        y, x = FIELD.grid.origin(index)
        end_ns = round(EFFORTS[index] * S)
        events = (Event(EventKind.SHOWN, 0, 0), Event(EventKind.ANSWERED, end_ns, end_ns))
        record = AnswerRecord(
            frame_id, y, x, crop_at(FRAME.pixels_C_Y_X, FIELD.grid, index), "class",
            class_id or 1 + int(FIELD.classes_N[index]), "ada", events,
        )  # fmt: skip
        if found is not None:
            scores = found.scores
            probs_K = tuple(map(float, scores.probs_N_K[index]))
            why = QueryReason(tuple(range(1, 1 + len(CLASS_NAMES))), probs_K, float(scores.information_N[index]))
            record = replace(record, why=replace(why, cost=float(scores.cost_N[index])), asker=found.asker, rank=1)
        session.answer(record)


@pytest.fixture
def project(tmp_path):
    """Return a project with 24 labelled crops that looks through the frozen backbone."""
    made = create_project(tmp_path / "neurons", CLASS_NAMES)
    choices = Choices(passes=20, n=5, backbone=EFFICIENTNET_LITE0, retrain="answer")
    save_project(replace(made, tiling=Tiling(CROP, CROP), choices=choices))
    with ProjectSession(made.folder, "ada") as session:
        label(session, session.place(recorded(FRAME)).id, range(24))
    return load_project(made.folder)


def between(project):
    return finish(learn_between(live_request(ScoreRequest(project, FRAME, device="cpu"))))


def scored(project):
    return finish(score_prepared(prepare(ScoreRequest(project, FRAME, device="cpu"))))


def rows(project):
    with ProjectSession(project.folder, "ada") as session:
        return session.store.presentations()


def more(project, found, indices=(24,)):
    with ProjectSession(project.folder, "ada") as session:
        label(session, 1, indices, found=found)


def test_a_model_between_two_answers_scores_the_frame_and_is_not_kept(project):
    found = between(project)
    assert kept_versions(project.model_folder) == []
    assert not any(project.scores_folder.glob("*"))
    assert (found.generation, found.asker.labels_known, found.is_live) == (0, 24, True)
    assert found.scores.probs_N_K.shape == (64, len(CLASS_NAMES))
    unseen = np.arange(24, 64)
    assert (found.scores.predicted_class_N[unseen] == FIELD.classes_N[unseen]).mean() > 0.6


def test_equal_labels_make_the_same_model_and_one_label_more_another(project):
    first, again = between(project), between(project)
    np.testing.assert_array_equal(first.scores.information_N, again.scores.information_N)
    assert first.asker == again.asker
    more(project, first)
    one_more = between(project).asker
    assert (Recipe.from_json(one_more.recipe).seed, one_more.labels_known) == (live_seed(project, 25), 25)
    assert live_seed(project, 25) != live_seed(project, 24)


def test_labels_of_one_class_make_no_model(project):
    with ProjectSession(project.folder, "ada") as session:
        label(session, 1, range(24), class_id=1)
    assert between(project).scores is None


@pytest.mark.parametrize("is_live", [True, False], ids=["between two answers", "after a query"])
def test_a_stored_digest_made_again_gives_the_prediction_that_was_stored(project, is_live):
    if not is_live:
        finish(retrain(RetrainRequest(project, 7, "cpu")))
    found = between(project) if is_live else scored(project)
    more(project, found, (24, 30))
    with ProjectSession(project.folder, "ada") as session:
        for _ in range(4):
            session.undo()  # what stands now is not what the model learned
        session.configure(merge_classes(session.project, 1, 2))
    asked = rows(project)[-1]
    assert (asked.model_digest, asked.labels_known) == (digest_of(found.asker.recipe), 24)
    made = finish(rebuild(load_project(project.folder), asked.model_digest))
    fresh = prepare(ScoreRequest(project, FRAME, device="cpu"))
    again = replace(fresh, model_version=replace(fresh.model_version, agent=made), to_do=(0,))
    scores = finish(score_prepared(again)).scores
    assert asked.why.probs_K == pytest.approx(scores.probs_N_K[30], abs=1e-6)
    assert asked.why.information == pytest.approx(scores.information_N[30], rel=1e-6)
    assert asked.why.cost == pytest.approx(scores.cost_N[30], rel=0.05)  # practice: 26 answers now, not 24


def test_a_digest_that_nobody_has_is_refused(project):
    with pytest.raises(ProjectError, match="No query of this project came from a model 'abc'"):
        finish(rebuild(project, "abc"))


def test_a_model_whose_labels_are_gone_is_refused(project):
    found = between(project)
    recipe = replace(Recipe.from_json(found.asker.recipe), label_ids=(1, 2, 99))
    more(project, replace(found, asker=replace(found.asker, recipe=recipe.to_json())))
    with pytest.raises(ProjectError, match="no longer has all labels"):
        finish(rebuild(project, rows(project)[-1].model_digest))


def test_a_recipe_is_kept_once_for_all_that_its_model_asked(project):
    found = between(project)
    more(project, found, (24, 25, 26))
    with ProjectSession(project.folder, "ada") as session:
        assert session.store.row_count("recipe") == 1
        assert [row.labels_known for row in session.store.presentations()][-4:] == [None, 24, 24, 24]
