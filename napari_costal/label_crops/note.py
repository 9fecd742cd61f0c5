"""A note on the crop being labelled; the timer is paused while it is written."""

from qtpy.QtWidgets import QInputDialog, QWidget

from costal.labels.effort import PauseReason
from napari_costal.label_crops.labelling_session import LabellingSession


def ask_note(parent: QWidget, labelling: LabellingSession) -> None:
    """Ask for a note on the crop being labelled and store it with the answer; do nothing without a crop."""
    if labelling.current is None or labelling.current.has_ended:
        return
    labelling.presenter.pause(PauseReason.MODAL)
    try:
        text, is_meant = QInputDialog.getText(parent, "Note", "Note on this crop:", text=labelling.current.note)
    finally:
        labelling.presenter.resume(PauseReason.MODAL)
        parent.activateWindow()  # so that the next key answers, under any window manager
    if is_meant:
        labelling.note(text)
