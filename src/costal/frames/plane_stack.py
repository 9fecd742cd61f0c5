"""Planes that lie uncompressed in one file or several, indexed together like one array and read in place."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class PlanePosition(NamedTuple):
    """Where the pixels of one plane lie."""

    path: Path
    offset: int


@dataclass(frozen=True, slots=True)
class PlaneStack:
    """An array of planes: `outer` is the shape of the axes before those of a plane; each plane has a place.

    `dtype` has the byte order of the files; `axes` are the letters of all dimensions.
    """

    outer: tuple[int, ...]
    plane: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: str
    places: Mapping[tuple[int, ...], PlanePosition] = field(repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of all axes."""
        return self.outer + self.plane

    @property
    def size(self) -> int:
        """How many samples there are."""
        return math.prod(self.shape)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that planes lie in, by name."""
        return tuple(sorted({each.path for each in self.places.values()}))

    def reach(self, path: Path) -> int:
        """Return where in a file the last of these planes ends."""
        offsets = (each.offset for each in self.places.values() if each.path == path)
        return max(offsets) + math.prod(self.plane) * self.dtype.itemsize

    def asarray(self) -> NDArray[Any]:
        """Return all pixels."""
        return self[()]

    def __getitem__(self, key: int | slice | tuple[int | slice, ...]) -> NDArray[Any]:
        """Return what whole numbers and slices choose, as numpy does."""
        keys = key if isinstance(key, tuple) else (key,)
        chosen = keys + (slice(None),) * (len(self.shape) - len(keys))
        outer, inner = chosen[: len(self.outer)], chosen[len(self.outer) :]
        spans = [range(length)[one] for one, length in zip(outer, self.outer, strict=True)]
        each = product(*([span] if isinstance(span, int) else span for span in spans))
        planes = [self._plane(self.places[index])[inner] for index in each]
        lengths = tuple(len(span) for span in spans if not isinstance(span, int))
        return np.stack(planes).reshape(lengths + planes[0].shape)

    def _plane(self, place: PlanePosition) -> NDArray[Any]:
        return np.memmap(place.path, self.dtype, "r", place.offset, self.plane)
