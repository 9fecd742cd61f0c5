"""A page of help: the loop in a few sentences, and the list of keys."""

from collections.abc import Mapping
from html import escape

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QLabel, QVBoxLayout, QWidget

from napari_costal.ui.parts import scrolled
from napari_costal.ui.tools import TOOLS

TOUR = "https://github.com/napari-costal/napari-costal/blob/main/docs/tour.md"
LOOP = (
    "<b>Frames</b>: open an image and choose the crop size, so that one crop shows one thing.",
    "<b>Label</b>: name the classes, then press <i>Label n crops</i>. Give each crop its class with a key or a button.",
    "After the last crop the models learn automatically and score all crops again: they compute the predicted class, "
    "the information of a label (I), and the time that labelling takes (C).",
    "The next query takes the crops with the largest <b>value v = I<sup>α</sup> / C<sup>β</sup></b>. The slider "
    "<i>informative - cheap</i> sets β. The heatmap shows v, I, C or the predicted class.",
    "Click a crop on the image to label it. Every answer is saved at once; you can undo any number of answers.",
    "<b>Dashboard</b> shows how good the model is; <b>Apply</b> classifies whole images and folders.",
)
WIDE_PX = 520


class HelpWindow(QDialog):
    """The help; the main window stays usable."""

    def __init__(self, parent: QWidget, tool_keys: Mapping[str, str]) -> None:
        super().__init__(parent, Qt.WindowType.Dialog)
        self.setWindowTitle("Help: label crops")
        self.label = QLabel(help_text(tool_keys))
        self.label.setWordWrap(True)
        self.label.setOpenExternalLinks(True)
        self.label.setContentsMargins(14, 10, 14, 10)
        self.label.setAlignment(Qt.AlignmentFlag.AlignTop)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(scrolled(self.label))
        self.resize(WIDE_PX, min(self.label.heightForWidth(WIDE_PX) + 30, 680))

    def open(self) -> None:
        """Show the page in front."""
        self.show()
        self.raise_()


def help_text(tool_keys: Mapping[str, str]) -> str:
    """Return the page as HTML; `tool_keys` are the keys that the user has chosen."""
    steps = "".join(f"<li style='margin-bottom: 4px;'>{each}</li>" for each in LOOP)
    keys = [("1, 2, …", "give the class that has this key")]
    keys += [(tool_keys.get(name, tool.key), f"{tool.word.lower()}: {tool.does}") for name, tool in TOOLS.items()]
    rows = "".join(
        f"<tr><td><b>{escape(key)}</b>&nbsp;&nbsp;&nbsp;</td><td>{escape(does)}</td></tr>" for key, does in keys
    )
    return (
        f"<h3>How it works</h3><ol>{steps}</ol><h3>Keys while a crop is shown</h3><table>{rows}</table>"
        f"<p>With a picture for each step: <a style='color: #4aa3df;' href='{TOUR}'>docs/tour.md</a></p>"
    )
