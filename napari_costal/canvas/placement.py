"""The position of a frame in world coordinates, so that overlays fit it to the pixel."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Layer
from numpy.typing import NDArray

from costal.types import Grid


@dataclass(frozen=True, slots=True)
class Placement:
    """The position of a frame's pixels in the world: the last two axes of its layer's transform."""

    scale: NDArray[np.float64]
    translate: NDArray[np.float64]
    rotate: NDArray[np.float64]
    shear: NDArray[np.float64]
    affine: NDArray[np.float64]
    units: tuple[str, ...]

    def of_crops(self, grid: Grid, zoom_2: tuple[float, float] = (1.0, 1.0)) -> dict[str, Any]:
        """Return the transform of an image with one pixel per crop; `zoom_2`: grid pixels to one of the frame."""
        zoom = np.array(zoom_2)
        centre_of_first = (grid.crop / zoom - 1) / 2
        upper = np.array([[1.0, self.shear[0]], [0.0, 1.0]])
        moved = self.rotate @ upper @ (self.scale * centre_of_first)
        return self.of_pixels() | {"scale": self.scale * grid.stride / zoom, "translate": self.translate + moved}

    def of_pixels(self) -> dict[str, Any]:
        """Return the transform of a layer that is drawn in the frame's pixels."""
        return {
            "scale": self.scale,
            "translate": self.translate,
            "rotate": self.rotate,
            "shear": self.shear,
            "affine": self.affine,
            "units": self.units,
        }


def placement_of(layer: Layer) -> Placement:
    """Return the position of a layer's plane."""
    affine = np.eye(3)
    matrix = np.asarray(layer.affine.affine_matrix)
    affine[:2, :2], affine[:2, 2] = matrix[-3:-1, -3:-1], matrix[-3:-1, -1]
    return Placement(
        np.asarray(layer.scale)[-2:],
        np.asarray(layer.translate)[-2:],
        np.asarray(layer.rotate)[-2:, -2:],
        np.asarray(layer.shear)[-1:],
        affine,
        tuple(str(unit) for unit in layer.units[-2:]),
    )
