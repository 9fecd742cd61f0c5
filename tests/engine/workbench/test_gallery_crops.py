"""The crops of a gallery, collected from a real store, from scores that are kept, and read again from files."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import tifffile

from costal.errors import FrameError
from costal.frames.grid import tile
from costal.labels.controls import control_flags
from costal.labels.effort import Event, EventKind
from costal.labels.project_file import create_project, save_project
from costal.labels.records import ActionRecord, AnswerRecord
from costal.scoring.frame_planes import frames_of
from costal.scoring.kept import BLANK, SCORED, Band, claim, digest_of, save_band
from costal.scoring.scores import FrameScores
from costal.types import Scores
from costal.workbench.gallery import EXCLUDED, SKIPPED
from costal.workbench.gallery_crops import collect
from costal.workbench.gallery_frames import FrameAtWork
from costal.workbench.gallery_pixels import CropPixels, answers_for
from costal.workbench.session import ProjectSession, recorded

SIDE, CROP = 64, 16
EVENTS = (Event(EventKind.SHOWN, 0, 0), Event(EventKind.ANSWERED, 10**9, 10**9))
NAN = np.nan


@pytest.fixture
def project(tmp_path):
    made = create_project(tmp_path / "cells", ("round", "long"))
    tiling = replace(made.tiling, crop=CROP, stride=CROP)
    made = replace(made, tiling=tiling, choices=replace(made.choices, control_share=0.0, alpha=1.0, beta=1.0))
    save_project(made)
    return made


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "field.tif"
    tifffile.imwrite(path, np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE))
    return path


@pytest.fixture
def frame(project, image):
    return next(frames_of(project, str(image))[1])


@pytest.fixture
def session(project):
    with ProjectSession(project.folder, "ada") as workbench:
        yield workbench


def grid():
    return tile((SIDE, SIDE), CROP)


def answer(session, frame, index, kind="class", class_id=1, given="single"):
    frame_id = session.place(recorded(frame)).id
    y, x = grid().origin(index)
    pixels = frame.pixels_C_Y_X[:, y : y + CROP, x : x + CROP]
    record = AnswerRecord(frame_id, y, x, pixels, kind, class_id, "ada", EVENTS, given=given)
    return session.answer(record)


def scores(which=range(16)):
    count = len(grid())
    probs = np.tile(np.array([0.75, 0.25], np.float32), (count, 1))
    information_N = np.arange(count, dtype=np.float32)
    made = Scores(information_N, np.full(count, 2, np.float32), probs, False, "cpu", features_N_F=np.eye(count, 4))
    skipped_N = np.full(count, BLANK, np.uint8)
    skipped_N[list(which)] = SCORED
    return FrameScores(made, 3, model_hash="abc", skipped_N=None if len(which) == count else skipped_N)


def at_work(session, frame, found=None):
    return FrameAtWork(session.place(recorded(frame)).id, grid(), frame.pixels_C_Y_X, found)


def keep_scores(project, frame, class_ids=(1, 2)):
    """Keep made-up scores of the frame in the project's folder, as scoring does."""
    made_of = {
        "plane": frame.content_hash,
        "grid": asdict(grid()) | {"band": 2},
        "settings": {"class_ids": list(class_ids)},
        "model": "abc without costs",
        "background": "none",
    }
    folder = project.scores_folder / "field"
    claim(folder, made_of)
    for number in (0, 1):
        share = np.full((8, 2), 0.5, np.float32) + np.array([0.25, -0.25], np.float32) * (-1) ** number
        skipped_N = np.full(8, SCORED, np.uint8)
        skipped_N[0] = BLANK
        ones = np.where(skipped_N == SCORED, np.float32(1), np.float32(NAN))
        save_band(folder, number, Band(ones, ones, share, np.ones((8, 3), np.float32), skipped_N), digest_of(made_of))


def test_the_frame_at_work_gives_all_its_crops_with_labels_and_scores(project, session, frame):
    answer(session, frame, 3, class_id=2)
    answer(session, frame, 4, "skip", None)
    answer(session, frame, 5, "exclude", None)
    gallery = collect(project, at_work(session, frame, scores()))
    crops = gallery.crops
    assert len(crops) == 16
    assert crops.label_N[[2, 3, 4, 5]].tolist() == [0, 2, SKIPPED, EXCLUDED]
    assert crops.single_N.tolist() == [index in (3, 4, 5) for index in range(16)]
    assert (crops.predicted_N == 1).all()
    np.testing.assert_allclose(crops.value_N, np.arange(16) / 2)
    assert [(crops.y_N[6], crops.x_N[6]), set(crops.side_N)] == [(16, 32), {CROP}]
    why = gallery.why(6)
    assert (why.class_ids, why.probs_K, why.model_hash) == ((1, 2), (0.75, 0.25), "abc")


def test_without_scores_all_crops_are_there_and_none_has_a_prediction(project, session, frame):
    gallery = collect(project, at_work(session, frame))
    assert len(gallery.crops) == 16
    assert not gallery.crops.predicted_N.any()
    assert gallery.why(0).probs_K == ()


def test_crops_that_were_not_scored_are_shown_only_with_a_label(project, session, frame):
    answer(session, frame, 9)
    crops = collect(project, at_work(session, frame, scores(which=(0, 1, 2)))).crops
    assert (crops.y_N // CROP * 4 + crops.x_N // CROP).tolist() == [0, 1, 2, 9]
    assert np.isnan(crops.confidence_N).tolist() == [False, False, False, True]


def test_a_control_is_shown_only_after_it_was_answered_alone(project, session, frame):
    project = replace(project, choices=replace(project.choices, control_share=0.5))
    flags = control_flags(project, frame.content_hash, grid())
    assert 1 < flags.sum() < 15
    alone, together = np.flatnonzero(flags)[:2].tolist()
    answer(session, frame, alone)
    answer(session, frame, together, given="bulk")

    def shown():
        crops = collect(project, at_work(session, frame)).crops
        return set((crops.y_N // CROP * 4 + crops.x_N // CROP).tolist())

    others = set(np.flatnonzero(~flags).tolist())
    assert shown() == others | {alone}
    answer(session, frame, alone, given="bulk", class_id=2)
    assert shown() == others | {alone}, "it was answered alone once"
    for _ in range(3):
        session.undo()
    assert shown() == others


def test_scores_that_are_kept_are_read_without_the_frame(project, session, frame, image):
    answer(session, frame, 8, class_id=2)
    keep_scores(project, frame)
    image.unlink()
    gallery = collect(project)
    crops = gallery.crops
    index_N = (crops.y_N // CROP * 4 + crops.x_N // CROP).tolist()
    assert index_N == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], "0 has no information, and 8 has a label"
    assert crops.predicted_N[[0, 6, 7, 8]].tolist() == [1, 1, 0, 2]
    np.testing.assert_allclose(crops.similarity_N(0)[[0, 8]], 1, rtol=1e-6)
    assert gallery.why(0).model_hash == "abc"
    pixels = CropPixels(gallery).read([0, 7])
    assert "field.tif" in pixels[0]
    assert pixels[7].shape == (1, CROP, CROP), "what has a label is in the store"


def test_kept_scores_of_other_classes_are_not_shown(project, session, frame):
    answer(session, frame, 2)
    keep_scores(project, frame, class_ids=(1, 2, 3))
    assert len(collect(project).crops) == 1


def test_crops_are_cut_from_the_file_that_they_were_scored_in(project, session, frame, image):
    session.place(recorded(frame))
    keep_scores(project, frame)
    whole = tifffile.imread(image)
    gallery = collect(project)
    pixels = CropPixels(gallery).read([0, 13])
    np.testing.assert_array_equal(pixels[0][0], whole[:CROP, CROP : 2 * CROP])
    tifffile.imwrite(image, whole + 1)
    assert "have changed since it was scored" in CropPixels(gallery).read([0])[0]


def test_labels_that_are_given_together_keep_pixels_prediction_and_how(project, session, frame):
    gallery = collect(project, at_work(session, frame, scores()))
    rows = {2: 1, 7: 2}
    answers = answers_for(gallery, rows, CropPixels(gallery).read(rows), "ada", "bulk")
    session.answer_together(ActionRecord("bulk", "ada", 1.5), answers)
    labels = {(each.y // CROP, each.x // CROP): (each.class_id, each.given) for each in session.store.labels()}
    assert labels == {(0, 2): (1, "bulk"), (1, 3): (2, "bulk")}
    rows = session.store.presentations()
    assert [(row.prediction_shown, row.control, row.generation, row.events) for row in rows] == [
        (True, False, 3, ())
    ] * 2
    np.testing.assert_array_equal(
        session.store.crop_pixels(int(gallery.crops.frame_id_N[7]), 16, 48, CROP), frame.pixels_C_Y_X[:, 16:32, 48:64]
    )
    assert session.undo().given == "bulk"
    assert session.store.labels() == []


def test_crops_that_cannot_be_read_are_not_labelled_nor_are_the_others(project, session, frame):
    gallery = collect(project, at_work(session, frame))
    pixels = CropPixels(gallery).read([0]) | {1: "field.tif is gone."}
    with pytest.raises(FrameError, match=r"1 of the 2 crops .* none was labelled: field.tif is gone"):
        answers_for(gallery, {0: 1, 1: 1}, pixels, "ada", "bulk")


def test_a_project_without_frames_has_an_empty_gallery(project):
    assert len(collect(project).crops) == 0
