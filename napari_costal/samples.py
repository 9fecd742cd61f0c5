"""Sample data: a simulated STED field with known classes, and a mosaic of digits."""

from typing import Any

import numpy as np

from costal.frames.simulate import CLASS_NAMES, simulate_field
from costal.paper.datasets import load_dataset
from costal.paper.mosaic import mosaic, to_images

LayerData = list[tuple[Any, dict[str, Any], str]]
FIELD_PX, CROP_PX = 1024, 64


def simulated_sted_field() -> LayerData:
    """Return one simulated STED field of 20.5 µm with puncta, fibres and periodic rings; crops of 64 px fit it."""
    field = simulate_field((FIELD_PX, FIELD_PX), CROP_PX, seed=0)
    facts = {
        "crop_px": CROP_PX,
        "class_names": CLASS_NAMES,
        "classes": field.classes_N,
        "contour_px": field.contour_px_N,
    }
    options = {
        "name": "simulated STED field",
        "scale": (field.pixel_um,) * 2,
        "units": ("micrometer",) * 2,
        "colormap": "magma",
        "contrast_limits": (0, float(np.percentile(field.pixels_Y_X, 99.7))),
        "metadata": {"simulated": facts},
    }
    return [(field.pixels_Y_X, options, "image")]


def mnist_mosaic() -> LayerData:
    """Return a mosaic of 1000 digits: MNIST if it is on this machine, else synthetic ones, as the layer's name says."""
    dataset = load_dataset("auto")
    crops, _ = dataset.take(np.arange(1000))
    return [(mosaic(to_images(crops)), {"name": f"{dataset.name} mosaic"}, "image")]
