"""Writes ``docs/formats.md``: which files are opened, and whether axes, pixel size and channels are right.

Usage: ``python -m tests.formats.table``. Every file is read whole and opened lazily; both must agree with the pixels
that were written.
"""

import logging
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from costal.errors import FrameError
from costal.frames.lazy import LazyFrame, open_lazily
from costal.frames.ome_zarr import is_zarr
from costal.frames.read import read
from costal.types import Frame
from tests.formats.cases import FORMATS, REPORTS, Case

ROOT = Path(__file__).resolve().parents[2]
HEAD = """# What is opened

`python -m tests.formats.table` makes this page. It opens each file in both ways, whole and piece by piece, and compares
axes, pixel size, channels and pixels with what is in the file. A cell shows what was read if it is right, and WRONG
otherwise. The files of scikit-image come with that package. The program writes all others itself: with the library of
the named maker where there is one, otherwise by the maker's public description (`tests/formats/layouts.py`). Files of
real instruments may contain more than these.

If a file does not name an axis, the plugin guesses it and says so. Set it with `--axes`, or with *axes of files* under
*Advanced*. If a file gives no pixel size, or one that is not a length above zero, the pixel size is unknown.
"""


class Verdict(NamedTuple):
    """Whether axes, pixel size and channels are right; `said` are the notes of the file, or why it was refused."""

    axes: str
    pixel_size: str
    channels: str
    said: str

    @property
    def is_right(self) -> bool:
        """Whether nothing is wrong."""
        return not any(text.startswith("WRONG") for text in self[:3])


def judged(case: Case) -> Verdict:
    """Return what became of a file."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path, pixels = case.write(Path(folder))
        try:
            lazy = open_lazily(path)
            frame = lazy if is_zarr(str(path)) else read(path)
        except FrameError as error:
            text = str(error).replace(str(path), path.name)
            verdict = "refused" if case.refused and case.refused in text else "WRONG: refused"
            return Verdict(verdict, "", "", text)
        found = np.asarray(lazy.levels[0][(slice(None),) * pixels.ndim])
        whole = found if isinstance(frame, LazyFrame) else frame.pixels
        return _compared(case, frame, pixels, found, whole)


def _compared(case: Case, frame: Frame | LazyFrame, pixels: np.ndarray, *given: np.ndarray) -> Verdict:
    is_same = frame.axes == case.axes and all(np.array_equal(each, pixels) for each in given)
    axes = f"{frame.axes}" if is_same and not case.refused else f"WRONG: {frame.axes} {given[-1].shape}"
    sizes = [math.nan if um is None else um for um in (frame.pixel_um, case.pixel_um)]
    size = "not given" if frame.pixel_um is None else f"{frame.pixel_um:.4g} µm"
    size = size if np.allclose(*sizes, rtol=1e-3, atol=0, equal_nan=True) else f"WRONG: {size}"
    shapes = ((frame.axes, given[-1].shape), (case.axes, pixels.shape))
    counts = [shape[axes.index("C")] if "C" in axes else 1 for axes, shape in shapes]
    channels = str(counts[0]) if counts[0] == counts[1] else f"WRONG: {counts[0]}"
    return Verdict(axes, size, channels, " ".join(frame.notes))


def table(cases: Sequence[Case], heads: tuple[str, str]) -> list[str]:
    """Return a table of cases as lines of Markdown."""
    lines = [f"| {heads[0]} | {heads[1]} | axes | pixel size | channels | note |", "|---|---|---|---|---|---|"]
    for case in cases:
        verdict = judged(case)
        note = case.note if case.note and verdict.is_right else verdict.said
        lines.append(f"| {' | '.join((case.what, case.maker, *verdict[:3], note))} |")
    return lines


def main() -> None:
    """Write the page."""
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    reports = (
        "## Reports from other projects\n\nInputs of our own, made after public reports to other projects' trackers."
    )
    lines = [HEAD, *table(FORMATS, ("file", "maker")), "", reports, "", *table(REPORTS, ("what was reported", "where"))]
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs" / "formats.md").write_text("\n".join(lines) + "\n", "utf-8")
    print("\n".join(line for line in lines if line.startswith("|") and "WRONG" in line) or "All right.")


if __name__ == "__main__":
    main()
