"""Repeated crops of a query, presented again unmarked: when one is due, and the numbering of the query. No Qt."""

from collections.abc import Sequence

from costal.labels.project import Project
from costal.labels.repeats import due_repeat
from costal.types import Grid
from napari_costal.label_crops.loaded_frame import LoadedFrame


class Repeating:
    """The crops that were repeated on this frame, and the number of repeats in the current query."""

    def __init__(self) -> None:
        self._repeated: set[int] = set()
        self._in_query = 0

    def begin_query(self) -> None:
        """Count the crops of a new query."""
        self._in_query = 0

    def forget(self) -> None:
        """Forget the frame: its crops are not repeated."""
        self._repeated.clear()

    def due(self, project: Project, loaded: LoadedFrame, grid: Grid, answered: Sequence[int]) -> int | None:
        """Return the crop to repeat now, and note it; None if none is due."""
        index = due_repeat(project, loaded.stored.content_hash, grid, answered, loaded.labels, self._repeated)
        if index is not None:
            self._repeated.add(index)
            self._in_query += 1
        return index

    def number(self, rank: int, is_repeated: bool) -> int:
        """Return the number of a crop in its query; repeated crops count like any other."""
        return rank + self._in_query - is_repeated
