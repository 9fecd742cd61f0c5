"""The layers that the plugin draws over a frame: grid, heatmap, query and labels, exact to the pixel."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points, Vectors
from napari.utils.colormaps import Colormap
from napari.utils.colormaps.standardize_color import transform_color
from numpy.typing import NDArray

from costal.frames.grid import origins
from costal.types import Floats, Grid
from napari_costal.canvas.placement import Placement

MARK = "napari-costal"
REVEALS, HELD_BACK = "shows the predicted class", "hidden during a query"
GRID, HEATMAP, QUERY, LABELS = "crop grid", "heatmap", "query", "labels"
CHANGED, CHOSEN, CROP_AT_WORK = "changed class", "chosen crops", "crop being labelled"
FROM_BELOW = (GRID, HEATMAP, CHANGED, LABELS, QUERY, CHOSEN, CROP_AT_WORK)
FRAMES = {CHOSEN: "#00e5ff", CROP_AT_WORK: "#ffffff"}
"""Parts that are squares of one colour each."""
MOST_GRID_LINES = 400
MOST_BOXES = 500
LOOKED_AT_EACH = 50
QUERY_COLOUR = "#ff33ff"
"""Differs from the colours of classes and heatmaps."""
PLATE_COLOUR, PLATE_SHARE = "#101114", 0.36
LABEL_WIDTH, QUERY_WIDTH, LABEL_FILL = 1 / 12.5, 1 / 16, 0.3
"""Shares of a crop's side; the opacity of a labelled crop, visible even if crops are a few pixels wide."""


def is_ours(layer: Layer) -> bool:
    """Return whether the plugin drew this layer."""
    return MARK in layer.metadata


def images_in(viewer: ViewerModel) -> list[Image]:
    """Return the image layers that the plugin did not draw; each of them may be a frame."""
    return [layer for layer in viewer.layers if isinstance(layer, Image) and not is_ours(layer)]


class FrameOverlay:
    """The plugin's layers over one frame: made when first needed, or earlier (`prewarm`), then updated in place.

    They are above all other layers, in the order of `from_below`.
    """

    from_below: tuple[str, ...] = FROM_BELOW

    def __init__(self, viewer: ViewerModel, owner: str) -> None:
        self._viewer = viewer
        self._owner = owner
        self._is_lifting = False
        for event in (viewer.layers.events.inserted, viewer.layers.events.reordered):
            event.connect(self._lift, position="last")  # after napari's canvas has handled the event

    def stop(self) -> None:
        """Stop keeping the layers on top."""
        for event in (self._viewer.layers.events.inserted, self._viewer.layers.events.reordered):
            event.disconnect(self._lift)

    def _lift(self, _event: Any = None) -> None:
        """Move the layers to the top, in their own order, so that no opened or moved image covers them."""
        layers = self._viewer.layers
        ours = [layer for part in self.from_below if (layer := self._find(part)) is not None]
        highest_other = max((at for at, each in enumerate(layers) if not is_ours(each)), default=-1)
        is_in_order = [each for each in layers if each in ours] == ours
        if self._is_lifting or not ours or (is_in_order and layers.index(ours[0]) > highest_other):
            return
        self._is_lifting = True
        try:
            for each in ours:
                layers.move(layers.index(each), len(layers))
        finally:
            self._is_lifting = False

    def draw_grid(self, grid: Grid, placement: Placement) -> None:
        """Draw the borders of the crops as lines, unless there would be too many to see."""
        last_y, last_x = (grid.rows - 1) * grid.stride + grid.crop, (grid.cols - 1) * grid.stride + grid.crop
        ys = sorted({row * grid.stride + end for row in range(grid.rows) for end in (0, grid.crop)})
        xs = sorted({col * grid.stride + end for col in range(grid.cols) for end in (0, grid.crop)})
        lines = [[[y, 0], [0, last_x]] for y in ys] + [[[0, x], [last_y, 0]] for x in xs]
        if len(lines) > MOST_GRID_LINES:
            self.hide(GRID)
            return
        vectors = np.array(lines, dtype=np.float32) - np.array([[0.5, 0.5], [0, 0]], dtype=np.float32)
        layer = self._there(GRID, placement.of_pixels())
        if layer is None:
            layer = Vectors(vectors, name=GRID, edge_color="#ffcc33", vector_style="line", opacity=0.45)
            self._add(layer, placement.of_pixels())
        if not np.array_equal(layer.data, vectors):
            layer.data = vectors
        layer.edge_width = max(grid.crop / 40, 0.5)

    def draw_heatmap(
        self, heatmap: Floats, grid: Grid, placement: Placement, name: str, colours: Colormap | None
    ) -> tuple[float, float]:
        """Draw one value per crop, and return the limits of the colours, which follow the values.

        `colours` are those of classes; without them the colours are viridis.
        """
        limits = (-0.5, len(colours.colors) - 0.5) if colours is not None else _limits_of(heatmap)
        layer = self._there(HEATMAP, placement.of_crops(grid))
        if layer is None:
            layer = Image(heatmap, name=HEATMAP, opacity=0.45, blending="translucent", interpolation2d="nearest")
            self._add(layer, placement.of_crops(grid))
        if not _are_same(layer.data, heatmap):
            layer.data = heatmap
        layer.metadata[REVEALS] = colours is not None
        if (shown := f"{HEATMAP}: {name}") != layer.name or colours is not None:
            layer.name, layer.colormap = shown, colours or "viridis"
        if (tuple(layer.contrast_limits_range), tuple(layer.contrast_limits)) != (limits, limits):
            layer.contrast_limits_range = limits
            layer.contrast_limits = limits
        return limits

    def draw_query(
        self, centres_n_2: NDArray[np.float64], grid: Grid, placement: Placement, texts: list[str] | None = None
    ) -> None:
        """Draw the query as squares, best first, with their rank or other texts on dark plates in the corners."""
        centres_n_2 = centres_n_2[:MOST_BOXES]
        texts = texts or [str(rank) for rank in range(1, len(centres_n_2) + 1)]
        words = np.array([each for text in texts[:MOST_BOXES] for each in ("", text)], dtype=str)
        plate = grid.crop * PLATE_SHARE
        # Each box is followed by its plate, so that the squares of a shorter query begin those of a longer one.
        points = np.repeat(centres_n_2, 2, axis=0)
        points[1::2] -= (grid.crop - plate) / 2
        width = grid.crop * QUERY_WIDTH
        layer = self._squares(QUERY, points, [grid.crop - width, plate], [width, 0.0], placement, {"word": words})
        if layer is None:
            return
        if not np.array_equal(layer.features["word"], words):
            layer.features = {"word": words}

    def draw_labels(
        self, centres_n_2: NDArray[np.float64], colours: Sequence[str], grid: Grid, placement: Placement
    ) -> None:
        """Draw the labelled crops as squares in their class colour."""
        width = grid.crop * LABEL_WIDTH
        layer = self._squares(LABELS, centres_n_2[-MOST_BOXES:], [grid.crop - width], [width], placement, None)
        if layer is not None:
            border = transform_color(list(colours[-MOST_BOXES:]))
            layer.border_color = border
            layer.face_color = border * np.array([1, 1, 1, LABEL_FILL], np.float32)

    def draw_flags(self, flags: Floats, grid: Grid, placement: Placement) -> None:
        """Draw the flagged crops (1, others 0) in a translucent colour."""
        layer = self._there(CHANGED, placement.of_crops(grid))
        if layer is None:
            layer = Image(flags, name=CHANGED, blending="translucent", interpolation2d="nearest")
            layer.contrast_limits = (0.0, 1.0)
            layer.colormap = Colormap([[0, 0, 0, 0], [1, 0.2, 0.9, 0.6]], name="flags", interpolation="zero")
            self._add(layer, placement.of_crops(grid))
        if not _are_same(layer.data, flags):
            layer.data = flags

    def draw_frames(self, part: str, centres_n_2: NDArray[np.float64], grid: Grid, placement: Placement) -> None:
        """Draw squares in the colour of their part, one of `FRAMES`."""
        width = grid.crop * QUERY_WIDTH
        layer = self._squares(part, centres_n_2[:MOST_BOXES], [grid.crop - width], [width], placement, None)
        if layer is not None:
            layer.border_color = FRAMES[part]
            layer.face_color = "transparent"

    def _squares(
        self,
        part: str,
        points_n_2: NDArray[np.float64],
        sizes: list[float],
        widths: list[float],
        placement: Placement,
        words: dict[str, NDArray[np.str_]] | None,
    ) -> Any:
        """Return the layer of squares around these points; without points hide it and return None.

        Sizes and border widths repeat; a square without a border is a plate.
        """
        if not len(points_n_2):
            self.hide(part)
            return None
        size_n, width_n = (np.resize(each, len(points_n_2)) for each in (sizes, widths))
        layer = self._there(part, placement.of_pixels())
        if layer is None:
            text = {"string": "{word}", "color": "white", "size": 10, "anchor": "center"} if words else None
            looks: dict[str, Any] = {
                "symbol": "square",
                "antialiasing": 0,
                "opacity": 1.0,
                "border_color": QUERY_COLOUR,
            }
            looks |= {"size": size_n, "border_width": width_n, "border_width_is_relative": False}
            layer = Points(points_n_2, name=part, features=words, text=text, **looks)
            layer.face_color = _faces(width_n)
            self._add(layer, placement.of_pixels())
        if not np.array_equal(layer.data, points_n_2):
            is_longer = len(points_n_2) > len(layer.data)
            with layer.events.blocker_all():  # the viewer updates once, not after every setting
                layer.data = points_n_2
                if is_longer or not np.allclose(layer.size, size_n):
                    layer.size, layer.border_width, layer.face_color = size_n, width_n, _faces(width_n)
            layer.refresh()
        return layer

    def prewarm(self, part: str, grid: Grid, placement: Placement) -> None:
        """Make an invisible layer, if there is none, because to make and first draw one takes long (see `rest`)."""
        if self._find(part) is not None:
            return
        if part == HEATMAP:
            self.draw_heatmap(np.zeros((grid.rows, grid.cols), np.float32), grid, placement, "value v", None)
        elif part == QUERY:
            self.draw_query(centres(grid, [0]), grid, placement)
        else:
            self.draw_labels(centres(grid, [0]), [QUERY_COLOUR], grid, placement)
        layer = self._find(part)
        layer.metadata["unseen"], layer.opacity = layer.opacity, 0.0

    def rest(self) -> None:
        """Hide the layers of `prewarm` after napari has drawn them."""
        for part in self.from_below:
            if (layer := self._find(part)) is not None and "unseen" in layer.metadata:
                self.hide(part)

    def hide(self, *parts: str) -> None:
        """Hide these layers until they are drawn again; without names hide all layers of the plugin.

        They are not removed: removing a layer with text (ranks, a colour bar) can crash the canvas of napari 0.9.
        """
        for layer in self._viewer.layers:
            is_meant = layer.metadata.get(MARK) == self._owner and (not parts or layer.metadata["part"] in parts)
            if is_meant and (layer.metadata.pop(HELD_BACK, False) or layer.visible):
                layer.metadata["hidden"] = True
                layer.visible = False

    def _there(self, part: str, transform: dict[str, Any]) -> Any:
        """Return a layer that exists, moved to its place, and shown again if the plugin hid it."""
        layer = self._find(part)
        if layer is not None:
            self._put(layer, transform)
            if "unseen" in layer.metadata:
                layer.opacity = layer.metadata.pop("unseen")
            if layer.metadata.pop("hidden", False):
                layer.visible = True
        return layer

    def _put(self, layer: Layer, transform: dict[str, Any]) -> None:
        """Move a layer unless it is there already, because the viewer checks all layers after each setting."""
        place = [np.asarray(setting).tolist() for setting in transform.values()]
        if layer.metadata.get("place") != place:
            layer.metadata["place"] = place
            for name, setting in transform.items():
                setattr(layer, name, setting)

    def _find(self, name: str) -> Any:
        ours = (layer for layer in self._viewer.layers if layer.metadata.get(MARK) == self._owner)
        return next((layer for layer in ours if layer.metadata["part"] == name), None)

    def _add(self, layer: Layer, transform: dict[str, Any]) -> None:
        """Add a layer below those that belong above it; the user's selection stays on the frame."""
        layer.metadata = {MARK: self._owner, "part": layer.name}
        self._put(layer, transform)
        selected = self._viewer.layers.selection.active
        self._viewer.add_layer(layer)
        if selected is not None:
            self._viewer.layers.selection.active = selected


def centres(grid: Grid, indices: NDArray[np.intp] | Sequence[int]) -> NDArray[np.float64]:
    """Return the centres (n, 2) of crops, in the frame's pixels."""
    return origins(grid, indices).astype(np.float64) + (grid.crop - 1) / 2


def _faces(width_n: NDArray[np.float64]) -> list[str]:
    """Return the fill colours of squares: boxes are transparent, plates are opaque."""
    return ["transparent" if width else PLATE_COLOUR for width in width_n]


def _limits_of(heatmap: Floats) -> tuple[float, float]:
    """Return the smallest and the largest finite value."""
    low, high = float(np.fmin.reduce(heatmap, axis=None)), float(np.fmax.reduce(heatmap, axis=None))
    if not np.isfinite([low, high]).all():
        finite = heatmap[np.isfinite(heatmap)]
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    return low, high if high > low else low + 1e-6


def _are_same(one: Floats, other: Floats) -> bool:
    """Return whether two heatmaps are equal; a few values are compared first, because that is fast."""
    few = slice(None, None, LOOKED_AT_EACH)
    return np.array_equal(one[few], other[few], equal_nan=True) and np.array_equal(one, other, equal_nan=True)
