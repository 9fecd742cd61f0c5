"""What napari reads of us: the manifest is valid, its names do not collide, and its samples open."""

import numpy as np
import pytest
from npe2 import PluginManager, PluginManifest


@pytest.fixture(scope="module")
def manifest():
    return PluginManifest.from_distribution("napari-costal")


def test_every_python_name_can_be_imported(manifest):
    manifest.validate_imports()


def test_sample_keys_and_commands_do_not_collide(manifest):
    """Napari registers both under ``plugin.key``: a clash stops it from starting."""
    commands = {command.id for command in manifest.contributions.commands}
    samples = {f"{manifest.name}.{sample.key}" for sample in manifest.contributions.sample_data}
    assert commands.isdisjoint(samples)


def test_every_dock_and_both_samples_are_offered(manifest):
    assert {widget.display_name for widget in manifest.contributions.widgets} == {
        "Label crops",
        "Labelling dashboard",
        "Crop gallery",
        "Apply classifier",
        "MNIST mosaic",
    }
    assert {sample.display_name for sample in manifest.contributions.sample_data} == {
        "Simulated STED field",
        "MNIST mosaic",
    }


@pytest.mark.parametrize("key", ["sted_field", "digit_mosaic"])
def test_a_sample_opens_as_an_image(key, make_napari_viewer):
    viewer = make_napari_viewer()
    (layer,) = viewer.open_sample("napari-costal", key)
    assert layer.data.ndim == 2
    assert np.ptp(layer.data) > 0


def test_preferences_have_defaults(make_napari_viewer):
    from napari_costal.ui.preferences import preferences
    from napari_costal.ui.tools import LABELLING_KEYS

    assert "napari-costal" in PluginManager.instance()
    chosen = preferences()
    assert chosen.annotator
    assert chosen.projects_folder.is_absolute()
    assert chosen.device == "auto"
    assert chosen.keys == LABELLING_KEYS
