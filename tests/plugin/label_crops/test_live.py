"""Learning between two answers: what moves and what stays, one fit at a time, and what is kept with each crop."""

from dataclasses import replace

import numpy as np
import pytest

from costal.labels.classes import new_class
from costal.labels.recipes import digest_of
from costal.labels.records import Asker
from costal.labels.store import Store
from costal.scoring.scores import FrameScores
from costal.types import Scores
from napari_costal.engine.calls import Caller
from napari_costal.label_crops.live import Live
from tests.plugin.label_crops.test_sessions import COUNT, Screen

FIT = "costal.workbench.live:learn_between"


def live_scores(information, known=1, probs=0.5):
    probs_N_K = np.full((COUNT, 2), 1 - probs, np.float32)
    probs_N_K[:, 0] = probs
    scores = Scores(np.float32(information), np.ones(COUNT, np.float32), probs_N_K, False, "cpu")
    return FrameScores(scores, 1, asker=Asker(f"recipe {known}", known))


@pytest.fixture
def bench(tmp_path):
    made = Screen(tmp_path / "project")
    caller = Caller(made.pixels, made.engine, lambda _: None)
    made.live = Live(made.session, made.frame, made.query, made.labelling, made.view, caller)
    made.session.change(lambda project: replace(project, choices=replace(project.choices, retrain="answer", n=6)))
    made.scored()
    made.labelling.label_query()
    return made


def fits(bench):
    return [job for job in bench.engine.jobs if job.function == FIT]


def order(bench):
    now = [] if bench.current is None else [bench.current.index]
    return now + [each.index for each in bench.labelling._waiting]


def rows(bench):
    with Store(bench.folder / "labels.sqlite", read_only=True) as store:
        return store.presentations()


REVERSED = COUNT - np.arange(COUNT)


def test_an_answer_changes_what_comes_after_the_next_two_crops(bench):
    assert order(bench) == [15, 14, 13, 12, 11, 10]
    bench.answer()
    (job,) = fits(bench)
    assert job.request.project == bench.session.project
    job.result.emit(live_scores(REVERSED))
    assert order(bench) == [14, 13, 0, 1, 2]
    assert bench.query.open_query.picked_n.tolist() == [15, 14, 13, 0, 1, 2]
    assert [each.rank for each in bench.labelling._waiting] == [3, 4, 5, 6]


def test_a_frame_of_too_many_crops_is_learned_after_the_query_and_the_screen_says_so(bench, monkeypatch):
    bench.labelling.leave()
    monkeypatch.setattr("napari_costal.label_crops.live.MOST_CROPS", COUNT - 1)
    bench.labelling.label_query()
    bench.view.say.assert_called_with(
        f"This frame has {COUNT} crops. With more than {COUNT - 1} crops, the models learn when the query ends, "
        "not after each answer."
    )
    bench.answer()
    assert fits(bench) == []


def test_nothing_is_learned_between_answers_unless_the_project_says_so(bench):
    for way in ("query", "hand"):
        bench.session.change(lambda project, way=way: replace(project, choices=replace(project.choices, retrain=way)))
        bench.answer()
    assert fits(bench) == []


def test_a_project_that_learns_by_hand_does_not_learn_when_a_query_ends(bench):
    bench.session.change(lambda project: replace(project, choices=replace(project.choices, retrain="hand")))
    jobs = len(bench.engine.jobs)
    for _ in range(6):
        bench.answer()
    assert bench.current is None
    assert len(bench.engine.jobs) == jobs
    bench.query.retrain()
    assert bench.engine.jobs[-1].function == "costal.workbench.retraining:retrain"


def test_one_fit_runs_at_a_time_and_labels_that_come_meanwhile_are_learned_by_the_next(bench):
    for _ in range(3):
        bench.answer()
    (job,) = fits(bench)
    assert bench.engine.stopped == [], "a fit that runs is finished"
    job.result.emit(live_scores(np.arange(COUNT)))
    assert len(fits(bench)) == 2
    fits(bench)[1].result.emit(live_scores(np.arange(COUNT), 3))
    assert len(fits(bench)) == 2, "there is nothing new"


@pytest.mark.parametrize("act", ["undo", "class"])
def test_an_undo_and_an_edited_class_are_learned_like_a_label(bench, act):
    bench.answer()
    fits(bench)[0].result.emit(live_scores(np.arange(COUNT)))
    bench.show()
    if act == "undo":
        bench.labelling.undo()
    else:
        bench.session.change(lambda project: new_class(project, "other"))
        bench.labelling.back()
    assert len(fits(bench)) == 2


def test_controls_keep_their_places_and_no_other_control_is_asked(bench):
    bench.answer()
    waiting = bench.labelling._waiting
    bench.labelling._waiting = [replace(each, control=each.rank == 4) for each in waiting]
    fits(bench)[0].result.emit(live_scores(REVERSED))
    assert order(bench) == [14, 13, 12, 0, 1]


def test_the_heatmap_follows_and_the_predicted_class_stays_hidden(bench):
    bench.query.show("predicted class")
    bench.answer()
    bench.view.show_heatmap.reset_mock()
    fits(bench)[0].result.emit(live_scores(REVERSED, probs=0.9))
    values_N, _, name, _ = bench.view.show_heatmap.call_args.args
    assert name == "value v"
    assert values_N.tolist() == REVERSED.tolist()


def test_nothing_on_the_screen_moves_where_that_is_asked_for(bench):
    bench.live.keep_still(True)
    bench.answer()
    bench.view.show_heatmap.reset_mock()
    bench.view.show_query.reset_mock()
    fits(bench)[0].result.emit(live_scores(REVERSED))
    assert order(bench) == [14, 13, 12, 11, 10]
    bench.view.show_heatmap.assert_not_called()
    bench.view.show_query.assert_not_called()


def test_each_presentation_keeps_the_model_that_learned_last_when_it_was_painted(bench):
    bench.answer()
    fits(bench)[0].result.emit(live_scores(REVERSED, 1, 0.9))  # the second crop is presented, and not yet painted
    bench.answer()
    fits(bench)[1].result.emit(live_scores(REVERSED, 2, 0.8))
    bench.show()
    bench.answer()
    bench.show()
    fits(bench)[2].result.emit(live_scores(REVERSED, 3, 0.7))  # the fourth is on the screen: too late
    bench.answer()
    kept = [(row.labels_known, row.model_digest, row.why.probs_K) for row in rows(bench)]
    recipes = ["", "recipe 1", "recipe 2", "recipe 2"]
    assert [digest for _, digest, _ in kept] == [digest_of(each) for each in recipes]
    assert [known for known, _, _ in kept] == [None, 1, 2, 2]
    assert [probs_K[0] for *_, probs_K in kept] == pytest.approx([0.5, 0.9, 0.8, 0.8])


def test_presentations_during_which_models_learn_are_marked(bench):
    bench.answer()  # no fit yet
    bench.answer()  # the fit of the first label begins with this crop
    fits(bench)[0].result.emit(live_scores(np.arange(COUNT)))
    fits(bench)[1].result.emit(live_scores(np.arange(COUNT)))
    bench.session.change(lambda project: replace(project, choices=replace(project.choices, retrain="query")))
    bench.answer()  # the third was presented while a fit ran
    bench.answer()
    assert [row.during_fit for row in rows(bench)] == [False, True, True, False]


def test_when_the_query_ends_a_fit_is_let_go_and_all_is_learned_at_once(bench):
    for _ in range(6):
        bench.answer()
    assert [job.function for job in bench.engine.stopped] == [FIT]
    assert bench.engine.jobs[-1].function == "costal.workbench.retraining:retrain"


def test_another_frame_ends_the_fit(bench):
    bench.answer()
    bench.choose(bench.field.pixels_Y_X[::-1].copy())
    fits(bench)[0].result.emit(live_scores(REVERSED))
    assert bench.query.live is None


def test_a_model_that_does_not_suffice_changes_nothing(bench):
    bench.answer()
    fits(bench)[0].result.emit(FrameScores(None, 1, "One class is too few."))
    assert order(bench) == [14, 13, 12, 11, 10]
    assert bench.query.live is None


def test_scripted_presentations_with_and_without_a_fit_have_one_effort(bench):
    for seconds in (1.0, 1.0):
        bench.answer(seconds=seconds)
    fits(bench)[0].result.emit(live_scores(np.arange(COUNT)))
    bench.session.change(lambda project: replace(project, choices=replace(project.choices, retrain="query")))
    fits(bench)[1].result.emit(live_scores(np.arange(COUNT)))
    bench.answer()
    bench.answer()
    efforts = {(row.during_fit, row.events[-1].perf_ns - row.events[0].perf_ns) for row in rows(bench)}
    assert efforts == {(True, 10**9), (False, 10**9)}
