"""Figures as values with a `draw` method. No Qt, no napari: a separate process draws them.

matplotlib holds Python's lock for most of a drawing, and its many short-lived objects trigger full garbage
collections. On a thread of the window this would delay the window, and the saving of a label, by a fifth of a second.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from costal.types import Job

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 96
TEXT = 8
DASHED = (0, (4, 3))

Floats64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Colours:
    """The colours of a viewer's theme: background, text and ticks, grid and frame, lines."""

    background: str
    ink: str
    faint: str
    line: str


class Picture(Protocol):
    """A figure as a value."""

    def draw(self, figure: "Figure", colours: Colours) -> None: ...


def drawn(picture: Picture, width: int, height: int, ratio: float, colours: Colours) -> Job[tuple[int, int, bytes]]:
    """Return width, height and RGBA pixels of a picture for a widget; `ratio` is screen pixels per widget pixel."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    yield from ()
    size = (width / DPI, height / DPI)
    figure = Figure(size, dpi=DPI * ratio, layout="constrained", facecolor=colours.background)
    canvas: Any = FigureCanvasAgg(figure)
    picture.draw(figure, colours)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    return pixels.shape[1], pixels.shape[0], pixels.tobytes()


def dress(axes: "Axes", colours: Colours) -> None:
    """Draw axes in the viewer's colours. A style context is no use, because ticks are made after it ends."""
    axes.set_facecolor(colours.background)
    axes.tick_params(colors=colours.ink, labelsize=TEXT)
    for text in (axes.xaxis.label, axes.yaxis.label, axes.title):
        text.set(color=colours.ink, fontsize=TEXT)
    for spine in axes.spines.values():
        spine.set_color(colours.faint)
    legend = axes.get_legend()
    for text in legend.get_texts() if legend is not None else []:
        text.set(color=colours.ink, fontsize=TEXT)


def shortened(name: str, most: int) -> str:
    """Return a name, cut to a number of characters."""
    return name if len(name) <= most else f"{name[: most - 1]}…"
