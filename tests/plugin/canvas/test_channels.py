"""Colour images and channels in the window: the page shows the pixels of the file, as the command line cuts them."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from napari.components import Dims, ViewerModel
from napari.layers import Image
from skimage import data

from costal.frames.lazy import open_lazily
from costal.frames.normalise import IntensityRange
from costal.frames.read import Planes, read
from costal.frames.windows import content_hash
from costal.labels.project_file import create_project
from costal.labels.store import Store
from costal.scoring.frame_planes import frames_of
from costal.types import Channel
from napari_costal.canvas import large_layer
from napari_costal.canvas.channel_layers import PART, Part, mates_of, part_of, taken_with
from napari_costal.canvas.large_layer import lazy_plane_of
from napari_costal.canvas.layer_frames import SOURCE, frame_of, view_of
from napari_costal.canvas.opening import FrameOpener, contrast_limits, open_image
from napari_costal.canvas.render import render
from napari_costal.label_crops.widget import LabelCrops

TISSUE = data.immunohistochemistry()
WHOLE = IntensityRange((0.0,) * 3, (255.0,) * 3)
CELLS = np.random.default_rng(0).integers(100, 4000, (3, 96, 128)).astype(np.uint16)
NAMES = {"axes": "CYX", "Channel": {"Name": ["DAPI", "actin", "FISH"], "Color": [0x0000FFFF, 0x00FF00FF, -16776961]}}


@pytest.fixture
def tissue(tmp_path):
    tifffile.imwrite(tmp_path / "ihc.tif", TISSUE, photometric="rgb")
    return tmp_path / "ihc.tif"


@pytest.fixture
def cells(tmp_path):
    tifffile.imwrite(tmp_path / "cells.ome.tif", CELLS, ome=True, photometric="minisblack", metadata=NAMES)
    return tmp_path / "cells.ome.tif"


def opened(path, viewer=None):
    """Return the layers that an image is opened as."""
    viewer, chosen = viewer or ViewerModel(), []
    FrameOpener(viewer, None, lambda *arguments: chosen.append(arguments), None).add(*open_image(path))
    assert len(chosen) == 1
    return mates_of(chosen[0][0], viewer.layers)


def viewed(layers, planes="the slice shown", point=None):
    point = point or (0.0,) * layers[0].ndim
    return view_of(layers, Dims(ndim=len(point), range=[(0, 100, 1)] * len(point), point=point), planes)


def test_an_rgb_image_is_a_layer_of_colours_whose_page_has_the_files_pixels(tissue):
    (layer,) = opened(tissue)
    assert layer.rgb
    np.testing.assert_array_equal(layer.data, TISSUE)
    _, plane = frame_of(viewed([layer]))
    page = render(plane, [layer], IntensityRange((30.0,) * 3, (240.0,) * 3))
    np.testing.assert_array_equal(page[..., :3], TISSUE)
    assert (page[..., 3] == 255).all()


def test_sixteen_bit_colours_are_scaled_within_the_layers_limits(tmp_path):
    pixels = np.zeros((20, 20, 3), np.uint16)
    pixels[0, 0], pixels[0, 1] = (4000, 2000, 1000), (1000, 0, 4000)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
    (layer,) = opened(tmp_path / "a.tif")
    assert tuple(layer.contrast_limits) == (0, 4000)
    page = render(np.moveaxis(pixels, -1, 0), [layer], WHOLE)
    assert page[0, :2, :3].tolist() == [[255, 128, 64], [64, 0, 255]]


def test_channels_are_layers_that_add_up_in_the_files_colours(cells):
    layers = opened(cells)
    assert [layer.name for layer in layers] == ["cells.ome DAPI", "cells.ome actin", "cells.ome FISH"]
    assert {str(layer.blending) for layer in layers} == {"additive"}
    assert [layer.colormap.map(1.0).ravel()[:3].tolist() for layer in layers] == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    for layer, pixels, limits in zip(layers, CELLS, contrast_limits(read(cells)), strict=True):
        np.testing.assert_array_equal(layer.data, pixels)
        assert tuple(layer.contrast_limits) == pytest.approx(limits)
        assert limits == pytest.approx(tuple(np.percentile(pixels, (1, 99.8))))


def test_channels_without_colours_get_those_of_napari(tmp_path):
    for count, expected in ((2, ["magenta", "green"]), (3, ["cyan", "yellow", "magenta"])):
        path = tmp_path / f"{count}.tif"
        tifffile.imwrite(path, CELLS[:count], photometric="minisblack", metadata={"axes": "CYX"})
        assert [layer.colormap.name for layer in opened(path)] == expected


def test_the_page_adds_each_channel_up_as_its_layer_shows_it():
    pixels = np.array([[[0, 50, 100, 200]], [[0, 100, 50, 0]]], np.uint16)
    red = Image(pixels[0], colormap="red", contrast_limits=(0, 100), blending="additive")
    green = Image(pixels[1], colormap="green", contrast_limits=(0, 200), blending="additive")
    page = render(pixels, [red, green], WHOLE)
    assert page[0, :, :3].tolist() == [[0, 0, 0], [128, 128, 0], [255, 64, 0], [255, 0, 0]]
    red.visible = False
    assert render(pixels, [red, green], WHOLE)[0, :, :3].tolist() == [[0, 0, 0], [0, 128, 0], [0, 64, 0], [0, 0, 0]]
    red.visible, green.visible, red.opacity = True, False, 0.5
    assert render(pixels, [red, green], WHOLE)[0, :, 0].tolist() == [0, 64, 128, 128]
    red.visible = False  # nothing to see: then all are shown
    assert render(pixels, [red, green], WHOLE)[0, 1, :3].tolist() == [64, 128, 0]


@pytest.mark.parametrize("name", ["tissue", "cells"])
def test_window_and_command_line_know_a_frame_by_the_same_pixels(request, tmp_path, name):
    path = request.getfixturevalue(name)
    view = viewed(opened(path))
    (frame,) = frames_of(create_project(tmp_path / "p"), str(path))[1]
    assert frame_of(view)[0].content_hash == frame.content_hash
    assert (view.description, view.crop_channels) == (frame.description, 3) == ("all", 3)


def test_layers_of_some_channels_are_the_frame_of_these_channels(cells):
    layers = opened(cells)
    view = viewed([layers[0], layers[2]])
    assert view.description == "channels 0 2"
    assert view.channels == (Channel(0, "DAPI", "#0000ff"), Channel(2, "FISH", "#ff0000"))
    np.testing.assert_array_equal(frame_of(view)[1], CELLS[[0, 2]])


@pytest.mark.parametrize(
    ("planes", "expected", "called"),
    [("the slice shown", lambda zcyx: zcyx[2], "z 2"), ("maximum projection", lambda zcyx: zcyx.max(0), "max z")],
)
def test_stacks_of_channels_are_sliced_and_projected_together(tmp_path, planes, expected, called):
    pixels = np.random.default_rng(1).integers(0, 99, (4, 3, 20, 30)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata={"axes": "ZCYX"})
    view = viewed(opened(tmp_path / "a.tif"), planes, (2.0, 0.0, 0.0))
    np.testing.assert_array_equal(frame_of(view)[1], expected(pixels))
    assert view.description == called


def test_channels_of_an_ome_zarr_stay_on_disk_and_are_found_again(tmp_path, write_zarr, monkeypatch):
    monkeypatch.setattr(large_layer, "LARGE_BYTES", 1000)
    path = write_zarr(tmp_path / "a.ome.zarr", CELLS, "cyx", levels=2)
    layers = opened(path)
    assert all(layer.multiscale for layer in layers)
    np.testing.assert_array_equal(np.asarray(layers[1].data[0]), CELLS[1])
    for some, planes in (([0, 1, 2], Planes(None)), ([2], Planes((2,)))):
        plane = lazy_plane_of(viewed([layers[at] for at in some]))
        assert plane.planes == Planes(planes.channels, None, None)
        np.testing.assert_array_equal(plane[:, :, :], CELLS[some])
    assert content_hash(open_lazily(path), Planes(None, None, None)) == frame_of(viewed(layers))[0].content_hash


def test_layers_of_one_shape_and_place_can_be_put_together():
    one, other = Image(CELLS[0], name="DAPI"), Image(CELLS[1], name="actin")
    strangers = [
        Image(CELLS[2][:50]),
        Image(CELLS[2].astype(np.float32)),
        Image(CELLS[2], scale=(2, 2)),
        Image(CELLS[2], translate=(0, 5)),
        Image(TISSUE[:96, :128], rgb=True),
    ]
    mates = mates_of(one, [one, *strangers, other])
    assert mates == [one, other]
    assert taken_with(one, mates, [], None, 0) == [one]
    assert taken_with(one, mates, [other, one], None, 0) == [one, other]
    view = viewed([one, other])
    np.testing.assert_array_equal(frame_of(view)[1], CELLS[:2])
    assert (view.channels, view.description) == ((), "all")


def test_an_image_is_taken_with_the_projects_channels(cells, tmp_path):
    layers, project = opened(cells), create_project(tmp_path / "p")
    assert taken_with(layers[1], layers, [], project, 0) == layers
    assert taken_with(layers[1], layers, [], project, 1) == [layers[1]]  # an earlier version's: one was labelled
    assert taken_with(layers[1], layers, [], project, 3) == layers
    chosen = replace(project, channels=(Channel(2), Channel(0)))
    assert taken_with(layers[1], layers, layers[:1], chosen, 2) == [layers[2], layers[0]]


def test_layers_of_two_images_do_not_mix(cells):
    viewer = ViewerModel()
    first, second = opened(cells, viewer), opened(cells, viewer)
    assert {id(each) for each in first}.isdisjoint({id(each) for each in second})
    assert mates_of(first[0], viewer.layers) == first


def is_ready(dock, channels):
    loaded = dock.frame.loaded
    return loaded is not None and loaded.plane_C_Y_X.shape[0] == channels


@pytest.fixture
def dock(make_napari_viewer, chosen, qtbot):
    viewer = make_napari_viewer(show=True)
    widget = LabelCrops(viewer, chosen)
    viewer.window.add_dock_widget(widget, name="Label crops")
    widget.setup.crop.value = 32
    yield widget
    widget.close()


def begin(dock, qtbot, path, channels):
    dock.open_image(path)
    qtbot.waitUntil(lambda: dock.setup.layer.value is not None, timeout=30_000)
    dock.start_project(lambda: None)
    qtbot.waitUntil(lambda: dock.session.project is not None and is_ready(dock, channels), timeout=30_000)


def label(dock, qtbot, index):
    dock.labelling.click(index)
    qtbot.waitUntil(lambda: (now := dock.labelling.current) is not None and now.is_shown, timeout=30_000)
    qtbot.wait(300)
    dock.labelling.answer(dock.session.project.classes[0].id)
    qtbot.waitUntil(lambda: index in dock.frame.labels, timeout=30_000)


@pytest.mark.parametrize("name", ["tissue", "cells"])
def test_the_crop_that_is_labelled_is_the_one_of_the_command_line(request, dock, qtbot, name):
    path = request.getfixturevalue(name)
    begin(dock, qtbot, path, 3)
    label(dock, qtbot, 5)
    if name == "tissue":
        shown = dock.page.pictures.again()[..., :3]
        np.testing.assert_array_equal(shown, TISSUE[0:48, 144:208])  # with half a side around it, cut at the top
    project = dock.session.project
    (frame,) = frames_of(project, str(path))[1]
    with Store(project.store_path, read_only=True) as store:
        (presented,) = store.presented()
        assert len(store.labels_of(frame.content_hash)) == 1
        (kept,) = store.frames().values()
    y, x = dock.frame.grid.origin(5)
    assert presented.pixels_C_H_W.tobytes() == frame.pixels_C_Y_X[:, y : y + 32, x : x + 32].tobytes()
    assert (kept.planes, project.intake.rgb) == ("all", name == "tissue")
    assert len(project.channels) == 3


def test_channels_are_ticked_for_the_project_until_crops_are_labelled(dock, qtbot, cells):
    begin(dock, qtbot, cells, 3)
    rows = dock.setup.channels
    assert [rows.item(at).text() for at in range(rows.count())] == ["DAPI", "actin", "FISH"]
    rows.item(1).setCheckState(rows.item(1).checkState().Unchecked)
    qtbot.waitUntil(lambda: is_ready(dock, 2), timeout=30_000)
    assert [each.name for each in dock.session.project.channels] == ["DAPI", "FISH"]
    np.testing.assert_array_equal(dock.frame.loaded.plane_C_Y_X, CELLS[[0, 2]])
    label(dock, qtbot, 0)
    dock.labelling.stop()
    rows.item(1).setCheckState(rows.item(1).checkState().Checked)
    assert "labels of crops with channel(s) DAPI, FISH" in dock.status.text()
    assert rows.ticked() == [0, 2]


def test_layers_that_the_user_added_form_one_frame_when_they_are_ticked(dock, qtbot):
    viewer = dock._viewer
    viewer.add_image(CELLS, channel_axis=0, name=["DAPI", "actin", "FISH"])
    dock.start_project(lambda: None)
    qtbot.waitUntil(lambda: dock.session.project is not None and is_ready(dock, 1), timeout=30_000)
    rows = dock.setup.channels
    for at in range(rows.count()):
        rows.item(at).setCheckState(rows.item(at).checkState().Checked)
    qtbot.waitUntil(lambda: is_ready(dock, 3), timeout=30_000)
    np.testing.assert_array_equal(dock.frame.loaded.plane_C_Y_X, CELLS)


def test_what_was_labelled_as_one_stack_is_known_again_as_channels(dock, qtbot, cells, chosen):
    stack = Image(CELLS, metadata={SOURCE: str(cells)})
    (frame,) = frames_of(create_project(chosen.projects_folder / "other"), str(cells))[1]
    assert frame_of(viewed([stack], "all as channels"))[0].content_hash == frame.content_hash
    assert frame_of(viewed(opened(cells)))[0].content_hash == frame.content_hash
    assert part_of(stack) is None
    assert isinstance(opened(cells)[0].metadata[PART], Part)


class AtOnce:
    """A thread that is none."""

    def run(self, work, *arguments, then, failed):
        then(work(*arguments))


def test_frames_that_arrive_take_the_layers_of_the_one_before(tmp_path, tissue):
    project = replace(create_project(tmp_path / "p"), channels=(Channel(0, "DAPI"), Channel(2, "FISH")))
    for name, pixels in (("a", CELLS), ("b", CELLS[:, ::-1])):
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels, photometric="minisblack", metadata={"axes": "CYX"})
    viewer, chosen = ViewerModel(), []
    opener = FrameOpener(viewer, AtOnce(), lambda *arguments: chosen.append(arguments[0]), None)
    for name, pixels in (("a", CELLS), ("b", CELLS[:, ::-1])):
        opener.open_arrived(project, tmp_path / f"{name}.tif", None)
        assert len(viewer.layers) == 2
        view = viewed(mates_of(chosen[-1], viewer.layers))
        np.testing.assert_array_equal(frame_of(view)[1], pixels[[0, 2]])
        (frame,) = frames_of(project, str(tmp_path / f"{name}.tif"))[1]
        assert (frame_of(view)[0].content_hash, view.description) == (frame.content_hash, "channels 0 2")
    opener.open_arrived(create_project(tmp_path / "q"), tissue, None)
    assert [layer.rgb for layer in viewer.layers] == [False, False, True]
    np.testing.assert_array_equal(chosen[-1].data, TISSUE)
