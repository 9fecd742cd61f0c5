"""A project chooses its channels once, and uses the same ones for every image."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from skimage import data

from costal.errors import FrameError, ProjectError
from costal.frames.normalise import IntensityRange, intensity_range, normalise
from costal.labels.project import Project
from costal.labels.project_file import create_project, load_project, save_project
from costal.scoring.channels import proposed, require_alike, with_channels
from costal.scoring.frame_planes import frames_of
from costal.scoring.model_version import range_in_use
from costal.types import Channel

DAPI, ACTIN, FISH = Channel(0, "DAPI", "#0000ff"), Channel(1, "actin", "#00ff00"), Channel(2, "FISH", "#ff0000")
PIXELS = np.random.default_rng(0).integers(0, 4000, (3, 64, 64)).astype(np.uint16)


@pytest.fixture
def project(tmp_path) -> Project:
    return create_project(tmp_path / "p")


def of_channels(project, *channels, rgb=False):
    return replace(project, channels=channels, intake=replace(project.intake, rgb=rgb))


def test_the_channels_of_a_project_are_kept_in_its_file(project):
    chosen = of_channels(project, DAPI, FISH)
    save_project(chosen)
    assert load_project(project.folder) == chosen


def test_a_project_of_an_earlier_version_takes_all_channels_as_it_did(project, tmp_path):
    path = project.folder / "project.toml"
    text = path.read_text("utf-8").replace("format = 3", "format = 2").replace("channels = []\n", "")
    path.write_text(text.replace("rgb = false\n", ""), "utf-8")
    old = load_project(project.folder)
    assert old == project
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, photometric="minisblack", metadata={"axes": "CYX"})
    (found,) = frames_of(old, str(tmp_path / "a.tif"))[1]
    np.testing.assert_array_equal(found.pixels_C_Y_X, PIXELS)


@pytest.mark.parametrize(
    ("channels", "rgb", "match"),
    [
        ((DAPI, DAPI), False, "channels 0 0 are not valid"),
        ((Channel(-1),), False, "index = -1 of channel 1 should be a whole number from 0"),
        (tuple(map(Channel, range(9))), False, "at most 8"),
        ((DAPI, ACTIN), True, "3 channels, not 2"),
        ((replace(DAPI, colour="blue"),), False, "colour = .blue. of channel 1 .* should be a colour as #rrggbb"),
    ],
)
def test_channels_that_cannot_be_are_refused(project, channels, rgb, match):
    with pytest.raises(ProjectError, match=match):
        save_project(of_channels(project, *channels, rgb=rgb))


def test_an_image_gives_the_projects_channels_in_their_order(project, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, photometric="minisblack", metadata={"axes": "CYX"})
    (found,) = frames_of(of_channels(project, FISH, DAPI), str(tmp_path / "a.tif"))[1]
    np.testing.assert_array_equal(found.pixels_C_Y_X, PIXELS[[2, 0]])
    assert found.planes.channels == (2, 0)


def test_an_image_without_the_projects_channels_is_refused(project, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS[:2], photometric="minisblack", metadata={"axes": "CYX"})
    with pytest.raises(FrameError, match=r"a\.tif has 2 channel\(s\), but 'p' uses channel\(s\) DAPI, FISH"):
        frames_of(of_channels(project, DAPI, FISH), str(tmp_path / "a.tif"))


@pytest.mark.parametrize("is_rgb", [True, False])
def test_rgb_images_and_channels_do_not_go_into_one_project(project, tmp_path, is_rgb):
    rgb = np.ascontiguousarray(np.moveaxis(PIXELS, 0, -1))
    if is_rgb:
        tifffile.imwrite(tmp_path / "a.tif", rgb, photometric="rgb")
    else:
        tifffile.imwrite(tmp_path / "a.tif", PIXELS, photometric="minisblack", metadata={"axes": "CYX"})
    with pytest.raises(FrameError, match="Make another project"):
        frames_of(of_channels(project, DAPI, ACTIN, FISH, rgb=not is_rgb), str(tmp_path / "a.tif"))
    frames_of(of_channels(project, DAPI, ACTIN, FISH, rgb=is_rgb), str(tmp_path / "a.tif"))


def test_channels_cannot_be_others_once_crops_are_labelled(project):
    chosen = of_channels(project, DAPI, ACTIN)
    with pytest.raises(ProjectError, match="labels of crops with channel\\(s\\) DAPI, actin"):
        with_channels(chosen, (DAPI, FISH), False, labelled=2)
    with pytest.raises(ProjectError, match="labels of crops with 1 channel\\(s\\)"):
        with_channels(project, (DAPI, FISH), False, labelled=1)
    assert with_channels(chosen, (DAPI, FISH), False, labelled=0).channels == (DAPI, FISH)
    with pytest.raises(ProjectError, match="at least one channel"):
        with_channels(project, (), False, labelled=0)


def test_the_first_frame_proposes_its_channels_until_crops_are_labelled(project):
    first = proposed(project, (DAPI, ACTIN), False, labelled=0)
    assert first.channels == (DAPI, ACTIN)
    assert proposed(first, (DAPI, ACTIN, FISH), False, labelled=0) == first
    assert proposed(first, (), False, labelled=0).channels == ()
    assert proposed(project, (DAPI, ACTIN), False, labelled=1) == project


def test_a_frame_of_other_channels_is_refused_once_crops_are_labelled(project):
    require_alike(project, "a.tif", 1, False, labelled=3)  # an earlier version's project: as it was
    chosen = of_channels(project, DAPI, ACTIN)
    require_alike(chosen, "a.tif", 2, False, labelled=2)
    with pytest.raises(FrameError, match="labels of crops with channel\\(s\\) DAPI, actin"):
        require_alike(chosen, "a.tif", 1, False, labelled=2)


def test_samples_of_rgb_images_share_one_range_and_channels_do_not(project):
    own = IntensityRange((30.0, 50.0, 10.0), (240.0, 250.0, 200.0))
    assert range_in_use(project, own, []) == own
    rgb = of_channels(project, DAPI, ACTIN, FISH, rgb=True)
    assert range_in_use(rgb, own, []) == IntensityRange((10.0,) * 3, (250.0,) * 3)


def test_the_network_sees_brown_stain_brown_and_white_background_white(project, tmp_path):
    tissue = data.immunohistochemistry()
    red, _, blue = np.moveaxis(tissue.astype(int), -1, 0)
    tifffile.imwrite(tmp_path / "ihc.tif", tissue, photometric="rgb")
    (found,) = frames_of(of_channels(project, DAPI, ACTIN, FISH, rgb=True), str(tmp_path / "ihc.tif"))[1]
    seen = normalise(
        found.pixels_C_Y_X,
        range_in_use(of_channels(project, *found.channels, rgb=True), intensity_range(found.pixels_C_Y_X), []),
    )
    stain, white = red > blue + 60, tissue.min(axis=-1) >= 235
    assert stain.sum() > 10_000 and white.sum() > 100
    assert (seen[0] > seen[2])[stain].all()
    np.testing.assert_allclose(seen[:, white], 1.0, atol=0.1)
    # one growing straight line from the file's samples, red first
    np.testing.assert_allclose(seen, (np.moveaxis(tissue, -1, 0) - 30.0) / (246.0 - 30.0), atol=1e-5)
