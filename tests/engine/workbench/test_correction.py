"""A crop that was classified and corrected is a label of the project, or is refused with a sentence."""

from dataclasses import replace

import numpy as np
import pytest

from costal.applying.applied import ClassifiedCrop
from costal.errors import ProjectError
from costal.labels.controls import control_flags
from costal.labels.project import Tiling
from costal.labels.project_file import create_project, save_project
from costal.scoring.frame_planes import FramePlane
from costal.types import Grid
from costal.workbench.correction import correct, frame_of_crop
from costal.workbench.session import ProjectSession

PIXELS = np.arange(64 * 64, dtype=np.uint16).reshape(1, 64, 64)
FRAME = FramePlane(PIXELS, "field.tif", "all", "hash", 0.03)


def made(folder, share):
    project = create_project(folder, ("rings", "fibres"))
    project = replace(
        project, tiling=Tiling(16, 16), choices=replace(project.choices, control_share=share), kept_models=3
    )
    save_project(project)
    return project


def crop(y=16, x=32, side=16):
    return ClassifiedCrop("field.tif", "all", 6, y, x, side, 1, 0.6, 0.2)


@pytest.fixture
def session(tmp_path):
    made(tmp_path / "neurons", 0.0)
    with ProjectSession(tmp_path / "neurons", "ada") as opened:
        yield opened


def test_a_corrected_crop_is_a_single_label_given_with_the_prediction_in_sight_and_no_effort(session):
    label = correct(session, FRAME, crop(), 2)
    (row,) = session.store.presentations()
    assert (row.class_id, row.given, row.prediction_shown, row.events, row.control) == (2, "single", True, (), False)
    assert (row.why.class_ids, row.why.probs_K, row.annotator) == ((1,), (0.6,), "ada")
    assert session.store.labels() == [label]
    np.testing.assert_array_equal(session.store.crop_pixels(1, 16, 32, 16), PIXELS[:, 16:32, 32:48])


def test_a_correction_can_be_undone(session):
    correct(session, FRAME, crop(), 2)
    session.undo()
    assert session.store.labels() == []


@pytest.mark.parametrize("other", [crop(side=20), crop(y=17), crop(y=900)], ids=["resampled", "shifted", "outside"])
def test_a_crop_of_another_grid_is_refused(session, other):
    with pytest.raises(ProjectError, match="is not in the project's grid"):
        correct(session, FRAME, other, 2)
    assert session.store.row_count("label") == 0


def test_nothing_is_labelled_where_another_program_writes(session):
    with (
        ProjectSession(session.project.folder, "ben") as reader,
        pytest.raises(ProjectError, match="open for reading only"),
    ):
        correct(reader, FRAME, crop(), 2)
    assert session.store.row_count("label") == 0


def test_a_control_is_refused_until_it_has_a_label(tmp_path):
    project = made(tmp_path / "neurons", 0.5)
    flags = control_flags(project, "hash", Grid(64, 64, 16, 16, "drop", 4, 4))
    control, free = (int(np.flatnonzero(flags == is_control)[0]) for is_control in (True, False))
    with ProjectSession(project.folder, "ada") as session:
        with pytest.raises(ProjectError, match="is a control"):
            correct(session, FRAME, crop(control // 4 * 16, control % 4 * 16), 2)
        assert correct(session, FRAME, crop(free // 4 * 16, free % 4 * 16), 2).class_id == 2


def test_the_frame_of_a_crop_is_found_by_its_planes(tmp_path):
    import tifffile

    tifffile.imwrite(tmp_path / "field.tif", PIXELS[0], photometric="minisblack")
    project = made(tmp_path / "neurons", 0.0)
    source = str(tmp_path / "field.tif")
    frame = frame_of_crop(project, replace(crop(), source=source, planes="all"))
    np.testing.assert_array_equal(frame.pixels_C_Y_X, PIXELS)
    with pytest.raises(ProjectError, match="has no planes 'Z 7' any more"):
        frame_of_crop(project, replace(crop(), source=source, planes="Z 7"))
