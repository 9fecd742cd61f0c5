"""The arrays that a frame gives to its layers: one RGB array, or one array for each channel."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costal.frames.lazy import LazyFrame
from costal.types import Channel, Frame


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """An array (or its pyramid levels) for each layer; `letters` name the axes, without channels and samples."""

    arrays: tuple[Any, ...]
    letters: tuple[str, ...]
    channels: tuple[Channel, ...]
    is_rgb: bool = False
    has_levels: bool = False


def shown_as(frame: Frame | LazyFrame) -> Shown:
    """Return how a frame is shown: an RGB frame in colour, any other with a layer for each channel."""
    if isinstance(frame, LazyFrame):
        return _of_levels(frame)
    letters = tuple(letter for letter in "TZYX" if letter in frame.axes)
    order = [frame.axes.index(letter) for letter in letters]
    if frame.is_rgb:
        array = frame.pixels.transpose([*order, frame.axes.index("C")])
        return Shown((array,), letters, (Channel(0),), is_rgb=True)
    if "C" not in frame.axes:
        return Shown((frame.pixels.transpose(order),), letters, (Channel(0),))
    channels = frame.channels or tuple(Channel(index) for index in range(frame.pixels.shape[frame.axes.index("C")]))
    arrays = frame.pixels.transpose([frame.axes.index("C"), *order])
    return Shown(tuple(arrays), letters, channels)


def _of_levels(frame: LazyFrame) -> Shown:
    letters, has_levels = tuple(frame.axes.replace("C", "")), len(frame.levels) > 1

    def shown(axis: int | None, channel: int) -> Any:
        levels = [OneChannel(level, axis, channel, frame) for level in frame.levels]
        return levels if has_levels else levels[0]

    if "C" not in frame.axes:
        return Shown((shown(None, 0),), letters, (Channel(0),), has_levels=has_levels)
    if frame.is_rgb and frame.axes.endswith("C"):
        return Shown((shown(None, 0),), letters, (Channel(0),), is_rgb=True, has_levels=has_levels)
    arrays = tuple(shown(frame.axes.index("C"), channel.index) for channel in frame.channels)
    return Shown(arrays, letters, frame.channels, has_levels=has_levels)


@dataclass(frozen=True, slots=True, eq=False)
class OneChannel:
    """One channel of an array, indexed as if there were no other channels; all channels if `axis` is None.

    The array is not copied. `owner` is the image; its file stays open as long as the array is shown.
    """

    array: Any
    axis: int | None
    channel: int
    owner: Any = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the pixels."""
        kind: np.dtype[Any] = np.dtype(self.array.dtype)
        return kind

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape without the axis of channels."""
        return tuple(size for at, size in enumerate(self.array.shape) if at != self.axis)

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many pixels there are."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        whole = key if isinstance(key, tuple) else (key,)
        whole = (*whole, *(slice(None),) * (self.ndim - len(whole)))
        if self.axis is None:
            return self.array[whole]
        return self.array[(*whole[: self.axis], self.channel, *whole[self.axis :])]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[()], dtype)
