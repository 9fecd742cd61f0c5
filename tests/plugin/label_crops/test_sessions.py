"""What the sessions of *Label crops* do, told by what they ask of their view; no Qt, no torch, the store is real."""

from unittest.mock import MagicMock

import numpy as np
import pytest

from costal.frames.simulate import simulate_field
from costal.labels.classes import new_class
from costal.labels.project_file import create_project, load_project
from costal.labels.records import CropLabel
from costal.labels.store import Store
from costal.scoring.kept import BLANK
from costal.scoring.scores import FrameScores
from costal.types import Scores
from napari_costal.canvas.layer_frames import LayerView
from napari_costal.label_crops.frame_session import FrameSession
from napari_costal.label_crops.labelling_session import LabellingSession
from napari_costal.label_crops.open_project import OpenProject
from napari_costal.label_crops.query_session import QuerySession
from napari_costal.label_crops.view import View
from tests.plugin.fakes import Engine, Thread

CROP, SIDE = 32, 128
COUNT = (SIDE // CROP) ** 2


class Screen:
    """The sessions with their collaborators, and what a test wants to do to them."""

    def __init__(self, folder) -> None:
        self.field = simulate_field((SIDE, SIDE), CROP, seed=3)
        self.folder = folder
        self.make_sessions("tester")
        create_project(folder)
        self.session.open(folder)
        self.session.change(lambda project: tiled(project, CROP))
        self.choose(self.field.pixels_Y_X)

    def make_sessions(self, annotator):
        self.now = 10**9
        self.view, self.store, self.pixels, self.engine = MagicMock(spec=View), Thread(), Thread(), Engine()
        self.view.shows_predictions.return_value = False
        self.session = OpenProject(self.view, self.store, annotator)
        self.frame = FrameSession(self.session, self.view, self.view, self.pixels)
        self.query = QuerySession(self.session, self.frame, self.view, self.view, self.pixels, self.engine)
        self.labelling = LabellingSession(
            self.session, self.frame, self.query, self.view, clock=lambda: (self.now, self.now)
        )

    def choose(self, pixels):
        self.frame.choose(LayerView(pixels, "test.tif", "the slice shown", (), False, 0.02))

    def scored(self, generation=1, information=None, cost=None):
        """Score the frame with figures of the test's choice."""
        self.query.score()
        information = np.arange(COUNT) if information is None else information
        cost = np.ones(COUNT) if cost is None else cost
        probs = np.full((COUNT, 2), 0.5, np.float32)
        scores = Scores(information.astype(np.float32), cost.astype(np.float32), probs, False, "cpu")
        self.engine.jobs[-1].result.emit(FrameScores(scores, generation))

    def show(self, seconds=1.0):
        """Paint the crop and let the expert look at it."""
        self.labelling.presenter.painted((self.now, self.now))
        self.now += round(seconds * 1e9)

    def answer(self, class_id=1, seconds=1.0):
        self.show(seconds)
        self.labelling.answer(class_id)

    @property
    def current(self):
        return self.labelling.presenter.current

    def stored(self):
        with Store(self.folder / "labels.sqlite", read_only=True) as store:
            return store.labels()


def tiled(project, crop):
    from dataclasses import replace

    choices = replace(project.choices, diverse=False, control_share=0.0)
    return replace(project, tiling=replace(project.tiling, crop=crop, stride=crop), choices=choices)


@pytest.fixture
def bench(tmp_path):
    return Screen(tmp_path / "project")


def test_the_query_is_presented_best_first(bench):
    bench.scored()
    bench.labelling.label_query()
    seen = []
    while bench.current is not None:
        seen.append(bench.current.index)
        bench.answer()
    assert seen == list(range(COUNT - 1, COUNT - 11, -1))


def test_the_next_crop_comes_only_after_the_commit(bench):
    bench.scored()
    bench.labelling.label_query()
    first = bench.current
    bench.store.held = []
    bench.answer()
    assert bench.current is first, "the answer is not on disk yet"
    bench.labelling.answer(2)
    assert len(bench.store.held) == 1, "a second key press is not a second answer"
    bench.store.release()
    assert bench.current is not first
    assert [label.class_id for label in bench.stored()] == [1]


def test_an_answer_that_was_not_saved_stays_and_can_be_given_again(bench, monkeypatch):
    bench.scored()
    bench.labelling.label_query()
    first = bench.current
    good = bench.session.project_session.answer

    def full(_record):
        raise OSError("disk full")

    monkeypatch.setattr(bench.session.project_session, "answer", full)
    bench.answer(seconds=2.0)
    text, alarming = bench.view.page_says.call_args.args
    assert "Not saved: disk full" in text
    assert alarming
    assert bench.current is first
    monkeypatch.setattr(bench.session.project_session, "answer", good)
    bench.now += 60 * 10**9
    bench.labelling.answer(1)
    assert bench.current is not first
    with Store(bench.folder / "labels.sqlite", read_only=True) as store:
        events = store.presented()[0].events
    assert events[-1].perf_ns - events[0].perf_ns == 2 * 10**9, "waiting for the disk is not the expert's time"


def test_undo_takes_the_label_back_and_shows_the_crop_again(bench):
    bench.scored()
    bench.labelling.label_query()
    first, _ = bench.current.index, bench.answer()
    second = bench.current.index
    bench.show()
    bench.labelling.undo()
    assert bench.current.index == first
    assert bench.stored() == []
    bench.answer(2)
    assert bench.current.index == second, "the crop that undo interrupted comes back"
    assert [label.class_id for label in bench.stored()] == [2]


def test_undo_with_nothing_to_undo_says_so(bench):
    bench.scored()
    bench.labelling.label_query()
    bench.labelling.undo()
    assert "nothing to undo" in bench.view.page_says.call_args.args[0]


def test_a_skipped_crop_is_not_asked_again(bench):
    bench.scored()
    bench.labelling.label_query()
    skipped = bench.current.index
    bench.show()
    bench.labelling.skip()
    bench.labelling.stop()
    bench.scored()
    assert skipped not in bench.view.show_query.call_args.args[0]


def test_a_clicked_crop_comes_at_once_and_the_query_goes_on_after_it(bench):
    bench.scored()
    bench.labelling.label_query()
    first = bench.current.index
    bench.show()
    bench.labelling.click(0)
    assert (bench.current.index, bench.current.rank) == (0, None)
    bench.answer()
    assert bench.current.index == first


def test_an_interrupted_presentation_is_kept_as_a_lower_bound(bench):
    bench.scored()
    bench.labelling.label_query()
    bench.show(3.0)
    bench.labelling.stop()
    with Store(bench.folder / "labels.sqlite", read_only=True) as store:
        (presented,) = store.presented()
    assert [event.kind for event in presented.events] == ["shown", "abandoned"]
    assert presented.class_id is None


def test_after_the_query_both_models_retrain_and_the_frame_is_scored_again(bench):
    bench.scored()
    bench.labelling.label_query()
    while bench.current is not None:
        bench.answer()
    job = bench.engine.jobs[-1]
    assert job.function == "costal.workbench.retraining:retrain"
    assert job.request.project == bench.session.project
    job.result.emit(MagicMock(number=2))
    assert bench.engine.jobs[-1].function == "costal.scoring.job:score_prepared"


def test_a_training_that_saves_no_model_says_why_and_scores_nothing(bench):
    bench.scored()
    bench.query.retrain()
    jobs = len(bench.engine.jobs)
    notes = ("4 of 4 labels were left out: their crops are 16 px, the project's are 32 px.", "No model was saved.")
    bench.engine.jobs[-1].result.emit(MagicMock(number=0, agent=MagicMock(notes=notes)))
    bench.view.say.assert_called_with(" ".join(notes))
    assert len(bench.engine.jobs) == jobs


def test_warnings_of_a_scored_frame_are_said(bench):
    from dataclasses import replace

    bench.scored()
    frame_scores = replace(bench.query.frame_scores, warnings=("2 of 16 crops have no information.",))
    bench.query.score()
    bench.engine.jobs[-1].result.emit(frame_scores)
    bench.view.say.assert_called_with("2 of 16 crops have no information.")
    bench.query.score()
    bench.engine.jobs[-1].result.emit(
        FrameScores(None, 1, "It shows nothing.", skipped_N=np.full(COUNT, BLANK, np.uint8))
    )
    bench.view.show_query.assert_called_with(pytest.approx([]), bench.frame.grid)


def test_the_slider_recombines_without_a_new_job(bench):
    from dataclasses import replace

    cost = np.where(np.arange(COUNT) < COUNT // 2, 1.0, 1e6)
    bench.scored(information=1 + np.arange(COUNT) / COUNT, cost=cost)
    jobs = len(bench.engine.jobs)
    for beta, expected in ((0.0, COUNT - 1), (2.0, COUNT // 2 - 1)):
        bench.session.change(lambda p, beta=beta: replace(p, choices=replace(p.choices, beta=beta)), save=False)
        assert bench.view.show_query.call_args.args[0][0] == expected
        values = bench.view.show_heatmap.call_args.args[0]
        assert int(np.argmax(values)) == expected
    assert len(bench.engine.jobs) == jobs


def test_the_query_of_a_large_frame_is_chosen_elsewhere_and_only_for_where_the_slider_rests(bench, monkeypatch):
    from dataclasses import replace

    from napari_costal.label_crops import query_session

    bench.scored(information=1 + np.arange(COUNT) / COUNT)
    chosen, choose = [], query_session.query_of
    monkeypatch.setattr(query_session, "MOST_AT_ONCE", COUNT - 1)
    monkeypatch.setattr(query_session, "query_of", lambda *given: [chosen.append(given), choose(*given)][1])
    pixels = bench.pixels
    pixels.held = []
    bench.view.show_query.reset_mock()
    for number, beta in enumerate((0.1, 0.2, 0.4), 1):
        bench.session.change(lambda p, beta=beta: replace(p, choices=replace(p.choices, beta=beta)), save=False)
        assert len(pixels.held) == number
    assert chosen == []
    bench.view.show_query.assert_not_called()
    pixels.release()
    assert [project.choices.beta for _, project, *_ in chosen] == [0.4]
    bench.view.show_query.assert_called_once()


def test_a_result_for_an_older_frame_is_dropped(bench):
    bench.query.score()
    job = bench.engine.jobs[-1]
    bench.choose(bench.field.pixels_Y_X[::-1].copy())
    bench.view.show_query.reset_mock()
    job.result.emit(FrameScores(None, 0, "old", features_M_F=np.zeros((COUNT, 4))))
    bench.view.show_query.assert_not_called()


def test_reopening_shows_the_labels_that_are_there(bench, tmp_path):
    bench.scored()
    bench.labelling.label_query()
    labelled = [bench.current.index, bench.answer()][0]
    bench.session.open(bench.folder)
    colours, _ = bench.view.show_labels.call_args.args
    assert list(colours) == [labelled]


def test_a_crop_larger_than_the_frame_is_said_and_nothing_is_lost(bench):
    bench.session.change(lambda project: tiled(project, 4 * SIDE))
    assert "larger" in bench.view.complain.call_args.args[0] or "crop" in bench.view.complain.call_args.args[0]
    assert bench.frame.grid is None
    bench.session.change(lambda project: tiled(project, CROP))
    assert len(bench.frame.grid) == COUNT


def test_two_classes_of_one_name_are_refused(bench):
    from dataclasses import replace

    def twins(project):
        return replace(project, classes=tuple(replace(each, name="same") for each in project.classes))

    bench.session.change(twins)
    assert "Two classes have the name 'same'" in bench.view.complain.call_args.args[0]
    assert [each.name for each in load_project(bench.folder).classes] == ["class 1", "class 2"]


def test_adding_a_class_drops_the_scores_but_not_the_labels(bench):
    bench.scored()
    bench.labelling.label_query()
    bench.answer()
    bench.labelling.stop()
    bench.session.change(lambda project: new_class(project, "third"))
    assert len(load_project(bench.folder).classes) == 3
    assert len(bench.stored()) == 1
    assert bench.query.frame_scores is None
    assert any("Score again" in call.args[0] for call in bench.view.say.call_args_list)


def test_every_crop_labelled_is_said(bench):
    bench.scored()
    for index in range(COUNT):
        bench.labelling.click(index)
        bench.answer()
    bench.labelling.stop()
    bench.scored()
    assert "Every crop of this frame is labelled" in bench.view.say.call_args.args[0]


def test_a_failed_job_is_said_and_can_be_begun_again(bench):
    bench.query.score()
    bench.engine.jobs[-1].failed.emit("The GPU fell off.")
    assert bench.view.complain.call_args.args == ("The GPU fell off.",)
    bench.scored()
    assert bench.view.show_query.called


def test_cancel_keeps_what_was_there(bench):
    bench.scored()
    bench.query.retrain()
    bench.query.cancel()
    assert "Cancelled" in bench.view.say.call_args.args[0]
    assert bench.view.show_progress.call_args.args == (None,)


def test_a_project_that_cannot_be_opened_leaves_the_open_one_at_work(bench, tmp_path):
    bench.scored()
    bench.labelling.label_query()
    bench.session.open(tmp_path / "nothing here")
    assert "is not a project" in bench.view.complain.call_args.args[0]
    bench.answer()
    assert len(bench.stored()) == 1


def test_a_training_ends_with_its_project(bench, tmp_path):
    bench.scored()
    bench.labelling.label_query()
    while bench.current is not None:
        bench.answer()
    training = bench.engine.jobs[-1]
    create_project(tmp_path / "other")
    bench.session.open(tmp_path / "other")
    assert not bench.query.trainer.is_busy
    jobs = len(bench.engine.jobs)
    training.result.emit(MagicMock(number=2))
    assert len(bench.engine.jobs) == jobs, "the other project's frame is not scored for it"


def test_a_project_that_cannot_be_opened_again_stays_open_as_it_was(bench):
    bench.scored()
    bench.labelling.label_query()
    settings = bench.folder / "project.toml"
    whole = settings.read_bytes()
    settings.write_text("nonsense")
    bench.session.open(bench.folder)
    assert "is broken" in bench.view.complain.call_args.args[0]
    settings.write_bytes(whole)
    bench.answer()
    assert len(bench.stored()) == 1


def test_leaving_the_bench_while_an_answer_is_saved_keeps_the_answer_on_its_own_crop(bench):
    bench.scored()
    bench.labelling.label_query()
    answered = bench.current.index
    bench.store.held = []
    bench.answer(2)
    bench.labelling.stop()
    bench.store.release()
    assert {index: label.class_id for index, label in bench.frame.labels.items()} == {answered: 2}
    bench.labelling.undo()
    assert bench.stored() == []


def test_labelled_crops_are_not_asked_again_after_leaving_the_bench(bench):
    bench.scored()
    bench.labelling.label_query()
    answered = []
    for _ in range(3):
        answered.append(bench.current.index)
        bench.answer()
    bench.labelling.stop()
    bench.labelling.label_query()
    assert bench.current.index not in answered
    assert set(bench.query.picked.picked_n).isdisjoint(answered)


def test_a_waiting_crop_that_was_clicked_and_labelled_is_not_asked_again(bench):
    bench.scored()
    bench.labelling.label_query()
    second = int(bench.query.picked.picked_n[1])
    bench.show()
    bench.labelling.click(second)
    bench.answer()
    seen = []
    while bench.current is not None:
        seen.append(bench.current.index)
        bench.answer()
    assert second not in seen
    assert len(seen) == 9


def test_scores_that_come_late_do_not_take_the_clicked_crop_off_the_bench(bench):
    bench.labelling.label_query()
    scoring = bench.engine.jobs[-1]
    bench.labelling.click(0)
    bench.show()
    scoring.result.emit(FrameScores(None, 0, "no labels", features_M_F=np.random.default_rng(0).random((COUNT, 4))))
    assert (bench.current.index, bench.current.rank) == (0, None)
    bench.labelling.answer(1)
    assert bench.current.rank == 1, "the query goes on after the clicked crop"


def test_another_acquisition_function_drops_the_scores(bench):
    from dataclasses import replace

    bench.scored()
    bench.session.change(lambda p: replace(p, choices=replace(p.choices, acquisition="bald")))
    assert bench.query.frame_scores is None
    assert bench.view.clear_scores.called


def test_a_result_for_other_classes_is_dropped(bench):
    bench.query.score()
    job = bench.engine.jobs[-1]
    bench.session.change(lambda project: new_class(project, "third"))
    job.result.emit(FrameScores(None, 0, "old", features_M_F=np.zeros((COUNT, 4))))
    assert bench.query.frame_scores is None


def test_the_order_of_presentations_counts_answers_once(bench):
    bench.scored()
    bench.labelling.label_query()
    bench.answer()
    bench.show()
    bench.labelling.undo()
    bench.answer()
    with Store(bench.folder / "labels.sqlite", read_only=True) as store:
        assert bench.frame.loaded.presentation_count == 2
        assert store.presentation_count("tester") == 3, "the interrupted one is kept too"


def test_what_the_model_thought_is_kept_with_the_presentation(bench):
    import sqlite3

    bench.scored(generation=7, cost=np.full(COUNT, 2.0))
    bench.labelling.label_query()
    index = bench.current.index
    bench.show()
    bench.query.frame_scores = None
    bench.labelling.answer(1)
    with sqlite3.connect(bench.folder / "labels.sqlite") as connection:
        row = connection.execute("SELECT generation, rank, information, cost, prediction_shown FROM presentation")
        assert row.fetchone() == (7, 1, float(index), 2.0, 0)


# images that are read piece by piece


@pytest.fixture
def large(bench, tmp_path, write_zarr, monkeypatch):
    """Return the bench with its field in an OME-Zarr, which is read piece by piece."""
    monkeypatch.setattr("napari_costal.canvas.large_layer.LARGE_BYTES", 100)
    path = write_zarr(tmp_path / "field.zarr", bench.field.pixels_Y_X)
    pixels = bench.field.pixels_Y_X
    bench.frame.choose(LayerView(pixels, str(path), "the slice shown", (), False, 0.02))
    return bench


def test_a_crop_comes_on_the_bench_when_it_has_been_read(large):
    large.pixels.held = []
    large.labelling.click(5)
    large.view.present.assert_not_called()
    large.labelling.answer(1)
    large.pixels.release()
    assert large.current.index == 5
    large.answer(2)
    with Store(large.folder / "labels.sqlite", read_only=True) as store:
        (presented,) = store.presented()
    np.testing.assert_array_equal(presented.pixels_C_H_W[0], large.field.pixels_Y_X[32:64, 32:64])


def test_a_click_while_a_crop_of_the_query_is_read_brings_that_one_back_later(large):
    large.query.frame_scores = FrameScores(
        None, 0, "no model", features_M_F=np.random.default_rng(0).random((COUNT, 4))
    )
    large.pixels.held = []
    large.labelling.label_query()
    first = large.labelling._coming.index
    other = next(index for index in range(COUNT) if index != first)
    large.labelling.click(other)
    large.pixels.release()
    assert large.current.index == other
    large.answer()
    assert large.current.index == first


def test_what_was_read_for_another_frame_is_dropped(large):
    large.pixels.held = []
    large.labelling.click(5)
    large.choose(large.field.pixels_Y_X)
    large.pixels.release()
    assert large.current is None
    large.view.present.assert_not_called()


def test_a_crop_that_cannot_be_read_is_told_and_another_can_be_chosen(large, tmp_path):
    for chunk in (tmp_path / "field.zarr" / "0" / "c" / "1").iterdir():
        chunk.write_bytes(b"damaged")
    large.labelling.click(5)
    assert "cannot be read at rows" in large.view.complain.call_args.args[0]
    large.labelling.click(12)
    assert large.current.index == 12


def test_a_reader_of_a_project_is_told_why_it_cannot_score_a_large_image(large):
    reader = Screen.__new__(Screen)
    reader.make_sessions("reader")
    reader.session.open(large.folder)
    reader.frame.choose(large.frame.layer_view)
    reader.query.score()
    assert "is open for reading only" in reader.view.complain.call_args.args[0]
    assert reader.engine.jobs == []


def test_a_crop_of_the_query_that_cannot_be_read_gives_way_to_the_next(large, tmp_path):
    for chunk in (tmp_path / "field.zarr" / "0" / "c" / "1").iterdir():
        chunk.write_bytes(b"damaged")
    large.query.frame_scores = FrameScores(
        None, 0, "no model", features_M_F=np.random.default_rng(0).random((COUNT, 4))
    )
    large.labelling.label_query()
    query = large.query.open_query.picked_n.tolist()
    answered = []
    while large.current is not None:
        answered.append(large.current.index)
        large.answer()
    assert answered == [index for index in query if index >= 12]  # crops of other rows show some of the damaged one
    assert answered != query


def test_a_query_asked_while_a_large_image_fills_in_still_comes_on_the_bench(large, monkeypatch):
    monkeypatch.setattr("napari_costal.label_crops.query_session.MOST_AT_ONCE", 1)
    features_M_F = np.random.default_rng(0).random((COUNT, 4))
    large.query.frame_scores = FrameScores(None, 0, "no model", features_M_F=features_M_F)
    large.pixels.held = []
    large.labelling.label_query()
    large.query._filled(FrameScores(None, 0, "so far", features_M_F=features_M_F))
    large.pixels.release()
    assert large.current is not None


def test_a_query_wanted_of_a_scoring_does_not_replace_the_one_being_answered(bench):
    bench.labelling.label_query()
    scores = FrameScores(None, 0, "so far", features_M_F=np.random.default_rng(0).random((COUNT, 4)))
    bench.query._filled(scores)
    bench.labelling.label_query()
    bench.answer()
    title = bench.view.present.call_args.args[4]
    assert title.startswith("Crop 2 of")
    bench.engine.jobs[-1].result.emit(FrameScores(None, 0, "all", features_M_F=scores.features_M_F))
    assert bench.view.present.call_args.args[4] == title


def test_settings_that_cannot_be_kept_are_not_in_use(bench, monkeypatch):
    path = bench.folder / "project.toml"
    path.write_text(path.read_text("utf-8").replace('"class 2"', '"puncta"'), "utf-8")
    kept = path.read_bytes()
    bench.session.change(lambda project: new_class(project, "fibres"))
    assert "was changed by another program" in bench.view.complain.call_args.args[0]
    assert path.read_bytes() == kept
    assert [each.name for each in bench.session.project.classes] == ["class 1", "class 2"]
    assert bench.view.show_project.call_args.args[0] == bench.session.project


# each session tells what becomes of it, and knows none above it


def test_a_project_can_still_be_written_to_while_it_is_left(bench, tmp_path):
    create_project(tmp_path / "other")
    seen = []
    bench.session.leaving.connect(
        lambda: seen.append((bench.session.project.folder, bench.session.project_session.holder))
    )
    bench.session.open(tmp_path / "other")
    assert seen == [(bench.folder, None)]
    assert bench.session.project.folder == tmp_path / "other"


def test_a_training_that_was_put_off_is_not_begun_anew_for_the_project_before(bench, tmp_path):
    bench.scored()
    bench.labelling.click(0)
    bench.answer()
    bench.query.retrain()
    bench.query.score()
    assert [job.function.partition(":")[2] for job in bench.engine.jobs[-2:]] == ["retrain", "score_prepared"]
    count = len(bench.engine.jobs)
    create_project(tmp_path / "other")
    bench.session.open(tmp_path / "other")
    assert len(bench.engine.jobs) == count
    assert not bench.query.is_busy


def test_a_frame_without_a_query_is_placed_and_labelled(tmp_path):
    view, thread, messages = MagicMock(spec=View), Thread(), []
    session = OpenProject(view, thread, "tester")
    frame = FrameSession(session, view, view, thread)
    frame.relabelled.connect(lambda before, label: messages.append((before, label.class_id)))
    create_project(tmp_path / "project")
    session.open(tmp_path / "project")
    session.change(lambda project: tiled(project, CROP))
    frame.choose(LayerView(np.zeros((SIDE, SIDE), np.uint16), "test.tif", "the slice shown", (), False, 0.02))
    frame.relabel(3, CropLabel(1, frame.loaded.stored.id, 0, 3 * CROP, CROP, 2, "class"), is_new=True)
    assert messages == [(None, 2)]
    assert view.show_labels.call_args.args[0].keys() == {3}
    assert view.show_counts.call_args.args[1] == {2: 1}
    session.close()()
