"""The channels of a frame as a list with ticks."""

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QListWidget, QListWidgetItem

from napari_costal.ui.tables import swatch

MOST_ROWS = 4
SWATCH_PX = 12
TIP = "The channels of the frame. Once crops are labelled, all frames of the project use the same channels."


class ChannelList(QListWidget):
    """Ticks in front of names; hidden while there is nothing to choose."""

    changed = Signal(list)
    """The rows that are ticked now."""

    def __init__(self) -> None:
        super().__init__()
        self.setToolTip(TIP)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.itemChanged.connect(lambda _: self.changed.emit(self.ticked()))
        self.hide()

    def fill(self, rows: Sequence[tuple[str, str]], ticked: Sequence[int]) -> None:
        """Show names with colours (``#rrggbb`` or nothing), without a signal."""
        self.blockSignals(True)
        self.clear()
        for at, (name, colour) in enumerate(rows):
            item = QListWidgetItem(name)
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if at in ticked else Qt.CheckState.Unchecked)
            if colour:
                item.setIcon(swatch(colour, SWATCH_PX))
            self.addItem(item)
        self.blockSignals(False)
        if rows:
            high = max(self.sizeHintForRow(0), SWATCH_PX)
            self.setFixedHeight(min(len(rows), MOST_ROWS) * high + 2 * self.frameWidth() + 2)
        self.setVisible(len(rows) > 1)

    def ticked(self) -> list[int]:
        """Return the rows that are ticked."""
        return [at for at in range(self.count()) if self.item(at).checkState() == Qt.CheckState.Checked]
