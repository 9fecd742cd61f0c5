"""One sitting in napari, played by key and mouse events: ``python played.py FOLDER`` in the environment of a checkout.

Widgets are known by their words, object names and the names of their classes, never by their modules. Clocks stand
still between the acts of the script, so that efforts, and the cost model that learns them, repeat bit by bit.
"""

import hashlib
import json
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

CROP, SIDE, ASKED = 16, 96, 8
TIMEOUT_S = 180
LOOK_S = 1.5
STEADY_S = 0.6
"""A job may begin when another ends: the window is idle when no progress was shown for this long."""


class Clock:
    """Both clocks of the labelling, which go on only when the script says so."""

    def __init__(self) -> None:
        self._ns = 10**12

    def perf_ns(self) -> int:
        """Return the monotonic time."""
        return self._ns

    def utc_ns(self) -> int:
        """Return the time of the day."""
        return 1_750_000_000 * 10**9 + self._ns

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._ns += int(seconds * 1e9)


def write_images(folder: Path) -> None:
    """Write a grey, an RGB and a three-channel image, with crops of three kinds."""
    rng = np.random.default_rng(5)
    ys, xs = np.indices((SIDE, SIDE))
    kind = (ys // CROP + 2 * (xs // CROP)) % 3
    is_core = (abs(ys % CROP - 8) < 4) & (abs(xs % CROP - 8) < 4)
    grey = rng.poisson(300 + xs + kind * np.where(is_core, 900, 40)).astype(np.uint16)
    planes = np.stack([grey, rng.poisson(200 + 600 * (kind == 1)), rng.poisson(250 + 500 * (kind == 2))])
    tifffile.imwrite(folder / "grey.tif", grey)
    rgb = np.moveaxis((planes // 16).clip(0, 255).astype(np.uint8), 0, -1)
    tifffile.imwrite(folder / "rgb.tif", rgb, photometric="rgb")
    tifffile.imwrite(folder / "three.ome.tif", planes.astype(np.uint16), ome=True, metadata={"axes": "CYX"})


class Player:
    """A person in front of the window: sees what is written there, presses keys, clicks."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        import napari
        from napari.settings import get_plugin_settings
        from qtpy.QtWidgets import QMainWindow

        self.folder, self.clock = folder, clock
        self.lines: list[str] = []
        chosen = get_plugin_settings("napari-costal")
        chosen.labelling.annotator, chosen.labelling.projects_folder = "tester", str(folder)
        chosen.engine.device = "cpu"
        self.viewer = napari.Viewer()
        began = time.perf_counter()
        _, self.dock = self.viewer.window.add_plugin_dock_widget("napari-costal", "Label crops")
        self.dock_s = time.perf_counter() - began
        self.window = self.dock.window()
        assert isinstance(self.window, QMainWindow)
        self.window.resize(1400, 900)
        self.window.activateWindow()
        self.crop_view = self._one_of_class("CropView")
        self.paints = 0
        self.crop_view.painted.connect(self._painted)

    def _painted(self, _at: object) -> None:
        self.paints += 1

    def _one_of_class(self, name: str) -> Any:
        from qtpy.QtWidgets import QWidget

        (widget,) = [each for each in self.dock.findChildren(QWidget) if type(each).__name__ == name]
        return widget

    # What is seen

    def wait(self, until: Callable[[], Any], what: str) -> None:
        """Let the window work until something is so."""
        from qtpy.QtTest import QTest

        ends = time.monotonic() + TIMEOUT_S
        while not until():
            if time.monotonic() > ends:
                self.see(f"gave up waiting for {what}")
                raise SystemExit(f"Waited {TIMEOUT_S} s for {what}.\n" + "\n".join(self.lines))
            QTest.qWait(20)

    def rest(self) -> None:
        """Wait until nothing has been going on for a while."""
        from qtpy.QtWidgets import QProgressBar

        bars = self.dock.findChildren(QProgressBar)
        since = time.monotonic()

        def is_idle() -> bool:
            nonlocal since
            if any(bar.isVisible() for bar in bars):
                since = time.monotonic()
            return time.monotonic() - since > STEADY_S

        self.wait(is_idle, "the end of a job")

    def see(self, act: str) -> None:
        """Note what the dock says and what the canvas shows after an act."""
        from qtpy.QtWidgets import QLabel, QPushButton, QTableWidget

        self.lines.append(f"== {act}")
        for label in self.dock.findChildren(QLabel):
            if label.isVisible() and label.text() and not label.text().endswith(" s"):
                self.lines.append(f"label {label.text()}")
        for button in self.dock.findChildren(QPushButton):
            if button.isVisible():
                self.lines.append(f"button {button.text()} {'on' if button.isEnabled() else 'off'}")
        for table in self.dock.findChildren(QTableWidget):
            for row in range(table.rowCount()):
                items = (table.item(row, column) for column in range(table.columnCount()))
                self.lines.append(f"row {[item.text() if item is not None else None for item in items]}")
        for layer in self.viewer.layers:
            self.lines.append(f"layer {layer.name} {type(layer).__name__} {layer.visible} {_hash(layer.data)}")

    # What is done

    def press(self, key: Any) -> None:
        """Press a key in the main window."""
        from qtpy.QtTest import QTest

        QTest.keyClick(self.window, key)

    def click(self, text: str) -> None:
        """Click the button whose words begin so."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest
        from qtpy.QtWidgets import QPushButton

        buttons = [each for each in self.dock.findChildren(QPushButton) if each.text().startswith(text)]
        (button,) = [each for each in buttons if each.isVisible()] or buttons
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)

    def fill(self, label: str, number: int) -> None:
        """Type a number beside a label of the form."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest
        from qtpy.QtWidgets import QAbstractSpinBox, QLabel

        (name,) = [each for each in self.dock.findChildren(QLabel) if each.text() == label]
        box = name.parentWidget().findChildren(QAbstractSpinBox)
        beside = next(each for each in box if abs(each.y() + each.height() / 2 - name.y() - name.height() / 2) < 12)
        beside.selectAll()
        QTest.keyClicks(beside, str(number))
        QTest.keyClick(beside, Qt.Key.Key_Return)
        self.rest()
        self.see(f"{label} {number}")

    def name_class(self, row: int, name: str) -> None:
        """Name a class in the table."""
        from qtpy.QtWidgets import QTableWidget

        tables = self.dock.findChildren(QTableWidget)
        (table,) = [each for each in tables if each.rowCount() == 3 and each.columnCount() == 3]
        table.item(row, 1).setText(name)
        self.rest()

    def choose_layer(self, name: str) -> None:
        """Choose a layer as the frame."""
        from qtpy.QtWidgets import QComboBox

        (box,) = [each for each in self.dock.findChildren(QComboBox) if each.findText(name) >= 0]
        box.setCurrentIndex(box.findText(name))
        self.rest()
        self.see(f"layer {name}")

    def click_crop(self, y: int, x: int) -> None:
        """Click the middle of a crop on the canvas."""
        from qtpy.QtCore import QPoint, Qt
        from qtpy.QtTest import QTest

        native = self.viewer.window._qt_viewer.canvas.native
        camera = self.viewer.camera
        places = ((x + CROP / 2, native.width(), camera.center[-1]), (y + CROP / 2, native.height(), camera.center[-2]))
        at = QPoint(*(round(span / 2 + (place - centre) * camera.zoom) for place, span, centre in places))
        self.viewer.layers.selection.active = None
        QTest.mouseClick(native, Qt.MouseButton.LeftButton, pos=at)

    def and_next(self, act: Callable[[], None], name: str) -> None:
        """Look at the crop, do something, and wait for the next one or for the end of the query."""
        paints, was_asked = self.paints, self.crop_view.isVisible()
        self.clock.advance(LOOK_S)
        act()
        self.wait(
            lambda: self.paints > paints or (was_asked and not self.crop_view.isVisible()), f"what follows {name}"
        )
        self.rest()  # boxes are drawn over the frame a moment after the crop is painted
        self.see(name)

    def answer(self, key: str) -> None:
        """Press a key that brings the next crop."""
        self.and_next(lambda: self.press(key), f"key {key}")


def _hash(data: Any) -> str:
    arrays = data if isinstance(data, list) else [data]
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(np.asarray(each)).tobytes() for each in arrays))
    return digest.hexdigest()[:12]


def _choose_files(player: Player) -> None:
    """Answer the dialogs for files without showing them."""
    from qtpy.QtWidgets import QFileDialog

    dialogs: Any = QFileDialog
    dialogs.getSaveFileName = staticmethod(lambda *_: (str(player.folder / "project"), ""))
    for name in ("grey.tif", "rgb.tif", "three.ome.tif"):
        dialogs.getOpenFileName = staticmethod(lambda *_, name=name: (str(player.folder / name), ""))
        count = len(player.viewer.layers)
        player.click("Open image")
        player.wait(lambda count=count: len(player.viewer.layers) > count, f"{name} to open")
        player.rest()
        player.see(f"opened {name}")


def first_query(player: Player) -> None:
    """Answer a query with every tool of the bench."""
    player.and_next(lambda: player.click(f"Label {ASKED}"), "the first query")
    for key in ("1", "2", "3", "s", "x", "1", "z", "y", "b", "2"):
        player.answer(key)
    with closing(sqlite3.connect(player.folder / "project" / "labels.sqlite")) as store:
        y, x = store.execute("SELECT y, x FROM current_label JOIN crop ON crop.id = crop_id ORDER BY 1, 2").fetchone()
    player.and_next(lambda: player.click_crop(y, x), "a click on a labelled crop")
    player.answer("3")
    for number in range(2 * ASKED):
        if not player.crop_view.isVisible():
            break
        player.answer("123"[number % 3])
    player.rest()
    player.see("after the first query")


def second_query(player: Player) -> None:
    """Look why a crop is asked, pause, look at the keys, answer three crops, stop."""
    from qtpy.QtCore import Qt

    player.and_next(lambda: player.click(f"Label {ASKED}"), "the second query")
    for key in "v?ppz":
        player.clock.advance(LOOK_S)
        player.press(key)
        player.rest()
        player.see(f"key {key}")
    for key in "213":
        player.answer(key)
    player.and_next(lambda: player.press(Qt.Key.Key_Escape), "key Escape")
    player.rest()
    player.see("after the second query")


def play(player: Player) -> None:
    """Play the whole sitting."""
    _choose_files(player)
    player.click("New")
    player.wait(lambda: (player.folder / "project" / "project.toml").exists(), "the project")
    player.rest()
    player.click("Add class")
    player.rest()
    for row, name in enumerate(("plain", "dotted", "bright")):
        player.name_class(row, name)
    player.see("three classes")
    player.fill("crop size (px)", CROP)
    player.fill("crops to label (n)", ASKED)
    names = [layer.name for layer in player.viewer.layers if layer.name.startswith(("grey", "rgb", "three"))]
    for name in names[:3]:
        player.choose_layer(name)
    first_query(player)
    for button in ("Train", "Score"):
        player.click(button)
        player.rest()
        player.see(button)
    second_query(player)
    player.choose_layer(names[0])


def main(folder: Path) -> None:
    """Play in a folder; leave the project, what was seen (``seen.txt``) and figures (``figures.json``) there."""
    write_images(folder)
    clock = Clock()
    time.perf_counter_ns, time.time_ns = clock.perf_ns, clock.utc_ns
    player = Player(folder, clock)
    try:
        play(player)
    finally:
        (folder / "seen.txt").write_text("\n".join(player.lines) + "\n", "utf-8")
    player.viewer.close()
    import napari_costal

    peak = 0.0
    with suppress(ImportError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    figures = {"code": napari_costal.__file__, "peak_mb": round(peak, 1), "dock_s": round(player.dock_s, 2)}
    (folder / "figures.json").write_text(json.dumps(figures), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
