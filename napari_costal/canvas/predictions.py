"""The layers that show predicted classes: hidden during a query, and watched, because each look is recorded."""

from collections.abc import Callable
from typing import Any

from napari.components import ViewerModel
from napari.layers import Layer

from napari_costal.canvas.overlays import HELD_BACK, REVEALS


class Predictions:
    """The plugin's layers of predicted classes; `changed` is called when one may have become visible."""

    def __init__(self, viewer: ViewerModel, changed: Callable[[], None]) -> None:
        self._layers, self._changed = viewer.layers, changed
        self._layers.events.inserted.connect(self._inserted)
        self._layers.events.removed.connect(self._removed)
        self._layers.selection.events.active.connect(self._seen)
        for layer in self._layers:
            layer.events.visible.connect(self._toggled)

    @property
    def are_shown(self) -> bool:
        """Whether a predicted class is visible now, on the canvas or in the status bar."""
        active = self._layers.selection.active
        return any(layer.visible or layer is active for layer in self._layers if layer.metadata.get(REVEALS))

    def hold_back(self) -> None:
        """Hide all layers that show predicted classes."""
        for layer in self._layers:
            if layer.metadata.get(REVEALS):
                if layer is self._layers.selection.active:
                    self._layers.selection.active = None  # the status bar shows its value, visible or not
                if layer.visible:
                    layer.visible = False
                    layer.metadata[HELD_BACK] = True

    def give_back(self) -> None:
        """Show the hidden layers again, unless the user or the plugin has switched them since."""
        for layer in self._layers:
            if layer.metadata.pop(HELD_BACK, False):
                layer.visible = True

    def stop(self) -> None:
        """Stop watching."""
        self._layers.events.inserted.disconnect(self._inserted)
        self._layers.events.removed.disconnect(self._removed)
        self._layers.selection.events.active.disconnect(self._seen)
        for layer in self._layers:
            layer.events.visible.disconnect(self._toggled)

    def _inserted(self, event: Any) -> None:
        event.value.events.visible.connect(self._toggled)
        self._changed()

    def _removed(self, event: Any) -> None:
        layer: Layer = event.value
        layer.events.visible.disconnect(self._toggled)

    def _toggled(self, event: Any) -> None:
        layer: Layer = event.source
        layer.metadata.pop(HELD_BACK, None)
        self._changed()

    def _seen(self, _event: Any = None) -> None:
        self._changed()
