"""The layers of the frame: chosen in the form, watched on the canvas, used once they stop changing."""

from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
from napari.layers import Image
from napari.viewer import Viewer
from qtpy.QtCore import QObject, QTimer, Signal

from costal.errors import CostalError
from costal.frames.grid import tile
from costal.scoring.channels import title
from costal.types import Grid
from napari_costal.canvas.channel_layers import mates_of, part_of, taken_with
from napari_costal.canvas.layer_frames import SLICE_SHOWN, LayerView, PlaneChoice, show_slice, view_of
from napari_costal.canvas.overlays import images_in
from napari_costal.label_crops.open_project import OpenProject
from napari_costal.label_crops.setup_page import SetupPage

DRAG_PX = 4
SETTLING_MS = 200


class FrameChoice(QObject):
    """The layers of the frame; `chosen` carries the view to label, None if it cannot be labelled."""

    unsettled = Signal()
    """The frame changes; the new one is used once it stops changing."""
    chosen = Signal(object)
    rolled_away = Signal(str)
    """The canvas shows another plane than the labelled one; the text names both."""
    added = Signal(object)
    """An image that may be a frame was added to the viewer."""
    recoloured = Signal()
    clicked = Signal(object)
    """The position of a click on the frame, in its pixels."""
    chosen_at = Signal(object)
    """The position of a click with Shift."""
    stretched = Signal(object, object)
    """Two corners of a rectangle that is being drawn with Shift."""
    boxed = Signal(object, object)
    """Two corners of a rectangle that was drawn with Shift."""

    def __init__(
        self,
        viewer: Viewer,
        setup: SetupPage,
        session: OpenProject,
        complain: Callable[[str], None],
        is_labelling: Callable[[], bool],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._setup, self._session, self._complain = viewer, setup, session, complain
        self._is_labelling = is_labelling
        self._taken: LayerView | None = None
        self._watched: tuple[Image, ...] = ()
        self._ticked: list[Image] = []
        self.layers: list[Image] = []
        # While sliders move or a microscope writes, the frame is taken only once they stop.
        self.settling = QTimer(self, singleShot=True, interval=SETTLING_MS)
        self.settling.timeout.connect(self.take)
        setup.frame_changed.connect(self.take)
        setup.channels.changed.connect(self._tick_channels)
        self._connect_viewer("connect")
        viewer.mouse_drag_callbacks.append(self._pressed)

    def _connect_viewer(self, act: str) -> None:
        layers, dims = self._viewer.layers.events, self._viewer.dims.events
        for event in (layers.removed, layers.reordered, layers.renamed):
            getattr(event, act)(self.layers_changed)
        if act == "connect":
            layers.inserted.connect(self._inserted, position="last")  # after napari's canvas has handled it
        else:
            layers.inserted.disconnect(self._inserted)
        getattr(dims.current_step, act)(self._slice_changed)
        getattr(dims.ndisplay, act)(self._turned)

    def stop(self) -> None:
        """Stop watching."""
        self._connect_viewer("disconnect")
        self.settling.stop()
        self._watch(())
        if self._pressed in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._pressed)

    def show_opened(self, layer: Image, planes: PlaneChoice) -> None:
        """Use a frame that was opened."""
        self._list_layers()
        is_other_choice = self._setup.planes.value != planes
        with self._setup.planes.changed.blocked():
            self._setup.planes.value = planes
        if self._setup.layer.value is not layer:
            self._setup.layer.value = layer
        elif is_other_choice or self.is_outdated:
            self._settle()

    def layers_changed(self, _event: Any = None) -> None:
        """Follow layers that are added, removed, moved or renamed."""
        self._list_layers()
        layers = images_in(self._viewer)
        if self._setup.layer.value is None and layers:
            self._setup.layer.value = layers[-1]
        elif self.is_outdated:
            self._settle()
        else:
            self._list_channels()

    def _inserted(self, event: Any) -> None:
        self.layers_changed()
        if event.value in images_in(self._viewer):
            self.added.emit(event.value)

    def _list_layers(self) -> None:
        """List the layers by their current names; the chosen layer stays chosen."""
        field, chosen = self._setup.layer, self._setup.layer.value
        with field.changed.blocked():
            field.reset_choices()
            if chosen in field.choices:
                field.value = chosen
        if field.value is not chosen:
            field.changed.emit(field.value)

    def _turned(self, _event: Any = None) -> None:
        if self._has_slices():
            self._settle()

    def _has_slices(self) -> bool:
        layer = self._setup.layer.value
        return layer is not None and layer.ndim > 2 and self._setup.planes.value == SLICE_SHOWN

    def _slice_changed(self, _event: Any = None) -> None:
        """Use the plane that the sliders show, unless a crop is being labelled: see `go_back`."""
        if not self._has_slices():
            return
        if self._taken is None or self.settling.isActive() or not self.layers:
            self._settle()
            return
        try:
            now = view_of(self.layers, self._viewer.dims, SLICE_SHOWN)
        except CostalError:  # rotated axes, or 3D
            self._settle()
            return
        if now.steps == self._taken.steps:
            return  # the sliders show the labelled plane again
        if self._is_labelling():
            self.rolled_away.emit(
                f"The canvas shows {now.description}, but the crop is from {self._taken.description}."
            )
        else:
            self._settle()

    def go_back(self) -> None:
        """Show the labelled plane again if the user has moved the sliders meanwhile."""
        taken, layer = self._taken, self._setup.layer.value
        if taken is not None and layer is not None and self._has_slices() and not self.settling.isActive():
            show_slice(self._viewer.dims, layer, taken.steps)

    def _settle(self, _event: Any = None) -> None:
        """Take the frame again once it stops changing; the crop being labelled is outdated."""
        self.settling.start()  # from now on `go_back` does nothing
        self.unsettled.emit()

    def take_if_unsettled(self) -> None:
        """Take the frame now if it is still changing: the user acts on what the screen shows."""
        if self.settling.isActive():
            self.take()

    def take(self) -> None:
        """Take the frame as it is now."""
        self.settling.stop()
        self._taken = self.view()
        self.chosen.emit(self._taken)

    def _watch(self, layers: Sequence[Image]) -> None:
        """Watch the frame's layers for other pixels or another place."""
        before, self._watched = self._watched, tuple(layers)
        for each, act in (*((each, "disconnect") for each in before), *((each, "connect") for each in layers)):
            for name in ("data", "scale", "translate", "rotate", "shear", "affine"):
                getattr(getattr(each.events, name), act)(self._settle)
            for name in ("contrast_limits", "gamma", "colormap", "visible", "opacity"):
                getattr(getattr(each.events, name), act)(self._recoloured)

    def _recoloured(self, _event: Any = None) -> None:
        self.recoloured.emit()

    def _pressed(self, _viewer: Any, event: Any) -> Generator[None, None, None]:
        """Report a click on the frame, or a rectangle drawn with Shift; a drag without Shift moves the image."""
        if event.type != "mouse_press" or event.button != 1:
            return
        start = np.asarray(event.pos)
        if "Shift" in event.modifiers:
            yield from self._boxed(event, start)
            return
        yield
        while event.type == "mouse_move":
            yield
        if self._is_free_to_click() and np.abs(np.asarray(event.pos) - start).max() <= DRAG_PX:
            self.clicked.emit(self._setup.layer.value.world_to_data(event.position)[-2:])

    def _boxed(self, event: Any, start: Any) -> Generator[None, None, None]:
        """Report a click with Shift, or the rectangle drawn with Shift."""
        if not self._is_free_to_click():
            return
        place = self._setup.layer.value.world_to_data
        corner = place(event.position)[-2:]
        yield
        while event.type == "mouse_move":
            self.stretched.emit(corner, place(event.position)[-2:])
            yield
        if np.abs(np.asarray(event.pos) - start).max() <= DRAG_PX:
            self.chosen_at.emit(corner)
        else:
            self.boxed.emit(corner, place(event.position)[-2:])

    def _is_free_to_click(self) -> bool:
        """Return whether a click is meant for a crop, not for another layer's tool."""
        active, frame = self._viewer.layers.selection.active, self._setup.layer.value
        is_tool_free = active is None or str(active.mode) == "pan_zoom"
        return frame is not None and is_tool_free and self._viewer.dims.ndisplay == 2

    # The channels

    @property
    def is_outdated(self) -> bool:
        """Whether other layers would form the frame now."""
        return self._layers_taken() != self.layers

    def _mates(self) -> list[Image]:
        """Return the layers that can form a frame with the chosen one."""
        layer = self._setup.layer.value
        return mates_of(layer, images_in(self._viewer)) if layer is not None else []

    def _layers_taken(self) -> list[Image]:
        """Return the layers that form the frame."""
        layer = self._setup.layer.value
        if layer is None:
            return []
        return taken_with(layer, self._mates(), self._ticked, self._session.project, self._session.labelled)

    def _list_channels(self) -> None:
        mates = self._mates()
        rows = [
            (title(part.channel), part.channel.colour) if (part := part_of(each)) else (each.name, "") for each in mates
        ]
        self._setup.channels.fill(rows, [at for at, each in enumerate(mates) if each in self.layers])

    def _tick_channels(self, rows: list[int]) -> None:
        """Form the frame from these channels; those of an opened image become the project's channels."""
        mates = self._mates()
        ticked = [mates[row] for row in rows]
        parts = [part for each in ticked if (part := part_of(each)) is not None]
        if self._session.project is not None and (len(parts) == len(ticked)):
            channels = tuple(part.channel for part in parts)
            if not self._session.choose_channels(channels):
                self._list_channels()
                return
        self._ticked = ticked
        if ticked and self._setup.layer.value not in ticked:
            self._setup.layer.value = ticked[0]  # which takes the frame again
        else:
            self._settle()

    def view(self) -> LayerView | None:
        """Return the view of the frame's layers to label, None if it cannot be labelled."""
        self.layers = self._layers_taken()
        self._watch(self.layers)
        self._list_channels()
        if not self.layers:
            return None
        try:
            return view_of(self.layers, self._viewer.dims, self._setup.planes.value)
        except CostalError as error:
            self._complain(str(error))
            return None

    def preview(self) -> tuple[Grid, float | None] | None:
        """Return the grid of the form's tiling and the pixel size; None if a project is open."""
        view = self.view()
        if view is None or self._session.project is not None:
            return None
        crop = int(self._setup.crop.value)
        try:
            grid = tile(view.shape, crop, min(int(self._setup.stride.value), crop), self._setup.edge.value)
        except CostalError as error:
            self._complain(str(error))
            return None
        return grid, view.pixel_um
