"""A note on the crop that is on the bench, written while its clock stands still."""

from qtpy.QtWidgets import QInputDialog, QWidget

from costal.labels.effort import PauseReason
from napari_costal.label_crops.sitting import Sitting


def ask_note(parent: QWidget, sitting: Sitting) -> None:
    """Ask for a note on the crop on the bench and keep it with its answer; nothing where there is no crop."""
    if sitting.current is None or sitting.current.has_ended:
        return
    sitting.presenter.pause(PauseReason.MODAL)
    try:
        text, is_meant = QInputDialog.getText(parent, "Note", "Note on this crop:", text=sitting.current.note)
    finally:
        sitting.presenter.resume(PauseReason.MODAL)
        parent.activateWindow()  # the next key answers, whoever manages windows
    if is_meant:
        sitting.note(text)
