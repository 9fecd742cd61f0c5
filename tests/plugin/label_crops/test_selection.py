"""Crops chosen on the image are labelled as one action; the status bar tells of a crop, and that it did is kept."""

from dataclasses import replace

import numpy as np
import pytest

from costal.labels.controls import control_flags
from costal.labels.records import CropLabel
from costal.labels.store import Store
from costal.scoring.kept import BLANK, SCORED
from costal.scoring.scores import FrameScores
from costal.types import Grid, Scores
from napari_costal.label_crops.hover import crop_text, label_text
from napari_costal.label_crops.selection import MOST_CHOSEN, Selection, crops_within
from tests.plugin.label_crops.test_sessions import COUNT, Screen

SECOND = 10**9


@pytest.fixture
def bench(tmp_path):
    bench = Screen(tmp_path / "project")
    bench.selection = selection_of(bench)
    return bench


def selection_of(bench):
    sessions = bench.session, bench.frame, bench.query, bench.labelling
    selection = Selection(*sessions, clock=lambda: (bench.now, bench.now))
    bench.given, bench.chosen = [], []
    selection.given.connect(bench.given.append)
    selection.changed.connect(bench.chosen.append)
    return selection


def rows(bench):
    with Store(bench.folder / "labels.sqlite", read_only=True) as store:
        return store.presentations()


def actions(bench):
    with Store(bench.folder / "labels.sqlite", read_only=True) as store:
        return list(store.table_rows("action", 100))


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ((0, 0), (31, 31), [0]),
        ((15.5, 15.5), (47.5, 47.5), [0, 1, 4, 5]),
        ((47.5, 47.5), (15.5, 15.5), [0, 1, 4, 5]),
        ((15.6, 15.6), (47.4, 47.4), []),
        ((-500, -500), (500, 500), list(range(16))),
        ((100, -50), (500, 20), [12]),
    ],
    ids=["one middle", "middles on the border", "drawn backwards", "between the middles", "all", "over the edge"],
)
def test_a_rectangle_chooses_the_crops_whose_middle_it_holds(start, end, expected):
    grid = Grid(128, 128, 32, 32, "drop", 4, 4)
    assert crops_within(grid, start, end).tolist() == expected


def test_chosen_crops_are_labelled_as_one_action_with_its_time(bench):
    for index in (3, 7, 12):
        bench.selection.toggle(index)
        bench.now += 2 * SECOND
    bench.selection.give(2)
    assert {index: label.class_id for index, label in bench.frame.labels.items()} == {3: 2, 7: 2, 12: 2}
    assert [(row.given, row.rank, row.control, row.events) for row in rows(bench)] == [("bulk", None, False, ())] * 3
    assert [(row["given"], row["active_s"]) for row in actions(bench)] == [("bulk", 6.0)]
    assert bench.selection.indices == ()
    assert bench.given == ["3 crops were labelled 'class 2' together; undo takes all of them back."]


def test_a_pause_while_choosing_counts_up_to_the_idle_limit_alone(bench):
    bench.selection.toggle(3)
    bench.now += 500 * SECOND
    bench.selection.toggle(4)
    bench.now += 3 * SECOND
    bench.selection.give(1)
    assert actions(bench)[0]["active_s"] == 20.0 + 3.0


def test_undo_takes_the_labels_of_one_action_back_and_redo_gives_them_again(bench):
    bench.selection.add([1, 2, 5])
    bench.selection.give(1)
    bench.labelling.undo()
    assert bench.frame.labels == {}
    bench.labelling.redo()
    assert sorted(bench.frame.labels) == [1, 2, 5]


def test_a_crop_that_is_chosen_twice_is_chosen_no_more(bench):
    bench.selection.toggle(3)
    bench.selection.toggle(4)
    bench.selection.toggle(3)
    assert bench.chosen == [(3,), (3, 4), (4,)]


def test_the_crop_of_a_query_waits_while_others_are_labelled_together(bench):
    bench.scored()
    bench.labelling.label_query()
    first = bench.current.index
    bench.show()
    bench.selection.add([0, 1])
    assert bench.current is None
    bench.selection.give(1)
    assert (bench.current.index, bench.current.rank) == (first, 1)
    assert len(bench.stored()) == 2
    assert rows(bench)[0].kind == "abandoned", "the time it took is kept as a lower bound"


def test_crops_of_a_query_that_were_labelled_together_are_not_asked_any_more(bench):
    bench.scored()
    bench.labelling.label_query()
    bench.show()
    bench.selection.add([COUNT - 1, COUNT - 2])
    bench.selection.give(1)
    assert bench.current.index == COUNT - 3


def test_choosing_none_goes_back_to_the_query(bench):
    bench.scored()
    bench.labelling.label_query()
    first = bench.current.index
    bench.show()
    bench.selection.toggle(0)
    bench.selection.clear()
    assert bench.current.index == first
    assert bench.selection.indices == ()


def test_controls_are_left_out_of_labels_for_many(bench):
    bench.session.change(lambda project: replace(project, choices=replace(project.choices, control_share=0.4)))
    loaded = bench.frame.loaded.stored
    controls = np.flatnonzero(control_flags(bench.session.project, loaded.content_hash, bench.frame.grid)).tolist()
    assert 0 < len(controls) < COUNT
    bench.selection.add(range(COUNT))
    bench.selection.give(1)
    assert sorted(bench.frame.labels) == sorted(set(range(COUNT)) - set(controls))
    assert f"{len(controls)} control" in bench.given[-1]


def test_no_more_are_chosen_than_can_be_seen(bench):
    bench.selection.add(range(MOST_CHOSEN + 10))
    assert len(bench.selection.indices) == MOST_CHOSEN


def test_what_could_not_be_saved_stays_chosen(bench, monkeypatch):
    def full(_action, _answers):
        raise OSError("disk full")

    monkeypatch.setattr(bench.session.project_session, "answer_together", full)
    bench.selection.add([1, 2])
    bench.selection.give(1)
    assert bench.selection.indices == (1, 2)
    assert "Not saved: disk full" in bench.given[-1]
    assert bench.stored() == []


def test_the_frame_on_the_canvas_follows_the_bench(bench):
    framed = []
    bench.labelling.presented.connect(framed.append)
    bench.scored()
    bench.labelling.label_query()
    bench.answer()
    bench.labelling.stop()
    assert framed == [COUNT - 1, COUNT - 2, None]


def test_a_prediction_that_was_told_is_kept_with_the_label(bench):
    bench.scored()
    bench.labelling.note_seen(5)
    bench.labelling.click(5)
    bench.answer(1)
    bench.labelling.click(6)
    bench.answer(1)
    assert [row.prediction_shown for row in rows(bench)] == [True, False]


# What is told of a crop


def scores(skipped=None):
    probs = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    figures = Scores(np.array([0.5, 0.1], np.float32), np.array([4.0, 2.0], np.float32), probs, False, "cpu")
    return FrameScores(figures, 3, skipped_N=skipped)


def test_a_crop_is_told_with_prediction_information_cost_and_value(bench):
    project = bench.session.project
    project = replace(project, choices=replace(project.choices, alpha=1.0, beta=0.5))
    text = crop_text(0, scores(), project, None)
    assert text == "Crop 1 · class 2 75% · I = 0.5 · C = 4 s · v = 0.25 · no label"


def test_a_crop_that_was_not_scored_says_so(bench):
    project = bench.session.project
    assert crop_text(1, scores(np.array([SCORED, BLANK])), project, None) == "Crop 2 · not scored · no label"
    assert crop_text(1, None, project, None) == "Crop 2 · not scored yet · no label"
    assert crop_text(1, FrameScores(None, 0), project, None) == "Crop 2 · no model yet · no label"


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (CropLabel(1, 1, 0, 0, 32, 1), "label class 1"),
        (CropLabel(1, 1, 0, 0, 32, 1, given="bulk", unsure=True), "label class 1 (bulk, unsure)"),
        (CropLabel(1, 1, 0, 0, 32, 1, note="two cells"), "label class 1: two cells"),
        (CropLabel(1, 1, 0, 0, 32, None, "skip"), "skipped"),
        (CropLabel(1, 1, 0, 0, 32, 99), "label ?"),
    ],
    ids=["plain", "how and how surely", "a note", "skipped", "a class that is gone"],
)
def test_a_label_is_told_with_how_it_was_given(bench, label, expected):
    assert label_text(label, bench.session.project) == expected
