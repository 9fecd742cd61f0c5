"""A sitting goes back and forth: redo, exclude, back, why, controls, budgets; labelling goes on while models learn."""

import os
from dataclasses import replace
from unittest.mock import MagicMock

import numpy as np
import pytest

from costal.labels.classes import merge_classes, new_class, retire_class
from costal.labels.effort import derive, replay
from costal.labels.models import Provenance
from costal.labels.store import Store
from costal.workbench.session import ProjectSession
from tests.plugin.label_crops.test_sessions import COUNT, Screen

SECOND = 10**9


@pytest.fixture
def bench(tmp_path):
    return Screen(tmp_path / "project")


def start_query(bench, **choices):
    """Score the frame and ask for a query by these choices."""
    bench.session.change(lambda project: replace(project, choices=replace(project.choices, **choices)))
    bench.scored(information=1 + np.arange(COUNT) / COUNT)
    bench.labelling.label_query()


def rows(bench):
    with Store(bench.folder / "labels.sqlite", read_only=True) as store:
        return store.presentations()


def last_message(bench):
    return bench.view.page_says.call_args.args[0]


def test_redo_gives_the_undone_answer_again_and_goes_on(bench):
    start_query(bench)
    first = bench.current.index
    bench.answer(2)
    bench.show()
    bench.labelling.undo()
    assert bench.stored() == []
    bench.show()
    bench.labelling.redo()
    assert [label.class_id for label in bench.stored()] == [2]
    assert bench.frame.labels[first].class_id == 2
    assert bench.current.index != first, "the crop that was answered again is not asked"


def test_redo_with_nothing_to_redo_says_so(bench):
    start_query(bench)
    bench.answer(1)
    bench.labelling.redo()
    assert "nothing to redo" in last_message(bench)
    assert len(bench.stored()) == 1


def test_undo_reaches_back_over_a_reopened_project(bench):
    start_query(bench)
    bench.answer(1)
    bench.answer(2)
    bench.labelling.stop()
    bench.session.open(bench.folder)
    bench.labelling.undo()
    assert [label.class_id for label in bench.stored()] == [1]


def test_undo_of_an_answer_on_another_frame_is_done_and_said(bench):
    start_query(bench)
    bench.answer(1)
    bench.choose(bench.field.pixels_Y_X[::-1].copy())
    bench.query.score()
    bench.labelling.undo()
    assert bench.stored() == []
    assert "another frame" in last_message(bench)


def test_an_excluded_crop_is_not_asked_again_and_has_no_class(bench):
    start_query(bench)
    excluded = bench.current.index
    bench.show()
    bench.labelling.exclude()
    bench.labelling.stop()
    bench.labelling.label_query()
    assert excluded not in bench.query.picked.picked_n
    (label,) = bench.stored()
    assert (label.kind, label.class_id) == ("exclude", None)


def test_back_walks_through_the_sitting_and_a_new_answer_replaces_the_old(bench):
    start_query(bench)
    order = []
    for class_id in (1, 2, 1):
        order.append(bench.current.index)
        bench.answer(class_id)
    waiting = bench.current.index
    bench.show()
    bench.labelling.back()
    bench.show()
    bench.labelling.back()
    assert bench.current.index == order[1]
    title = bench.view.present.call_args.args[4]
    assert "now: class 2" in title
    bench.answer(1)
    assert {index: label.class_id for index, label in bench.frame.labels.items()} == dict.fromkeys(order, 1)
    assert bench.current.index == waiting, "the query goes on"


def test_back_at_the_first_crop_says_so(bench):
    start_query(bench)
    bench.show()
    bench.labelling.back()
    assert "no earlier crop" in last_message(bench)


def test_looking_at_the_prediction_is_kept_with_the_answer(bench):
    start_query(bench)
    bench.show()
    bench.labelling.show_prediction()
    assert "Prediction: " in last_message(bench)
    assert "v = " in last_message(bench)
    bench.labelling.answer(1)
    bench.answer(1)
    assert [row.prediction_shown for row in rows(bench)] == [True, False]


def test_a_look_at_why_before_there_is_a_model_shows_no_prediction(bench):
    bench.labelling.click(0)
    bench.show()
    bench.labelling.show_prediction()
    assert "No model had scored it" in last_message(bench)
    bench.labelling.answer(1)
    assert [row.prediction_shown for row in rows(bench)] == [False]


def shown(bench):
    return bench.view.show_heatmap.call_args.args[2]


@pytest.mark.parametrize("end", ["stop", "leave", "last answer"])
def test_the_predicted_class_is_replaced_during_a_query_and_comes_back_after_it(bench, end):
    bench.query.show("predicted class")
    start_query(bench, n=1)
    assert shown(bench) == "value v"
    assert "predicted class is hidden until the query ends" in bench.view.say.call_args.args[0]
    for wanted, drawn in (("cost C", "cost C"), ("predicted class", "value v")):
        bench.query.show(wanted)
        assert shown(bench) == drawn
    assert bench.view.hold_back_predictions.call_args_list[-1].args == (True,)
    if end == "last answer":
        bench.answer(1)
    else:
        getattr(bench.labelling, end)()
    assert bench.current is None
    assert shown(bench) == "predicted class"
    assert bench.view.hold_back_predictions.call_args_list[-1].args == (False,)


def test_a_prediction_seen_at_any_time_of_a_presentation_is_kept_and_only_with_that_one(bench):
    start_query(bench)
    bench.show()
    for is_seen in (True, False):
        bench.view.shows_predictions.return_value = is_seen
        bench.labelling.look()
    bench.labelling.answer(1)
    bench.answer(2)
    assert [row.prediction_shown for row in rows(bench)] == [True, False]


def test_controls_are_flagged_and_what_was_predicted_is_kept(bench):
    start_query(bench, control_share=1.0)
    for _ in range(3):
        bench.answer(1)
    answers = rows(bench)
    assert [row.control for row in answers] == [True] * 3
    for row in answers:
        assert row.why.class_ids == (1, 2)
        assert row.why.probs_K == (0.5, 0.5)
        assert (row.why.acquisition, row.why.passes, row.why.alpha) == ("std", 50, 1.0)


def test_an_undone_control_is_asked_again_as_no_control(bench):
    start_query(bench, control_share=1.0)
    bench.answer(1)
    bench.show()
    bench.labelling.undo()
    bench.answer(2)
    first, *_, again = [row for row in rows(bench) if row.kind != "abandoned"]
    assert first.crop_id == again.crop_id
    assert (first.control, again.control) == (True, False)


def test_a_query_by_minutes_stays_within_them(bench):
    bench.session.change(lambda project: replace(project, choices=replace(project.choices, by="minutes", minutes=0.5)))
    bench.scored(information=np.ones(COUNT), cost=np.full(COUNT, 7.0))
    bench.labelling.label_query()
    assert len(bench.query.picked.picked_n) == 4, "four crops of 7 s fit into 30 s"
    assert bench.view.present.call_args.args[6] == pytest.approx(28.0), "the seconds left are shown"


def test_the_next_query_comes_at_once_while_the_models_learn(bench):
    bench.labelling.keeps_going = True
    start_query(bench, n=3)
    seen = []
    for _ in range(6):
        seen.append(bench.current.index)
        bench.answer()
    assert len(set(seen)) == 6
    assert [job.function for job in bench.engine.jobs].count("costal.workbench.retraining:retrain") == 1
    assert bench.query.trainer.is_busy
    trained = next(job for job in bench.engine.jobs if job.function.endswith(":retrain"))
    trained.result.emit(MagicMock(number=1, origin=Provenance()))
    retrains = [job.function for job in bench.engine.jobs].count("costal.workbench.retraining:retrain")
    assert retrains == 2, "what was answered meanwhile is learned by a training after it"


def test_the_query_being_answered_stays_drawn_when_new_scores_come(bench):
    start_query(bench, n=3)
    drawn = bench.view.show_query.call_args.args[0]
    bench.answer()
    bench.scored(information=COUNT - np.arange(COUNT))
    np.testing.assert_array_equal(bench.view.show_query.call_args.args[0], drawn)


def test_a_model_is_stale_once_a_label_that_it_learned_is_taken_back(bench):
    start_query(bench)
    bench.answer(1)
    bench.answer(2)
    first, second = (label.label_id for label in bench.stored())
    bench.query.trainer.learned(Provenance(label_ids=(first,)))
    bench.labelling.undo()
    assert not bench.query.trainer.is_stale, "the second label was not learned"
    bench.labelling.undo()
    assert bench.query.trainer.is_stale
    assert "Stale" in bench.view.show_model.call_args.args[0]
    assert second != first


def test_a_label_undone_redone_and_undone_again_leaves_the_model_that_learned_it_stale(bench):
    start_query(bench)
    bench.answer(1)
    (first,) = (label.label_id for label in bench.stored())
    trainer = bench.query.trainer
    trainer.learned(Provenance(label_ids=(first,)))
    for act, is_stale in ((bench.labelling.undo, True), (bench.labelling.redo, False)) * 2:
        act()
        assert trainer.is_stale is is_stale
        assert ("Stale" in bench.view.show_model.call_args.args[0]) is is_stale
    assert [label.first_id for label in bench.stored()] == [first]
    assert [label.label_id for label in bench.stored()] != [first]


def test_a_project_that_another_window_holds_is_shown_but_not_written(bench):
    start_query(bench)
    bench.answer(1)
    second = ProjectSession(bench.folder)
    assert str(os.getpid()) in str(second.holder)
    bench.session.project_session = second
    bench.labelling.stop()
    bench.labelling.label_query()
    assert bench.current is None
    assert "reading only" in bench.view.complain.call_args.args[0]
    assert len(second.store.labels()) == 1
    second.close()


def test_without_a_class_to_give_nothing_is_asked(bench):
    for class_id in (1, 2):
        bench.session.change(lambda project, class_id=class_id: retire_class(project, class_id))
    bench.labelling.click(0)
    assert bench.current is None
    assert "no active class" in bench.view.complain.call_args.args[0]


def test_an_idle_pause_ends_by_an_act_of_its_own_and_not_by_an_answer_or_a_moving_mouse(bench):
    start_query(bench)
    bench.session.change(lambda project: replace(project, idle_limit_s=5.0))
    bench.labelling.click(0)
    bench.show(2.0)
    presenter = bench.labelling.presenter
    for _ in range(20):
        bench.now += SECOND // 4
        presenter.tick()
    assert "nothing happened" in bench.view.cover.call_args.args[0]
    assert "Press any key or click" in bench.view.cover.call_args.args[0]
    presenter.active()
    bench.labelling.answer(1)
    assert bench.stored() == [], "the crop is covered still"
    assert presenter.uncover()
    assert bench.view.cover.call_args.args[0] == ""
    assert not presenter.uncover(), "the second key means what it says"
    bench.labelling.answer(1)
    assert len(bench.stored()) == 1
    effort = derive(replay(rows(bench)[-1].events, 5 * SECOND))
    assert effort.censored
    assert effort.active_s < 5


def test_a_merged_class_counts_with_the_other_and_a_retired_one_keeps_its_labels(bench):
    bench.session.change(lambda project: new_class(project, "third"))
    start_query(bench)
    for class_id in (1, 2, 3):
        bench.answer(class_id)
    bench.labelling.stop()
    bench.session.change(lambda project: merge_classes(project, 2, 1))
    bench.session.change(lambda project: retire_class(project, 3))
    project = bench.session.project
    assert [each.id for each in project.offered] == [1]
    assert sorted(label.class_id for label in bench.stored()) == [1, 2, 3], "stored ids never change"
    assert [project.class_of(each).name for each in (1, 2, 3)] == ["class 1", "class 1", "third"]
