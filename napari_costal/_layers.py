"""The layers that the plugin draws: grid, heatmap, query and labels, aligned with the frame's layer to the pixel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points, Vectors
from napari.utils.colormaps import Colormap
from numpy.typing import NDArray

from costal.types import Floats, Grid

MARK = "napari-costal"
GRID, HEATMAP, QUERY, LABELS = "crop grid", "heatmap", "query", "labels"
FROM_BELOW = (GRID, HEATMAP, LABELS, QUERY)
MOST_GRID_LINES = 400
MOST_BOXES = 500


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a frame's pixels lie in the world: the last two axes of its layer's transform."""

    scale: NDArray[np.float64]
    translate: NDArray[np.float64]
    rotate: NDArray[np.float64]
    shear: NDArray[np.float64]
    affine: NDArray[np.float64]
    units: tuple[str, ...]

    def of_crops(self, grid: Grid) -> dict[str, Any]:
        """Return the transform of an image with one pixel per crop."""
        centre_of_first = np.full(2, (grid.crop - 1) / 2)
        upper = np.array([[1.0, self.shear[0]], [0.0, 1.0]])
        moved = self.rotate @ upper @ (self.scale * centre_of_first)
        return self.of_pixels() | {"scale": self.scale * grid.stride, "translate": self.translate + moved}

    def of_pixels(self) -> dict[str, Any]:
        """Return the transform of something drawn in the frame's pixels."""
        return {
            "scale": self.scale,
            "translate": self.translate,
            "rotate": self.rotate,
            "shear": self.shear,
            "affine": self.affine,
            "units": self.units,
        }


def placement_of(layer: Layer) -> Placement:
    """Return where the plane of a layer lies."""
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


def is_ours(layer: Layer) -> bool:
    """Return whether the plugin drew this layer."""
    return MARK in layer.metadata


class FrameOverlay:
    """The plugin's layers over one frame: drawn when first needed, then updated in place."""

    def __init__(self, viewer: ViewerModel, owner: str) -> None:
        self._viewer = viewer
        self._owner = owner

    def draw_grid(self, grid: Grid, placement: Placement) -> None:
        """Draw the borders of the crops as lines; nothing when they would be too many to see."""
        last_y, last_x = (grid.rows - 1) * grid.stride + grid.crop, (grid.cols - 1) * grid.stride + grid.crop
        ys = sorted({row * grid.stride + end for row in range(grid.rows) for end in (0, grid.crop)})
        xs = sorted({col * grid.stride + end for col in range(grid.cols) for end in (0, grid.crop)})
        lines = [[[y, 0], [0, last_x]] for y in ys] + [[[0, x], [last_y, 0]] for x in xs]
        self.remove(GRID)
        if len(lines) > MOST_GRID_LINES:
            return
        vectors = np.array(lines, dtype=np.float32) - np.array([[0.5, 0.5], [0, 0]], dtype=np.float32)
        layer = Vectors(
            vectors,
            name=GRID,
            edge_width=max(grid.crop / 40, 0.5),
            edge_color="#ffcc33",
            vector_style="line",
            opacity=0.45,
            **placement.of_pixels(),
        )
        self._add(layer)

    def draw_heatmap(
        self, heatmap: Floats, grid: Grid, placement: Placement, name: str, colours: Colormap | None
    ) -> None:
        """Draw one value per crop with limits that follow the values; `colours` for classes, else viridis."""
        finite = heatmap[np.isfinite(heatmap)]
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
        limits = (-0.5, len(colours.colors) - 0.5) if colours is not None else (low, high if high > low else low + 1e-6)
        transform = placement.of_crops(grid)
        layer = self._find(HEATMAP)
        if layer is None:
            layer = Image(
                heatmap,
                name=HEATMAP,
                opacity=0.45,
                blending="translucent",
                interpolation2d="nearest",
                contrast_limits=limits,
                colormap=colours or "viridis",
                **transform,
            )
            self._add(layer)
        else:
            layer.data = heatmap
            layer.colormap = colours or "viridis"
            layer.scale, layer.translate, layer.affine = transform["scale"], transform["translate"], transform["affine"]
            layer.rotate, layer.shear = transform["rotate"], transform["shear"]
            layer.contrast_limits_range = limits
            layer.contrast_limits = limits
        layer.name = f"{HEATMAP}: {name}"
        layer.colorbar.visible = colours is None

    def draw_query(
        self, centres_n_2: NDArray[np.float64], grid: Grid, placement: Placement, texts: list[str] | None = None
    ) -> None:
        """Draw the query as squares, best first, with their rank or other texts."""
        ranks = texts or [str(rank) for rank in range(1, len(centres_n_2) + 1)]
        self._draw_squares(QUERY, centres_n_2, grid, placement, ["#ff5533"] * len(centres_n_2), ranks)

    def draw_labels(
        self, centres_n_2: NDArray[np.float64], colours: Sequence[str], grid: Grid, placement: Placement
    ) -> None:
        """Draw the labelled crops as squares in their class colour."""
        self._draw_squares(LABELS, centres_n_2, grid, placement, list(colours), None)

    def _draw_squares(
        self,
        name: str,
        centres_n_2: NDArray[np.float64],
        grid: Grid,
        placement: Placement,
        colours: list[str],
        texts: list[str] | None,
    ) -> None:
        shown = slice(-MOST_BOXES, None) if texts is None else slice(None, MOST_BOXES)
        points, borders = centres_n_2[shown], colours[shown]
        words = np.array([""] * len(points) if texts is None else texts[shown], dtype=str)
        width = max(grid.crop / 20, 1.0)
        layer = self._find(name)
        if layer is not None and (not len(points) or layer.metadata["crop"] != grid.crop):
            self.remove(name)
            layer = None
        if not len(points):
            return
        if layer is None:
            layer = Points(
                points,
                name=name,
                features={"word": words},
                text={"string": "{word}", "color": "#ff5533", "size": 11, "anchor": "center"},
                symbol="square",
                size=grid.crop - width,
                face_color="transparent",
                border_color=borders,
                border_width=width,
                border_width_is_relative=False,
                antialiasing=0,
                opacity=1.0,
                **placement.of_pixels(),
            )
            self._add(layer)
            layer.metadata["crop"] = grid.crop
            return
        # In place: a new layer a key press or a slider's move would cost more than the move may take.
        layer.data = points
        layer.features = {"word": words}
        if not np.array_equal(layer.border_color, Points(points, border_color=borders).border_color):
            layer.border_color = borders

    def remove(self, *names: str) -> None:
        """Take these layers off the viewer, all of ours when none is named."""
        for layer in list(self._viewer.layers):
            if layer.metadata.get(MARK) == self._owner and (not names or layer.metadata["part"] in names):
                self._viewer.layers.remove(layer)

    def _find(self, name: str) -> Any:
        ours = (layer for layer in self._viewer.layers if layer.metadata.get(MARK) == self._owner)
        return next((layer for layer in ours if layer.metadata["part"] == name), None)

    def _add(self, layer: Layer) -> None:
        """Add a layer without taking the user's selection away from the frame."""
        layer.metadata = {MARK: self._owner, "part": layer.name}
        selected = self._viewer.layers.selection.active
        self._viewer.add_layer(layer)
        for part in FROM_BELOW[FROM_BELOW.index(layer.metadata["part"]) + 1 :]:
            if (above := self._find(part)) is not None:
                self._viewer.layers.move(self._viewer.layers.index(above), len(self._viewer.layers))
        if selected is not None:
            self._viewer.layers.selection.active = selected


def centres(grid: Grid, indices: NDArray[np.intp] | Sequence[int]) -> NDArray[np.float64]:
    """Return the centres (n, 2) of crops, in the frame's pixels."""
    origins = np.array([grid.origin(int(index)) for index in indices], dtype=np.float64).reshape(-1, 2)
    return origins + (grid.crop - 1) / 2
