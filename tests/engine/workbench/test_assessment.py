import json
from dataclasses import replace

import numpy as np
import pytest

from costal.agent import cards, validation
from costal.frames.grid import crop_at
from costal.frames.simulate import CLASS_NAMES, simulate_field
from costal.labels.effort import Event, EventKind
from costal.labels.project import Choices, Tiling
from costal.labels.project_file import create_project, load_project, save_project
from costal.labels.records import ActionRecord, AnswerRecord
from costal.scoring.frame_planes import FramePlane
from costal.types import finish
from costal.workbench import assessing, assessment, cross_validation
from costal.workbench.assessing import AssessmentRequest, assess
from costal.workbench.assessment import kept_assessment
from costal.workbench.session import ProjectSession, recorded

CROP = 64
EVENTS = (Event(EventKind.SHOWN, 0, 0), Event(EventKind.ANSWERED, 10**9, 10**9))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(cards, "HEADS", replace(cards.HEADS, min_steps=40, epochs=0))
    monkeypatch.setattr(validation, "FOLDS", 3)
    monkeypatch.setattr(cross_validation, "FOLDS", 3)


@pytest.fixture(scope="module")
def field():
    return simulate_field((640, 640), CROP, 3)


@pytest.fixture
def project(tmp_path):
    made = create_project(tmp_path / "neurons", CLASS_NAMES)
    choices = Choices(passes=10, backbone="efficientnet_lite0", augment=False)
    save_project(replace(made, tiling=Tiling(CROP, CROP), choices=choices))
    return load_project(made.folder)


def label(project, field, indices, wrong=(), given="single"):
    frame = FramePlane(field.pixels_Y_X[None], "a.tif", "all", "a" * 64, field.pixel_um)
    with ProjectSession(project.folder, "ada") as session:
        stored = session.place(recorded(frame))
        records = []
        for index in indices:
            y, x = field.grid.origin(index)
            class_id = 1 + (int(field.classes_N[index]) + (index in wrong)) % len(CLASS_NAMES)
            pixels = crop_at(frame.pixels_C_Y_X, field.grid, index)
            events = EVENTS if given == "single" else ()
            records.append(AnswerRecord(stored.id, y, x, pixels, "class", class_id, "ada", events, given=given))
        if given == "single":
            return [session.answer(each) for each in records]
        return session.answer_together(ActionRecord(given, "ada", 1.0), records)


def found_of(project):
    return finish(assess(AssessmentRequest(load_project(project.folder))))  # as the window asks: the device is chosen


def test_few_labels_say_what_is_missing(project, field):
    assert "20 are needed" in found_of(project).reason
    label(project, field, range(19))
    assert found_of(project).sentence == ("Accuracy: not known yet. Label 1 more crop one by one: 20 are needed.")


def test_the_accuracy_of_simulated_labels_is_high_and_wrong_labels_come_first(project, field):
    ids = label(project, field, range(60), wrong=(7, 31))
    found = found_of(project)
    assert (found.reason, found.count, found.left_out_by) == ("", 60, "blocks")
    assert 0.75 < found.share < 1
    assert found.low < found.share < found.high
    assert found.doubts[0].label_id in (ids[7], ids[31])
    assert sum(map(sum, found.confusion_K_K)) == pytest.approx(60, abs=0.1)
    doubt = found.doubts[0]
    wrong = {ids[index]: 1 + (int(field.classes_N[index]) + 1) % 4 for index in (7, 31)}
    assert doubt.class_id == wrong[doubt.label_id]
    assert doubt.predicted_probability > doubt.probability


def test_labels_that_echo_the_model_do_not_count(project, field):
    label(project, field, range(30))
    label(project, field, range(30, 60), given="accepted")
    assert found_of(project).count == 30


def test_what_was_found_is_kept_until_a_label_changes(project, field, monkeypatch):
    label(project, field, range(24))
    first = found_of(project)
    assert kept_assessment(project) == first

    def refuse(*_):
        raise AssertionError("it was found anew")

    monkeypatch.setattr(assessing, "learned_answers", refuse)
    assert found_of(project) == first
    label(project, field, [30])
    with pytest.raises(AssertionError, match="anew"):
        found_of(project)


@pytest.mark.parametrize("content", ["", "[]", '{"stamp": "x", "reason": ""}'])
def test_a_kept_file_that_cannot_be_read_is_made_anew(project, field, content):
    label(project, field, range(24))
    first = found_of(project)
    path = project.scores_folder / assessment.ASSESSMENT_FILE
    path.write_text(content)
    assert kept_assessment(project) is None
    assert found_of(project) == first
    assert json.loads(path.read_text())["count"] == 24


def test_where_another_program_writes_nothing_is_kept(project, field, monkeypatch):
    label(project, field, range(24))
    monkeypatch.setattr(assessment, "is_held_elsewhere", lambda _: True)
    assert found_of(project).count == 24
    assert kept_assessment(project) is None


def test_the_same_labels_give_the_same_figures(project, field):
    label(project, field, range(24))
    first = found_of(project)
    (project.scores_folder / assessment.ASSESSMENT_FILE).unlink()
    assert found_of(project) == first


def test_overlapping_crops_are_known(project):
    from costal.labels.records import CropLabel

    places = [CropLabel(1, 1, y, x, 64, 1) for y, x in ((0, 0), (0, 32), (0, 64), (63, 0))]
    places.append(replace(places[0], frame_id=2))
    expected = np.eye(5, dtype=bool)
    expected[0, 1] = expected[1, 0] = expected[1, 2] = expected[2, 1] = expected[0, 3] = expected[3, 0] = True
    expected[1, 3] = expected[3, 1] = True
    np.testing.assert_array_equal(assessing._overlaps(places, 32), expected)
    assert assessing._overlaps(places, 64) is None
