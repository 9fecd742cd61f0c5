"""Intensities made comparable: percentiles of a plane to 0 and 1, so that offset and gain do not matter."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from costal.errors import FrameError
from costal.frames.grid import Plane, crops
from costal.types import Floats, Grid

MOST_PIXELS = 4_000_000  # percentiles of more pixels than this are no better, only slower
CLIP = (-1.0, 2.0)
COUNTED = tuple(np.dtype(kind) for kind in ("uint8", "int8", "uint16", "int16"))
"""Types of pixels whose histogram is fast."""


@dataclass(frozen=True, slots=True)
class IntensityRange:
    """The intensity of each channel that becomes 0 and the one that becomes 1."""

    low_C: tuple[float, ...]
    high_C: tuple[float, ...]


def intensity_range(plane_C_Y_X: NDArray[np.generic], percentiles: tuple[float, float] = (1.0, 99.8)) -> IntensityRange:
    """Return the percentiles of the finite pixels of each channel.

    Where the two percentiles coincide (a few bright spots on an even ground), the smallest and largest pixel
    stand in. A plane of more than 4 million pixels is sampled on a regular
    grid of about that many or fewer.

    Raises
    ------
    FrameError
        If a channel has no finite pixel, or the percentiles are not two rising numbers from 0 to 100.
    """
    if not 0 <= percentiles[0] < percentiles[1] <= 100:
        raise FrameError(
            f"Percentiles {percentiles} are not valid. Give two numbers from 0 to 100, the smaller one first."
        )
    _, height, width = plane_C_Y_X.shape
    step = math.ceil(math.sqrt(max(1.0, height * width / MOST_PIXELS)))
    ends = []
    for channel, pixels_Y_X in enumerate(plane_C_Y_X[:, ::step, ::step]):
        is_counted = pixels_Y_X.dtype in COUNTED
        pixels = pixels_Y_X if is_counted else pixels_Y_X[np.isfinite(pixels_Y_X)].astype(np.float64)
        if pixels.size == 0:
            raise FrameError(f"Channel {channel} has no finite pixel. Leave it out, or acquire the frame again.")
        low, high = percentiles_by_count(pixels, percentiles) if is_counted else np.percentile(pixels, percentiles)
        if not np.isfinite(float(pixels.max()) - float(pixels.min())):
            raise FrameError(
                f"The intensity range of channel {channel} is too large to compute with. Rescale its pixels, for "
                "example to 0-1."
            )
        ends.append((float(low), float(high)) if low < high else (float(pixels.min()), float(pixels.max())))
    return IntensityRange(tuple(low for low, _ in ends), tuple(high for _, high in ends))


def percentiles_by_count(pixels: NDArray[np.integer], percentiles: Sequence[float]) -> tuple[float, ...]:
    """Return the same as `np.percentile` for integers, to the last bit, but ten times as fast by their histogram."""
    lowest = int(pixels.min())
    below = np.cumsum(np.bincount(pixels.ravel().astype(np.int64) - lowest))
    ends = []
    for percentile in percentiles:
        place = (pixels.size - 1) * (percentile / 100)
        at = math.floor(place)
        one, other = (
            float(lowest + np.searchsorted(below, min(rank, pixels.size - 1), side="right")) for rank in (at, at + 1)
        )
        share = place - at
        ends.append(one + (other - one) * share if share < 0.5 else other - (other - one) * (1 - share))
    return tuple(ends)


def merge_ranges(ranges: Iterable[IntensityRange]) -> IntensityRange:
    """Return the range that spans all of `ranges`: per channel the lowest low and the highest high.

    Raises
    ------
    FrameError
        If there is no range, or the ranges differ in their number of channels.
    """
    ranges = tuple(ranges)
    counts = sorted({len(one.low_C) for one in ranges})
    if len(counts) != 1:
        raise FrameError(f"Ranges of {counts} channels cannot be merged. Give frames with the same channels.")
    lows, highs = zip(*(one.low_C for one in ranges), strict=True), zip(*(one.high_C for one in ranges), strict=True)
    return IntensityRange(tuple(map(min, lows)), tuple(map(max, highs)))


def shared_range(limits: IntensityRange) -> IntensityRange:
    """Return one range for all channels, which spans that of each: what keeps the colours of an RGB image."""
    count = len(limits.low_C)
    return IntensityRange((min(limits.low_C),) * count, (max(limits.high_C),) * count)


def normalise(crops: NDArray[np.generic], limits: IntensityRange) -> Floats:
    """Return `crops` of shape (..., C, H, W) as float32, each channel's low at 0 and high at 1, clipped to [-1, 2].

    A channel whose high is not above its low is constant and becomes 0 everywhere. In every other channel NaN
    becomes 0, +Inf becomes 1 and -Inf becomes 0.

    Raises
    ------
    FrameError
        If `limits` are of another number of channels.
    """
    channels = crops.shape[-3]
    if channels != len(limits.low_C):
        raise FrameError(
            f"The crops have {channels} channels, but the intensity range has {len(limits.low_C)}. Choose the channels "
            "that the project started with."
        )
    normalised = np.zeros(crops.shape, np.float32)
    for channel, (low, high) in enumerate(zip(limits.low_C, limits.high_C, strict=True)):
        if high > low:
            normalised[..., channel, :, :] = _scaled(crops[..., channel, :, :], low, high)
    return normalised


@dataclass(frozen=True, slots=True)
class _Cut:
    plane_C_Y_X: Plane
    range: IntensityRange
    grid: Grid
    chosen: Sequence[int]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.chosen), self.plane_C_Y_X.shape[0], self.grid.crop, self.grid.crop

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, rows: slice) -> Floats:
        indices = self.chosen[rows]
        return np.concatenate([normalise(batch, self.range) for batch in crops(self.plane_C_Y_X, self.grid, indices)])


def LazyCrops(plane_C_Y_X: Plane, limits: IntensityRange, grid: Grid, chosen: Sequence[int] | None = None) -> Floats:
    """Return the normalised crops (N, C, H, W) of a plane, or those `chosen`, each cut when a slice of them is taken.

    Only slices are ever in memory. It is not an array, but has the length, the shape and the slices of one.
    """
    return cast(Floats, _Cut(plane_C_Y_X, limits, grid, range(len(grid)) if chosen is None else chosen))


def _scaled(pixels: NDArray[np.generic], low: float, high: float) -> NDArray[np.float64]:
    # in float64: float32 would round 100 counts on an offset of 32768
    scaled = np.clip((pixels.astype(np.float64) - low) / (high - low), *CLIP)
    finite = np.isfinite(pixels)
    if not finite.all():
        scaled[~finite] = np.nan_to_num(pixels[~finite], nan=0, posinf=1, neginf=0)
    return scaled
