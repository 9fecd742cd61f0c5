"""Axes that a file leaves unnamed: each command says when they were guessed, takes them, and the project keeps them."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile

from costal.errors import FrameError, ProjectError
from costal.frames.axes import axes_of
from costal.frames.lazy import open_lazily
from costal.frames.read import read
from costal.labels.lock import ProjectLock
from costal.labels.project import Tiling
from costal.labels.project_file import load_project, save_project
from costal.workbench.file_axes import kinds_with, remember

PIXELS = np.random.default_rng(0).integers(1, 4000, (6, 48, 48)).astype(np.uint16)
GUESSED = "a.tif: Axis 0 (length 6) has no name in the file; it was read as T."


@pytest.fixture
def image(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, photometric="minisblack")
    return tmp_path / "a.tif"


@pytest.fixture
def folder(costal, tmp_path):
    """Return a new project, whose rule makes a frame of each time and projects Z."""
    assert costal("project", "new", tmp_path / "p")[0] == 0
    save_project(replace(load_project(tmp_path / "p"), tiling=Tiling(16, 16)))
    return tmp_path / "p"


@pytest.mark.parametrize("command", ["score", "query"])
def test_a_command_says_that_axes_were_guessed(command, costal, image, folder, tmp_path):
    out = ("--project", folder, "--out", tmp_path / f"{command}.csv")
    code, stdout, err = costal(command, image, *out)
    assert (code, GUESSED in err, GUESSED in stdout) == (0, True, False)
    code, stdout, _ = costal(command, image, *out, "--json", *(("--overwrite",) if command == "query" else ()))
    assert json.loads(stdout)["notes"] == [GUESSED.partition(": ")[2]]


def test_axes_that_are_set_are_taken_and_kept_by_kind_of_file(costal, image, folder, tmp_path):
    out = ("--project", folder, "--out", tmp_path / "s.csv")
    costal("score", image, *out)
    assert len(pd.read_csv(tmp_path / "s.csv")) == 6 * 9, "six times"
    code, _, err = costal("score", image, *out, "--axes", "zyx")
    assert (code, GUESSED in err) == (0, False)
    assert len(pd.read_csv(tmp_path / "s.csv")) == 9, "one projection of six Z planes"
    assert dict(load_project(folder).axes) == {".tif QYX": "ZYX"}
    tifffile.imwrite(tmp_path / "b.tif", PIXELS + 1, photometric="minisblack")
    _, _, err = costal("score", tmp_path / "b.tif", *out)
    assert len(pd.read_csv(tmp_path / "s.csv")) == 9
    assert "b.tif: The axes ZYX are as you set them; the file says QYX." in err


def test_axes_that_a_file_says_itself_are_not_touched_by_what_was_set_for_others(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", PIXELS, metadata={"axes": "TYX"})
    assert read(tmp_path / "a.ome.tif", {".tif QYX": "ZYX"}).axes == "TYX"
    assert read(tmp_path / "a.ome.tif", {".tif TYX": "ZYX"}).axes == "ZYX"


@pytest.mark.parametrize("axes", ["ZCYX", "YX"])
def test_axes_of_another_count_are_refused_with_the_shape(axes, costal, image, folder, tmp_path):
    code, _, err = costal("score", image, "--project", folder, "--out", tmp_path / "s.csv", "--axes", axes)
    assert code == 1
    assert f"has 3 dimensions (QYX) and cannot have the axes {axes}" in err
    assert not load_project(folder).axes


@pytest.mark.parametrize("axes", ["", "ZZX", "ZX", "QYX", "TZCYXS"])
def test_letters_that_make_no_axes_are_refused(axes, image):
    with pytest.raises(FrameError, match=r"are not valid\. Name each dimension once"):
        kinds_with(axes, [str(image)])
    with pytest.raises(FrameError, match=r"are not valid\. Name each dimension once"):
        axes_of("QYX", (6, 48, 48), "a.tif", axes)


def test_a_lazy_frame_has_the_axes_that_were_set(image):
    assert open_lazily(image, axes="ZYX").axes == "ZYX"
    assert open_lazily(image, axes={".tif QYX": "ZYX"}).axes == "ZYX"
    assert open_lazily(image).axes == "TYX"


def test_axes_hold_this_time_while_another_writes_to_the_project(folder):
    lock = ProjectLock(folder)
    assert lock.acquire() is None
    try:
        project, note = remember(load_project(folder), {".tif QYX": "ZYX"})
    finally:
        lock.release()
    assert dict(project.axes) == {".tif QYX": "ZYX"}
    assert note.startswith("The axes apply this time only and were not saved in the project: ")
    assert not load_project(folder).axes


def test_a_project_without_axes_is_written_as_before(folder):
    assert "axes" not in (folder / "project.toml").read_text("utf-8")


def test_axes_in_project_toml_that_make_no_sense_are_refused(folder):
    path = folder / "project.toml"
    path.write_text(path.read_text("utf-8") + '\n[axes]\n".tif QYX" = "ZZX"\n', "utf-8")
    with pytest.raises(ProjectError, match=r"kind '\.tif QYX' cannot have the axes 'ZZX'"):
        load_project(folder)


def test_labels_from_a_table_say_that_axes_were_guessed_and_take_them(costal, image, folder, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text('frame,y,x,class,planes\na.tif,0,0,class 1,"t 0"\n', "utf-8")
    options = ("label", "--from", table, "--project", folder, "--images", tmp_path)
    code, _, err = costal(*options, "--dry-run")
    assert (code, GUESSED in err) == (0, True)
    table.write_text("frame,y,x,class,planes\na.tif,0,0,class 1,max z\n", "utf-8")
    code, out, err = costal(*options, "--axes", "ZYX")
    assert (code, out) == (0, "Imported 1 new labels; 0 already existed; 1 new frames.\n"), err
