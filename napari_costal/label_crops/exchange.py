"""Export and import of labels from the dock, behind one button, as on the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QFileDialog, QMenu, QMessageBox, QPushButton, QWidget

from costal.labels.exchange.exports import Exported, ExportKind
from costal.numerals import counted
from costal.types import finish
from costal.workbench.exchange import ImportedLabels, import_labels
from napari_costal.engine.calls import Caller
from napari_costal.label_crops.open_project import OpenProject
from napari_costal.label_crops.view import Words
from napari_costal.ui.saving import ask_file

FORMS: dict[ExportKind, tuple[str, str]] = {
    "csv": ("CSV table (.csv) …", "labels.csv"),
    "parquet": ("Parquet table (.parquet) …", "labels.parquet"),
    "coco": ("COCO (.json) …", "coco.json"),
    "geojson": ("GeoJSON for QuPath (.geojson) …", "labels.geojson"),
    "images": ("Folder of TIFF crops …", "crops"),
}


class Exchange(QObject):
    """The menu of a button; the engine process writes files, the store's thread imports labels."""

    def __init__(
        self,
        parent: QWidget,
        button: QPushButton,
        session: OpenProject,
        words: Words,
        caller: Caller,
        start_project: Callable[[Callable[[], Any]], None],
    ) -> None:
        super().__init__(parent)
        self._parent, self._session, self._words, self._caller = parent, session, words, caller
        self._start_project = start_project
        self.menu = menu = QMenu(parent)
        for kind, (text, name) in FORMS.items():
            self._add(f"Export: {text}", lambda kind=kind, name=name: self._ask_export(kind, name))
        menu.addSeparator()
        self._add("Import: labels from CSV …", self._ask_labels)
        self._add("Import: project from JSON …", self._ask_project)
        button.setMenu(menu)

    def _add(self, text: str, act: Any) -> None:
        action: Any = self.menu.addAction(text)
        action.triggered.connect(lambda _=False: act())

    def _ask_export(self, kind: ExportKind, name: str) -> None:
        project = self._session.project
        if project is None:
            self._words.complain("There is no project to export. Open one, or label some crops first.")
            return
        path = ask_file(self._parent, FORMS[kind][0], Path.home() / f"{project.name} {name}")
        if path is not None:
            self.export(kind, path)

    def export(self, kind: ExportKind, target: Path) -> None:
        """Write the open project's labels to a file or folder; the file dialog has confirmed a replacement."""
        project = self._session.project
        if project is None:
            return

        def exported(outcome: Exported) -> None:
            counts = ", ".join(f"{name}: {count}" for name, count in outcome.counts.items()) or "no labels"
            self._words.say(" ".join([f"Wrote {outcome.path} ({counts}).", *outcome.notes]))

        arguments = (project.folder, target, kind, 0.0, target.is_file())
        self._caller.call(
            "costal.workbench.exchange:export_project", arguments, exported, self._words.complain, "Exporting"
        )

    def _ask_labels(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self._parent, "Import labels", "", "Tables (*.csv)")
        if path:
            self._start_project(lambda: self.import_labels(Path(path)))

    def import_labels(self, table: Path, replace_labels: bool = False) -> None:
        """Import the labels of a CSV file into the open project, all or none.

        If rows contradict existing labels, the user is asked whether to change these.
        """
        project_session = self._session.project_session
        if project_session is None or not self._session.may_write():
            return

        def imported(outcome: ImportedLabels) -> None:
            self._session.reload()
            notes = (f"{name}: {note}" for name, note in outcome.notes)
            self._words.say(" ".join([said_of(outcome, table.name), *notes]))
            if outcome.contradicting and not outcome.replaced and self._may_replace(outcome.contradicting):
                self.import_labels(table, replace_labels=True)

        self._words.say(f"Reading {table.name} …")
        self._session.store.run(
            lambda: finish(import_labels(project_session, table, replace_labels=replace_labels)),
            then=imported,
            failed=self._words.complain,
        )

    def _may_replace(self, count: int) -> bool:
        """Ask whether to change existing labels to those of the rows that contradict them."""
        rows = f"{counted(count, 'row')} {'contradicts' if count == 1 else 'contradict'}"
        question = f"{rows} existing labels. Replace them with the labels of the table?"
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(self._parent, "Import labels", question, buttons.Yes | buttons.No, buttons.No)
        return bool(answer == buttons.Yes)

    def _ask_project(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self._parent, "Import a project", "", "Projects (*.json)")
        folder, _ = QFileDialog.getSaveFileName(self._parent, "Name a new folder for the project") if path else ("", "")
        if folder:
            self.import_project(Path(path), Path(folder))

    def import_project(self, document: Path, folder: Path) -> None:
        """Make a project from a JSON file of an earlier version and open it."""
        open_it = self._session.open
        arguments = (document, folder)
        self._caller.call(
            "costal.labels.exchange.json_import:import_json",
            arguments,
            lambda _: open_it(folder),
            self._words.complain,
            "Importing",
        )


def said_of(outcome: ImportedLabels, name: str) -> str:
    """Return the outcome of an import as a sentence."""
    text = f"Imported {counted(outcome.added, 'label')} from {name}; {outcome.unchanged} already existed."
    if outcome.contradicting:
        state = "changed" if outcome.replaced else "not changed"
        text += f" {counted(outcome.contradicting, 'label')} had another class: {state}."
    return text
