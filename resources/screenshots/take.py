"""Take the README's screenshots: real images, the real window, real mouse and key events of an X server.

Run ``xvfb-run -a -s "-screen 0 1500x1000x24" python resources/screenshots/take.py [NAME ...]`` with ``$COSTAL_DATA``
set and ``xdotool`` installed. Each image is opened, tiled, labelled, learned from and scored; that its labels are in
the store, with usable efforts, is checked before its picture is taken. Without names all pictures are taken.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import napari
import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray
from PIL import ImageGrab
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QApplication, QWidget
from skimage.data import immunohistochemistry

from costal.frames.grid import crops
from costal.frames.microscope import acquire, number_of, truth_of
from costal.frames.read import read
from costal.frames.simulate import CLASS_NAMES, SimulatedField, simulate_field
from costal.labels.classes import new_class, rename_class
from costal.labels.effort import derive, replay
from costal.labels.project import Project
from costal.labels.store import Store
from costal.paper.plan_file import template
from costal.types import finish
from napari_costal.apply.widget import ApplyClassifier
from napari_costal.canvas.opening import contrast_limits
from napari_costal.dashboard.widget import Dashboard
from napari_costal.label_crops.widget import LabelCrops
from napari_costal.mosaic.widget import MnistMosaic
from napari_costal.ui.preferences import Preferences

HERE = Path(__file__).parent
PATIENCE_S = 300
LAPTOP = 1366, 768
CROPS = {"sted_actin": 32, "fluorescence": 64}


def main(names: list[str]) -> None:
    """Take the pictures of these names, or all."""
    data = Path(os.environ["COSTAL_DATA"]) / "microscopy"
    images = {path.stem: path for path in sorted(data.glob("*/*.tif*"))}
    pictures: dict[str, Callable[[Path], None]] = {"label-crops": simulated, "mosaic": mosaic, "playback": playback}
    pictures["large-image"] = large
    pictures["watched-folder"] = pictures["dashboard"] = pictures["apply"] = day
    pictures["rgb"], pictures["channels"] = rgb, channels
    pictures["tour"], pictures["accuracy"], pictures["replay"] = tour, accuracy, replayed
    pictures |= {name: lambda folder, path=path: real(path, folder) for name, path in images.items()}
    for name in dict.fromkeys(names or pictures):
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            pictures[name](Path(folder))
            print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)


def real(path: Path, folder: Path) -> None:
    """Label one query of a real image by keys, bright crops as class 2, and picture what was learned."""
    viewer, dock = opened(folder)
    frame = read(path)
    dock.opener.add(frame, contrast_limits(frame))
    dock.setup.crop.value = CROPS[path.parent.name]
    pump(1)
    grab(viewer, None)
    asked = label_query(viewer, dock, lambda crop: "2" if crop.mean() > typical(dock) else "1")
    check(dock, asked)
    grab(viewer, path.stem)
    viewer.close()


def typical(dock: LabelCrops) -> float:
    """Return the median of the crops' mean intensities, so that both classes occur."""
    batches = crops(dock.frame.loaded.plane_C_Y_X, dock.frame.grid)
    return float(np.median([crop.mean() for batch in batches for crop in batch]))


def simulated(folder: Path) -> None:
    """Label three queries of a simulated field with four classes; picture the bench and the result."""
    field = simulate_field((1024, 1024), 64, seed=0)
    viewer, dock = opened(folder)
    viewer.open_sample("napari-costal", "sted_field")
    dock.start_project(lambda: None)
    wait(lambda: dock.session.project is not None)
    dock.setup.show_tab(dock.setup.label_tab)
    pump(1)  # the form has settled: a click finds its button
    for count in range(3, len(CLASS_NAMES) + 1):
        click(dock.setup.classes.add_button)
        wait(lambda count=count: dock.setup.classes.table.rowCount() == count)
    for row, name in enumerate(CLASS_NAMES):
        dock.setup.classes.table.item(row, 1).setText(name)
    asked = 0
    for query in range(3):
        picture = "bench" if query == 2 else None
        asked += label_query(viewer, dock, lambda _: str(1 + field.classes_N[current(dock).index]), picture)
    check(dock, asked)
    grab(viewer, "label-crops")
    viewer.close()


def tour(folder: Path) -> None:
    """Take one picture for each step of docs/tour.md, in the window of a laptop, by its buttons and keys."""
    field = simulate_field((1024, 1024), 64, seed=0)
    viewer, dock = opened(folder, LAPTOP)
    grab(viewer, "tour-start")
    click(dock.setup.start.sample_button)
    wait(lambda: dock.setup.layer.value is not None)
    dock.setup.show_tab(dock.setup.frames_tab)
    grab(viewer, "tour-frames")
    dock.setup.show_tab(dock.setup.start)
    pump(0.3)
    click(dock.setup.start.names_button)
    wait(lambda: dock.frame.loaded is not None)
    pump(1)
    for count in range(3, len(CLASS_NAMES) + 1):
        click(dock.setup.classes.add_button)
        wait(lambda count=count: dock.setup.classes.table.rowCount() == count)
    for row, name in enumerate(CLASS_NAMES):
        dock.setup.classes.table.item(row, 1).setText(name)
    grab(viewer, "tour-classes")
    asked = sum(
        label_query(viewer, dock, lambda _: str(1 + field.classes_N[current(dock).index]), picture)
        for picture in (None, "tour-crop")
    )
    check(dock, asked)
    grab(viewer, "tour-heatmap")
    click(dock.setup.help_button)
    grab(viewer, "tour-help")
    viewer.close()


def accuracy(folder: Path) -> None:
    """Label five queries of a simulated field, three crops wrongly; picture what says how good the model is."""
    viewer, dock, field = opened_field(folder)
    answered: list[int] = []

    def choose(_: Any) -> str:
        answered.append(current(dock).index)
        slip = len(answered) in (12, 22, 32)
        return str(1 + (int(field.classes_N[answered[-1]]) + slip) % len(CLASS_NAMES))

    asked = sum(label_query(viewer, dock, choose) for _ in range(5))
    check(dock, asked)
    wait(lambda: not dock.assessing.is_busy and "not yet" not in dock.setup.accuracy_label.text())
    dock.setup.show_tab(dock.setup.project_tab)
    grab(viewer, "accuracy-line")
    picture_accuracy(viewer, dock, "accuracy-card", "look-again")
    viewer.close()


def replayed(folder: Path) -> None:
    """Label eleven queries of a simulated field, and picture their finished replay."""
    viewer, dock, field = opened_field(folder)
    asked = sum(label_query(viewer, dock, lambda _: str(1 + field.classes_N[current(dock).index])) for _ in range(11))
    check(dock, asked)
    dashboard = dashboard_of(viewer, dock)
    dashboard.pages.setCurrentWidget(dashboard.replay)
    pump(0.5)
    click(dashboard.replay.button)
    wait(dashboard.replay.table.isVisible)
    grab(viewer, "replay")
    viewer.close()


def rgb(folder: Path) -> None:
    """Label a histology image, brown stain or not; picture the page, and the class map that the classifier draws."""
    path = folder / "immunohistochemistry.tif"
    tifffile.imwrite(path, immunohistochemistry(), photometric="rgb")

    def choose(crop_C_H_W: NDArray[np.generic]) -> str:
        red, _, blue = crop_C_H_W.mean((1, 2))
        return "1" if red > blue + 35 else "2"

    classify("rgb", path, folder, ("stained", "unstained"), 64, choose)


def channels(folder: Path) -> None:
    """Label a fluorescence image of three channels, cells or none; picture the page and the class map."""
    path = Path(os.environ["COSTAL_DATA"]) / "microscopy" / "fluorescence" / "IXMtest_A02_s9.tif"

    def choose(crop_C_H_W: NDArray[np.generic]) -> str:
        return "1" if (crop_C_H_W[1] > 450).mean() > 0.08 else "2"

    classify("channels", path, folder, ("cells", "background"), 48, choose)


def classify(
    scene: str,
    path: Path,
    folder: Path,
    names: tuple[str, str],
    crop: int,
    choose: Callable[[NDArray[np.generic]], str],
) -> None:
    """Open an image, label three queries and draw its class map; picture the page and the map."""
    viewer, dock = opened(folder)
    dock.open_image(path)
    wait(lambda: dock.setup.layer.value is not None)
    dock.setup.crop.value = crop
    dock.start_project(lambda: None)
    wait(lambda: dock.frame.loaded is not None and dock.setup.classes.table.rowCount() == len(names))
    pump(1)
    for row, name in enumerate(names):
        dock.setup.classes.table.item(row, 1).setText(name)
    pump(0.5)
    asked = 0
    for query in range(3):
        asked += label_query(viewer, dock, choose, f"{scene}-page" if query == 1 else None)
    check(dock, asked)
    picture_class_map(viewer, dock, f"{scene}-class-map")
    picture_accuracy(viewer, dock, f"{scene}-accuracy-card", f"{scene}-look-again")
    viewer.close()


def large(folder: Path) -> None:
    """Label a query of an OME-Zarr that is read piece by piece, and picture its heatmap while it fills in."""
    slide = folder / "slide.ome.zarr"
    write_slide(slide, 13_000)
    viewer, dock = opened(folder)
    dock.open_image(slide)
    wait(lambda: dock.setup.layer.value is not None)
    pump(1)
    click(dock.setup.label_button)
    wait(lambda: current(dock) is not None)
    pump(1)
    held = dock.frame.loaded.held
    dim = np.median([each.crop_C_H_W.mean() for each in held.values()])
    asked = 0
    while (now := current(dock)) is not None:
        wait(lambda now=now: now.is_shown)
        pump(0.3)
        press(viewer, "2" if held[now.index].crop_C_H_W.mean() > dim else "1")
        wait(lambda now=now: current(dock) is not now)
        asked += 1
    wait(lambda: dock.query.frame_scores.which_M is not None and len(dock.query.frame_scores.which_M) > 15_000)
    grab(viewer, "large-image")
    wait(lambda: not dock.query.is_busy)
    check(dock, asked)
    viewer.close()


def write_slide(path: Path, side: int) -> None:
    """Write an OME-Zarr 0.5 of so many rows and columns, made of turned copies of a simulated field."""
    field = simulate_field((1500, 1500), 128, seed=3).pixels_Y_X
    rng, pieces = np.random.default_rng(0), -(-side // len(field))
    rows = [[np.rot90(field, rng.integers(4)) * rng.uniform(0.6, 1.4) for _ in range(pieces)] for _ in range(pieces)]
    pixels = np.block(rows)[:side, :side].astype(np.uint16)
    group, datasets = zarr.open_group(str(path), mode="w", zarr_format=3), []
    for level in range(5):
        array = group.create_array(str(level), shape=pixels.shape, chunks=(1024, 1024), dtype=pixels.dtype)
        array[...] = pixels
        scale = {"type": "scale", "scale": [0.02 * 2**level] * 2}
        datasets.append({"path": str(level), "coordinateTransformations": [scale]})
        pixels = pixels[::2, ::2]
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}


def mosaic(folder: Path) -> None:
    """Run the mosaic for four rounds on MNIST."""
    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.setGeometry(0, 0, 1500, 1000)
    dock = MnistMosaic(viewer, Preferences("expert", folder, "auto"))
    viewer.window.add_dock_widget(dock, name="MNIST mosaic")
    dock.data.value = "mnist"
    pump(2)
    click(dock.buttons["Run"])
    wait(lambda: dock.layers.image is not None)
    wait(lambda: len(dock.controller.reports) >= 10)
    pump(1)
    grab(viewer, "mosaic")
    viewer.close()


def playback(folder: Path) -> None:
    """Run the template's experiment, and play one of its arms back."""
    plan = folder / "small.toml"
    plan.write_text(template(), "utf-8")
    subprocess.run([sys.executable, "-m", "costal.cli", "experiment", plan, "--out", folder / "run"], check=True)
    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.setGeometry(0, 0, 1500, 1000)
    dock = MnistMosaic(viewer, Preferences("expert", folder, "auto"))
    viewer.window.add_dock_widget(dock, name="MNIST mosaic")
    dock.open_run(folder / "run")
    wait(lambda: dock.layers.image is not None)
    pump(5)
    grab(viewer, "playback")
    viewer.close()


def day(folder: Path) -> None:
    """Label frames of a watched folder; picture the folder, the dashboard, and the classifier at work."""
    inbox = folder / "frames"
    inbox.mkdir()
    finish(acquire(inbox, 4, (512, 512), 64, seed=3))
    viewer, dock = opened(folder)
    dock.session.make(folder / "microtubules", with_classes)
    wait(lambda: dock.session.project is not None)
    dock.arriving.watch_folder(str(inbox))
    wait(lambda: [row.state for row in dock.setup.arrivals.model.rows] == ["64 crops"] * 4)
    asked = 0
    for query in range(6):
        if query in (0, 4):
            before = dock.frame.loaded
            dock.setup.show_tab(dock.setup.frames_tab)
            pump(0.3)
            click(dock.setup.arrivals.next_button)
            wait(lambda before=before: dock.frame.loaded is not before and dock.frame.loaded is not None)
            pump(0.5)
        field = truth_of(3, number_of(dock.frame.layer_view.source), (512, 512), 64)

        def look(_: Any, field: SimulatedField = field) -> str:
            pump(0.2 + 0.002 * float(field.contour_px_N[current(dock).index]))
            return str(1 + field.classes_N[current(dock).index])

        asked += label_query(viewer, dock, look)
    wait(lambda: all(row.offer is not None and row.offer.value is not None for row in dock.setup.arrivals.model.rows))
    check(dock, asked)
    dock.setup.show_tab(dock.setup.frames_tab)
    grab(viewer, "watched-folder")
    dashboard_of(viewer, dock)
    grab(viewer, "dashboard")
    picture_class_map(viewer, dock, "apply")
    viewer.close()


def with_classes(project: Project) -> Project:
    """Return a project with the classes of the simulated fields, for crops of 64 px."""
    for number, name in enumerate(CLASS_NAMES, 1):
        project = rename_class(project, number, name) if number <= 2 else new_class(project, name)
    return replace(project, tiling=replace(project.tiling, crop=64, stride=64))


def opened(folder: Path, size: tuple[int, int] = (1500, 1000)) -> tuple[napari.Viewer, LabelCrops]:
    """Return a window with *Label crops* that keeps its project in a folder."""
    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.setGeometry(0, 0, *size)
    dock = LabelCrops(viewer, Preferences("expert", folder, "auto", recent_file=folder / "recent.json"))
    viewer.window.add_dock_widget(dock, name="Label crops")
    pump(1)
    return viewer, dock


def opened_field(folder: Path) -> tuple[napari.Viewer, LabelCrops, SimulatedField]:
    """Return a window with the sample field in a project with its classes, ready to label, and the field."""
    viewer, dock = opened(folder)
    viewer.open_sample("napari-costal", "sted_field")
    dock.session.make(folder / "microtubules", with_classes)
    wait(lambda: dock.frame.loaded is not None)
    dock.setup.show_tab(dock.setup.label_tab)
    pump(1)
    return viewer, dock, simulate_field((1024, 1024), 64, seed=0)


def picture_class_map(viewer, dock, name):
    """Run the classifier over the layer by its button, and picture the class map."""
    dock.setup.apply_button.click()
    pump(2)
    apply = next(each for each in viewer.window._qt_window.findChildren(ApplyClassifier))
    click(apply.form.apply_button)
    pump(1)
    wait(lambda: not apply.progress.isVisible())
    pump(2)
    grab(viewer, name)


def dashboard_of(viewer: napari.Viewer, dock: LabelCrops) -> Dashboard:
    """Open the dashboard by its button, and return it filled."""
    dock.parentWidget().raise_()  # another dock may cover it
    pump(0.5)
    dock.setup.show_tab(dock.setup.project_tab)
    pump(0.3)
    click(dock.setup.dashboard_button)
    pump(6)
    return next(iter(viewer.window._qt_window.findChildren(Dashboard)))


def picture_accuracy(viewer: napari.Viewer, dock: LabelCrops, card: str, again: str) -> None:
    """Picture the dashboard's accuracy card, and the labels to look at again."""
    dashboard = dashboard_of(viewer, dock)
    grab(viewer, card)
    dashboard.look_again()
    pump(5)
    grab(viewer, again)


def label_query(
    viewer: napari.Viewer, dock: LabelCrops, choose: Callable[[Any], str], picture: str | None = None
) -> int:
    """Press *Label n crops*, answer every crop by its key, wait for the new scores; return how many were asked."""
    click(dock.setup.label_button)
    asked = 0
    wait(lambda: current(dock) is not None)
    while current(dock) is not None:
        now = current(dock)
        wait(lambda now=now: now.is_shown)
        pump(0.3)
        y, x = dock.frame.grid.origin(now.index)
        side = dock.frame.grid.crop
        key = choose(dock.frame.loaded.plane_C_Y_X[:, y : y + side, x : x + side])
        if picture and asked == 3:
            pump(1.2)
            grab(viewer, picture)
        press(viewer, key)
        wait(lambda now=now: current(dock) is not now)
        asked += 1
    pump(1)
    wait(lambda: not dock.query.is_busy and not dock.progress.isVisible())
    pump(1)
    return asked


def check(dock: LabelCrops, asked: int) -> None:
    """Refuse to take a picture of something that did not work."""
    with Store(dock.session.project.store_path, read_only=True) as store:
        labels, presented = store.labels(), store.presented()
        again = sum(each.repeated for each in store.presentations())  # crops that were shown twice have one label
    usable = sum(derive(replay(each.events, 10**11)).usable for each in presented)
    if not (len(labels) + again == len(presented) == usable == asked):
        raise SystemExit(f"{asked} crops asked, {len(labels)} labels, {usable} usable efforts of {len(presented)}")
    print(f"  {asked} labels and efforts; {dock.model_label.text()}; {dock.status.text()}")


def current(dock: LabelCrops) -> Any:
    """Return the presentation on the bench."""
    return dock.labelling.current


def pump(seconds: float) -> None:
    """Let the window work for some time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)


def wait(condition: Callable[[], bool]) -> None:
    """Let the window work until a condition holds."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            ImageGrab.grab(xdisplay=os.environ["DISPLAY"]).save(Path(tempfile.gettempdir()) / "waited-in-vain.png")
            raise SystemExit("Waited in vain.")
        pump(0.02)


def click(widget: QWidget) -> None:
    """Click a widget with the X server's pointer."""
    at = widget.mapToGlobal(QPoint(widget.width() // 2, widget.height() // 2))
    subprocess.run(["xdotool", "mousemove", str(at.x()), str(at.y()), "click", "1"], check=True)
    pump(0.3)


def press(viewer: napari.Viewer, key: str) -> None:
    """Press a key while the window has the focus."""
    window = str(int(viewer.window._qt_window.winId()))
    subprocess.run(["xdotool", "windowfocus", window, "key", key], check=True)
    pump(0.05)


def grab(viewer: napari.Viewer, name: str | None) -> None:
    """Save what the screen shows of the window; without a name, only let it be painted."""
    pump(0.8)
    if name is not None:
        window = viewer.window._qt_window
        part = (0, 0, window.width(), window.height())
        screen = ImageGrab.grab(xdisplay=os.environ["DISPLAY"]).crop(part)
        screen.quantize(256).save(HERE / f"{name}.png", optimize=True)  # a third of the bytes


if __name__ == "__main__":
    main(sys.argv[1:])
