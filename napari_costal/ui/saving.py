"""Asks for the path of a new file; the suffix is shown, and added if the user omits it."""

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget


def saving_dialog(parent: QWidget, title: str, suggested: Path) -> QFileDialog:
    """Return a dialogue that suggests a name with its suffix; Qt asks before it replaces a file."""
    suffix = suggested.suffix
    dialog = QFileDialog(parent, title, str(suggested.parent), f"*{suffix}")
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setDefaultSuffix(suffix.removeprefix("."))
    dialog.selectFile(suggested.name)
    return dialog


def ask_file(parent: QWidget, title: str, suggested: Path) -> Path | None:
    """Return the file that the user chooses, None if the dialogue is cancelled."""
    dialog = saving_dialog(parent, title, suggested)
    return Path(dialog.selectedFiles()[0]) if dialog.exec() else None
