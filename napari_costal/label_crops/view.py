"""The view of *Label crops* as its sessions see it, implemented by the dock and its parts, or by a test."""

from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from costal.frames.normalise import IntensityRange
from costal.labels.lock import Holder
from costal.labels.project import Project
from costal.types import Floats, Grid, Progress

Shown = Literal["value v", "information I", "cost C", "predicted class"]
SHOWN: tuple[Shown, ...] = ("value v", "information I", "cost C", "predicted class")


class Words(Protocol):
    """Shows sentences."""

    def say(self, text: str) -> None: ...
    def complain(self, text: str) -> None: ...


class ProjectView(Words, Protocol):
    """Shows the project."""

    def show_project(self, project: Project, counts: dict[int, int]) -> None: ...
    def show_counts(self, project: Project, counts: dict[int, int]) -> None: ...
    def show_holder(self, holder: Holder | None) -> None: ...


class QueryView(Words, Protocol):
    """Shows the model and the progress of its jobs."""

    def show_progress(self, progress: Progress | None) -> None: ...
    def show_model(self, text: str) -> None: ...
    def show_starving(self, text: str) -> None: ...
    def hold_back_predictions(self, are_held_back: bool) -> None: ...


class CanvasView(Protocol):
    """Draws over the frame."""

    def show_grid(self, grid: Grid | None, pixel_um: float | None) -> None: ...
    def show_heatmap(self, values_N: Floats, grid: Grid, shown: Shown, project: Project) -> None: ...
    def show_query(self, indices: NDArray[np.intp], grid: Grid) -> None: ...
    def show_labels(self, colours: dict[int, str], grid: Grid) -> None: ...
    def clear_scores(self) -> None: ...
    def clear_labels(self) -> None: ...


class PageView(Protocol):
    """Shows one crop."""

    def complain(self, text: str) -> None: ...
    def present(
        self,
        project: Project,
        pixels_C_H_W: NDArray[np.generic],
        crop: tuple[int, int, int],
        limits: IntensityRange,
        title: str,
        active_s: Callable[[], float],
        left_s: float,
    ) -> None: ...
    def prepare(
        self, pixels_C_H_W: NDArray[np.generic], crop: tuple[int, int, int], limits: IntensityRange
    ) -> None: ...
    def cover(self, text: str) -> None: ...
    def page_says(self, text: str, alarming: bool) -> None: ...
    def shows_predictions(self) -> bool: ...
    def leave_page(self) -> None: ...


class View(ProjectView, QueryView, CanvasView, PageView, Protocol):
    """All of it."""
