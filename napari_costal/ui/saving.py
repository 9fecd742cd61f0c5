"""Ask where a file is to be written: its suffix is shown, and added where the user leaves it out."""

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget


def saving_dialog(parent: QWidget, title: str, suggested: Path) -> QFileDialog:
    """Return a dialogue that offers a name and its suffix; Qt asks whether to replace a file that is there."""
    suffix = suggested.suffix
    dialog = QFileDialog(parent, title, str(suggested.parent), f"*{suffix}")
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setDefaultSuffix(suffix.removeprefix("."))
    dialog.selectFile(suggested.name)
    return dialog


def ask_file(parent: QWidget, title: str, suggested: Path) -> Path | None:
    """Return the file that the user names, None when the dialogue is left."""
    dialog = saving_dialog(parent, title, suggested)
    return Path(dialog.selectedFiles()[0]) if dialog.exec() else None
