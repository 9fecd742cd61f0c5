"""*Label crops* on an image that is read piece by piece, in a real viewer, with a real store and engine process."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from costal.frames.simulate import simulate_field
from costal.frames.windows import LazyPlane
from costal.labels.store import Store
from costal.scoring import bands
from napari_costal.canvas import large_layer
from napari_costal.canvas.overlays import HEATMAP, QUERY, is_ours
from napari_costal.label_crops import scoring
from napari_costal.label_crops.widget import LabelCrops

CROP, SIDE = 16, 512


@pytest.fixture
def field():
    return simulate_field((SIDE, SIDE), CROP, seed=2, pixel_um=0.03)


@pytest.fixture
def dock(make_napari_viewer, chosen, field, tmp_path, write_zarr, monkeypatch, qtbot):
    monkeypatch.setattr(large_layer, "LARGE_BYTES", 1000)
    monkeypatch.setattr(scoring, "FILLING_S", 0.1)
    monkeypatch.setattr(bands, "BAND_CROPS", 64)
    viewer = make_napari_viewer(show=True)
    widget = LabelCrops(viewer, chosen)
    viewer.window.add_dock_widget(widget, name="Label crops")
    widget.setup.crop.value = CROP
    widget.open_image(write_zarr(tmp_path / "field.zarr", field.pixels_Y_X, chunk=128, levels=2, um=0.03))
    qtbot.waitUntil(lambda: widget.setup.layer.value is not None, timeout=10_000)
    yield widget
    widget.close()


def heatmap(dock):
    shown = [each for each in dock._viewer.layers if is_ours(each) and each.visible]
    return next((each for each in shown if each.metadata["part"] == HEATMAP), None)


def query(dock):
    return next(each for each in dock._viewer.layers if is_ours(each) and each.metadata["part"] == QUERY)


def label(dock, field, qtbot):
    """Label a query with the mouse; return how many crops it had."""
    qtbot.mouseClick(dock.setup.label_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.labelling.current is not None, timeout=60_000)
    count = 0
    while (now := dock.labelling.current) is not None:
        qtbot.waitUntil(lambda now=now: now.is_shown, timeout=10_000)
        qtbot.wait(200)  # nobody sees and answers within 150 ms
        class_id = dock.session.project.classes[count % 2].id  # what is spread out may be of one class alone
        button = dock.labelling_page.findChild(object, f"class-{class_id}")
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(
            lambda now=now: dock.labelling.current is not now and not dock.labelling._coming, timeout=10_000
        )
        count += 1
    return count


def test_the_heatmap_fills_in_and_what_a_cancel_keeps_is_labelled_and_not_scored_again(dock, field, qtbot):
    query = label(dock, field, qtbot)
    assert query == 10
    assert isinstance(dock.frame.loaded.plane_C_Y_X, LazyPlane)
    with Store(dock.session.project.store_path, read_only=True) as store:
        for each, given in zip(store.presented(), store.labels(), strict=True):
            y, x = given.y, given.x
            np.testing.assert_array_equal(each.pixels_C_H_W[0], field.pixels_Y_X[y : y + CROP, x : x + CROP])

    def is_partial():
        return heatmap(dock) is not None and 0 < np.isfinite(heatmap(dock).data).mean() < 1

    qtbot.waitUntil(is_partial, timeout=120_000)
    qtbot.mouseClick(dock.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "crops are scored. Score again" in dock.status.text(), timeout=10_000)
    kept = dock.query.frame_scores.which_M
    assert 0 < len(kept) < 1024
    assert "Model 1" in dock.model_label.text()
    qtbot.waitUntil(lambda: set(dock.query.picked.picked_n) <= set(kept), timeout=10_000)
    before = heatmap(dock).data.ravel()[kept]

    qtbot.mouseClick(dock.setup.score_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.query.frame_scores.which_M is None, timeout=120_000)
    np.testing.assert_array_equal(heatmap(dock).data.ravel()[kept], before)
    assert np.isfinite(heatmap(dock).data).all()
    for shown in ("predicted class", "cost C"):
        dock.setup.shown.value = shown
        assert np.isfinite(heatmap(dock).data).all()


def test_undo_presents_a_crop_that_is_no_longer_held(dock, field, qtbot):
    dock.present_at((200, 300))
    qtbot.waitUntil(lambda: dock.labelling.current is not None and dock.labelling.current.is_shown, timeout=60_000)
    index = dock.labelling.current.index
    dock.labelling.answer(1)
    qtbot.waitUntil(lambda: index in dock.frame.labels, timeout=10_000)
    dock.frame.loaded.held.clear()
    dock.labelling.undo()
    qtbot.waitUntil(
        lambda: dock.labelling.current is not None and dock.labelling.current.index == index, timeout=10_000
    )
    assert index not in dock.frame.labels
