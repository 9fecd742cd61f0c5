"""Layers that tell the predicted class are held back during a query, and come back unless the user switched them."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from napari_costal.canvas.overlays import MARK, REVEALS
from napari_costal.canvas.predictions import Predictions


@pytest.fixture
def viewer():
    return ViewerModel()


def added(viewer, reveals=True):
    layer = Labels(np.ones((4, 4), np.uint8), metadata={MARK: "apply", "part": "class map", REVEALS: reveals})
    viewer.add_layer(layer)
    viewer.layers.selection.active = None
    return layer


def test_what_was_held_back_comes_back_and_nothing_else(viewer):
    seen, hidden, other = added(viewer), added(viewer), added(viewer, reveals=False)
    hidden.visible = False
    predictions = Predictions(viewer, lambda: None)
    assert predictions.are_shown
    predictions.hold_back()
    assert [layer.visible for layer in (seen, hidden, other)] == [False, False, True]
    assert not predictions.are_shown
    predictions.give_back()
    assert [layer.visible for layer in (seen, hidden, other)] == [True, False, True]


def test_a_layer_that_the_user_switches_meanwhile_stays_as_he_left_it_and_is_noticed(viewer):
    layer, looks = added(viewer), []
    predictions = Predictions(viewer, lambda: looks.append(predictions.are_shown))
    predictions.hold_back()
    looks.clear()
    layer.visible = True
    assert looks == [True]
    layer.visible = False
    predictions.give_back()
    assert not layer.visible


def test_a_class_map_that_comes_during_a_query_is_noticed(viewer):
    looks = []
    predictions = Predictions(viewer, lambda: looks.append(predictions.are_shown))
    added(viewer)
    assert True in looks


def test_a_hidden_layer_whose_value_the_status_bar_tells_counts_as_shown(viewer):
    layer, looks = added(viewer), []
    viewer.layers.selection.active = layer
    predictions = Predictions(viewer, lambda: looks.append(predictions.are_shown))
    predictions.hold_back()
    assert viewer.layers.selection.active is None
    assert not predictions.are_shown
    viewer.layers.selection.active = layer
    assert looks[-1]


def test_nothing_is_watched_after_the_end(viewer):
    layer, looks = added(viewer), []
    predictions = Predictions(viewer, lambda: looks.append(1))
    predictions.stop()
    layer.visible = False
    viewer.layers.remove(layer)
    added(viewer)
    assert looks == []
