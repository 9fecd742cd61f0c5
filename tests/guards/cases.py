"""What two checkouts are made to do: commands of the command line on small images of every kind, none of them Costal's.

A case is a generator of steps: a step is a command line, and in between the case prepares files as a person would.
"""

import csv
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray
from PIL import Image

Steps = Iterator[tuple[str, ...]]
Pixels = NDArray[Any]
CROP = 16
FIXTURES = Path(__file__).parents[1] / "fixtures"
EXPERIMENT = """\
name = "small"
data = "synthetic"
rounds = 2
repeats = 1
pool_size = 40
n = 4
passes = 4
committee_every = 2
device = "cpu"
[training]
min_steps = 10
[[arms]]
acquisition = "bald"
beta = 0.5
members = 2
[[arms]]
acquisition = "random"
"""
HELPS = (
    "demo", "open", "score", "query", "train", "apply", "export", "import", "label", "microscope", "experiment",
    "project new", "project info", "project check", "project repair", "reproduce table1",
)  # fmt: skip


def picture(height: int, width: int, crop: int = CROP, seed: int = 0) -> Pixels:
    """Return pixels (Y, X) whose crops are plain and spotted by turns, brighter to the right."""
    rng = np.random.default_rng(seed)
    ys, xs = np.indices((height, width))
    is_spotted = (ys // crop + xs // crop) % 2 == 1
    is_core = (abs(ys % crop - crop / 2) < crop / 4) & (abs(xs % crop - crop / 2) < crop / 4)
    mean = 400 + xs + np.where(is_spotted & is_core, 1500 * rng.random((height, width)), 0)
    return rng.poisson(mean).astype(np.uint16)


def class_of(y: int, x: int, crop: int) -> str:
    """Return the class that an expert would give."""
    return "spotted" if (y // crop + x // crop) % 2 else "plain"


def settings(project: Path, **changes: object) -> None:
    """Change keys of project.toml, which must be there."""
    path = project / "project.toml"
    text = path.read_text("utf-8")
    for key, entry in changes.items():
        shown = f'"{entry}"' if isinstance(entry, str) else str(entry).lower()
        text, count = re.subn(rf"(?m)^{key} = .*$", f"{key} = {shown}", text, count=1)
        if count != 1:
            raise KeyError(f"project.toml has no {key}")
    path.write_text(text, "utf-8")


def fill(table: Path, labels: Path, crop: int, every: int = 3, most: int = 14) -> None:
    """Label every third crop of a table of scores or of a query, as an expert does who fills in its column."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[::every][:most]
    with labels.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*dict.fromkeys([*rows[0], "class"])])
        writer.writeheader()
        writer.writerows(row | {"class": class_of(int(row["y"]), int(row["x"]), crop)} for row in rows)


def by_hand(frame: str, labels: Path, crop: int, side: int) -> None:
    """Label crops of an image that has not been scored."""
    places = [(y, x) for y in range(0, 3 * crop, crop) for x in range(0, side - crop + 1, crop)]
    rows = [f"{frame},{y},{x},{crop},{class_of(y, x, crop)}" for y, x in places]
    labels.write_text("\n".join(["frame,y,x,side,class", *rows]) + "\n", "utf-8")


def write_zarr(path: Path, pixels: Pixels, chunk: int = 32) -> None:
    """Write pixels (Y, X) as OME-Zarr 0.5 with two levels."""
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    levels = []
    for level in range(2):
        small = pixels[:: 2**level, :: 2**level]
        array = group.create_array(str(level), shape=small.shape, chunks=(chunk, chunk), dtype=small.dtype)
        array[...] = small
        scale = {"type": "scale", "scale": [0.1 * 2**level] * 2}
        levels.append({"path": str(level), "coordinateTransformations": [scale]})
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    group.attrs.update({"ome": {"version": "0.5", "multiscales": [{"axes": axes, "datasets": levels}]}})


def _whole_loop(here: Path, image: str, crop: int = CROP, lazy: bool = False, **changes: object) -> Steps:
    """Score, label, train, score again, ask, apply and export."""
    yield ("project", "new", "p", "--classes", "plain,spotted", "--json")
    settings(here / "p", crop=crop, **({"stride": crop, "passes": 5, "n": 4} | changes))
    device = ("--project", "p", "--device", "cpu", "--json")
    if lazy:
        side = min(tifffile.imread(here / image).shape) if image.endswith(".tif") else 96
        by_hand(image, here / "labels.csv", crop, side)
    else:
        yield ("score", image, "--out", "before.csv", *device)
        yield ("query", image, "--out", "first.csv", *device)
        fill(here / "before.csv", here / "labels.csv", crop)
    yield ("label", "--from", "labels.csv", "--project", "p", "--images", ".", "--annotator", "ada", "--json")
    yield ("train", *device)
    yield ("score", image, "--out", "scores.csv", *(("--lazy",) if lazy else ()), *device)
    yield ("query", image, "--out", "query.csv", "-n", "3", *device)
    yield ("apply", image, "--out", "applied", *device)
    yield ("project", "info", "p", "--json")
    yield ("project", "check", "p", "--json")


def _exports(name: str = "p") -> Steps:
    for form in ("csv", "coco", "geojson", "images", "parquet"):
        yield ("export", name, "--as", form, "--out", f"out-{form}", "--validation", "0.3", "--json")


def grey(here: Path) -> Steps:
    """A grey image of 2 dimensions, all exports, and labels taken into another project."""
    tifffile.imwrite(here / "grey.tif", picture(96, 80), resolution=(1e4, 1e4), metadata=None)
    yield from _whole_loop(here, "grey.tif")
    yield from _exports()
    yield ("project", "new", "q", "--classes", "plain,spotted")
    settings(here / "q", crop=CROP, stride=CROP)
    yield ("label", "--from", "out-csv", "--project", "q", "--images", ".", "--json")
    yield ("score", "grey.tif", "--project", "nowhere", "--json")


def stack(here: Path) -> Steps:
    """Three Z planes, each a frame."""
    planes = np.stack([picture(64, 48, seed=seed) for seed in range(3)])
    tifffile.imwrite(here / "stack.ome.tif", planes, metadata={"axes": "ZYX"})
    yield from _whole_loop(here, "stack.ome.tif", z="each")
    yield from _exports()


def projection(here: Path) -> Steps:
    """Three Z planes as their mean, padded and overlapping crops, one range for the whole project."""
    planes = np.stack([picture(60, 52, seed=seed) for seed in range(3)])
    tifffile.imwrite(here / "stack.ome.tif", planes, metadata={"axes": "ZYX"})
    changes = {"z": "mean", "edge": "pad", "stride": 8, "normalise": "project", "acquisition": "bald"}
    yield from _whole_loop(here, "stack.ome.tif", **changes)


def rgb(here: Path) -> Steps:
    """A colour image of 8 bits."""
    colour = np.stack([picture(64, 64, seed=seed) // 16 for seed in range(3)], axis=-1).clip(0, 255)
    Image.fromarray(colour.astype(np.uint8)).save(here / "rgb.png")
    yield from _whole_loop(here, "rgb.png")


def channels(here: Path) -> Steps:
    """Three channels, crops drawn at random."""
    pixels = np.stack([picture(64, 64, seed=seed) for seed in range(3)])
    tifffile.imwrite(here / "channels.ome.tif", pixels, metadata={"axes": "CYX"})
    yield from _whole_loop(here, "channels.ome.tif", acquisition="random", control_share=0.5)


def ome_zarr(here: Path) -> Steps:
    """An OME-Zarr image."""
    write_zarr(here / "image.zarr", picture(96, 96))
    yield from _whole_loop(here, "image.zarr", lazy=True)


def bands(here: Path) -> Steps:
    """A frame of 1600 crops, which is more than a band, read piece by piece."""
    tifffile.imwrite(here / "bands.tif", picture(320, 320, 8), tile=(64, 64))
    yield from _whole_loop(here, "bands.tif", crop=8, lazy=True)
    options = ("--project", "p", "--device", "cpu", "--json")
    yield ("score", "bands.tif", "--out", "whole.csv", *options)
    yield ("score", "bands.tif", "--out", "skipped.csv", "--background", "skip", *options)


def _old(here: Path, number: int) -> Steps:
    with zipfile.ZipFile(FIXTURES / f"project-format-{number}.zip") as packed:
        packed.extractall(here / "p")
    tifffile.imwrite(here / "new.tif", picture(48, 48, 8))
    device = ("--project", "p", "--device", "cpu", "--json")
    yield ("project", "info", "p", "--json")
    yield ("score", "new.tif", "--out", "before.csv", *device)
    yield ("train", *device)
    yield ("score", "new.tif", "--out", "scores.csv", *device)
    yield ("query", "new.tif", "--out", "query.csv", "--minutes", "0.1", *device)
    yield ("apply", "new.tif", "--out", "applied", *device)
    yield ("project", "info", "p", "--json")
    yield ("project", "check", "p", "--json")
    yield from _exports()


def format_1(here: Path) -> Steps:
    """A project of format 1."""
    yield from _old(here, 1)


def format_2(here: Path) -> Steps:
    """A project of format 2, with measured efforts and a cost model."""
    yield from _old(here, 2)


def document(here: Path) -> Steps:
    """A project from one JSON document, as earlier versions exported it."""
    shutil.copy2(FIXTURES / "project-document.json", here / "document.json")
    yield ("import", "document.json", "again", "--json")
    yield ("project", "info", "again", "--json")


def demo(here: Path) -> Steps:
    """The demo on synthetic digits."""
    numbers = ("--rounds", "1", "-N", "40", "-n", "4", "-T", "4", "--device", "cpu")
    yield ("demo", "--headless", "--data", "synthetic", *numbers, "--out", "out")


def experiment(here: Path) -> Steps:
    """A small experiment of two arms."""
    (here / "small.toml").write_text(EXPERIMENT, "utf-8")
    yield ("experiment", "small.toml", "--out", "out", "--json")


def helps(here: Path) -> Steps:
    """The help texts: commands and options are public."""
    yield ("--help",)
    for name in HELPS:
        yield (*name.split(), "--help")


CASES: dict[str, Callable[[Path], Steps]] = {
    each.__name__: each
    for each in (
        helps, grey, stack, projection, rgb, channels, ome_zarr, bands, format_1, format_2, document, demo, experiment,
    )
}  # fmt: skip
FAST = ("helps", "grey")
