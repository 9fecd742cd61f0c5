"""Simulated STED fields of the neuronal cytoskeleton: every crop's class and contour length are known."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from costal.errors import FrameError
from costal.seeds import rng_for
from costal.types import Floats, Grid

CLASS_NAMES = ("background", "puncta", "fibres", "rings")
BACKGROUND, PUNCTA, FIBRES, RINGS = range(4)
_Reals = NDArray[np.float64]

RING_PERIOD_UM = 0.19  # the membrane periodic skeleton: actin rings every 190 nm along an axon
_PSF_SIGMA_UM = 0.025  # a STED resolution of about 60 nm
_HAZE_SIGMA_UM = 0.2  # what the depletion beam leaves of the confocal spot
_HAZE_SHARE = 0.10
_BACKGROUND_SHARE = 0.1  # of `photons`
_CONTOUR_PER_UM = (0.0, 1.2, 2.2, 2.0)  # median contour length per area and class, in um / um^2
_CROPS_PER_REGION = 6
_STEP_PX = 0.7  # between the points of a curve: below the blur at any pixel size that shows rings
_BEND_UM = 0.5  # curves keep their direction over about this length
_MOST_STRUCTURES = 60  # in one crop: ends the search for free places in a crowded one
_SHORTEST_CROP_PERIODS = 1.5
_COARSEST_UM = 0.06  # three pixels a ring period
_MOST_PHOTONS = 65535  # a count that 16 bits hold


@dataclass(frozen=True, slots=True)
class SimulatedField:
    """One simulated frame and the truth about its crops.

    `pixels_Y_X` is uint16 photon counts; `grid` tells where the N crops lie; `classes_N` (int64) indexes
    `CLASS_NAMES`; `contour_px_N` is the length in pixels that an expert would trace in each crop: the path of
    fibres, the circumference of puncta and of rings, 0 on background; `pixel_um` is the side of a pixel.
    """

    pixels_Y_X: NDArray[np.uint16]
    grid: Grid
    classes_N: NDArray[np.int64]
    contour_px_N: NDArray[np.float64]
    pixel_um: float


def simulate_field(
    shape: tuple[int, int], crop: int, seed: int, photons: float = 20.0, pixel_um: float = 0.02
) -> SimulatedField:
    """Return a simulated field of `shape` (height, width), cut into crops of `crop` x `crop` pixels.

    Regions of some crops each hold one kind of structure, which ends before the region does. `photons` is the
    expected count on a structure of ordinary brightness; counts have Poisson noise and saturate at 65535. All
    four classes occur from four crops on. What the crops do not cover, at the right and lower edge, continues
    the nearest crop's region.

    Raises
    ------
    FrameError
        If the field is smaller than a crop, a crop is shorter than 1.5 ring periods, or `photons` or `pixel_um`
        is out of range.
    """
    grid = _grid(shape, crop, photons, pixel_um)
    classes_N, region_N = _regions(grid, seed)
    canvas = _Canvas(grid, pixel_um, classes_N)
    _populate(canvas, classes_N, region_N, seed)
    rate_Y_X = photons * (_BACKGROUND_SHARE + canvas.blurred())
    counts_Y_X = rng_for(seed, "field", "photons").poisson(rate_Y_X)
    pixels_Y_X = np.minimum(counts_Y_X, _MOST_PHOTONS).astype(np.uint16)
    return SimulatedField(pixels_Y_X, grid, classes_N, canvas.contour_px_N, pixel_um)


def simulated_effort_s(
    field: SimulatedField, seed: int, seconds_per_px: float = 0.02, base_s: float = 1.5, noise: float = 0.25
) -> Floats:
    """Return the seconds (N,) that a simulated expert needs per crop, float32 and positive.

    Log-normal with mean ``base_s + seconds_per_px * contour_px_N`` and with `noise` as the standard deviation of
    its logarithm; 0 gives the mean itself.
    """
    mean_N = base_s + seconds_per_px * field.contour_px_N
    deviation_N = rng_for(seed, "effort").standard_normal(len(mean_N))
    effort_N = mean_N * np.exp(noise * deviation_N - noise**2 / 2)
    return effort_N.astype(np.float32)


def _grid(shape: tuple[int, int], crop: int, photons: float, pixel_um: float) -> Grid:
    """Return the grid of whole crops that lie in the field, after checking that it can be drawn."""
    height, width = shape
    if not 0 < photons <= _MOST_PHOTONS:
        raise FrameError(f"photons is {photons}; give a number above 0 and at most {_MOST_PHOTONS}.")
    if not 0 < pixel_um <= _COARSEST_UM:
        raise FrameError(f"pixel_um is {pixel_um}; give more than 0 and at most {_COARSEST_UM}, to show rings.")
    shortest = int(np.ceil(round(_SHORTEST_CROP_PERIODS * RING_PERIOD_UM / pixel_um, 6)))
    if crop < shortest:
        raise FrameError(
            f"A crop of {crop} px is too small to tell rings {RING_PERIOD_UM * 1000:.0f} nm apart "
            f"at {pixel_um} um per pixel; use at least {shortest} px."
        )
    if min(height, width) < crop:
        raise FrameError(
            f"A field of {height} x {width} px holds no crop of {crop} px; enlarge it or use smaller crops."
        )
    return Grid(height, width, crop, crop, "drop", height // crop, width // crop)


def _regions(grid: Grid, seed: int) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return the class and the region of each crop: a crop belongs to the nearest of some scattered crops."""
    rng = rng_for(seed, "field", "regions")
    kinds = len(CLASS_NAMES)
    region_count = min(len(grid), max(kinds, len(grid) // _CROPS_PER_REGION))
    cells_N_2 = np.stack(np.divmod(np.arange(len(grid)), grid.cols), axis=1)
    centres_R_2 = cells_N_2[rng.choice(len(grid), region_count, replace=False)]
    # The jitter only breaks ties: it is below half a crop, so that each centre keeps its own crop.
    jittered_R_2 = centres_R_2 + rng.uniform(-0.2, 0.2, centres_R_2.shape)
    _, region_N = KDTree(jittered_R_2).query(cells_N_2)
    # Whole turns of the four classes in a random order: none is missing, none dominates.
    kind_R = np.concatenate([rng.permutation(kinds) for _ in range(-(-region_count // kinds))])
    return kind_R[region_N].astype(np.int64), np.asarray(region_N, np.intp)


class _Canvas:
    """Where light and contour add up while structures are drawn; lengths are in pixels."""

    def __init__(self, grid: Grid, pixel_um: float, classes_N: NDArray[np.int64]) -> None:
        self.grid = grid
        self.pixel_um = pixel_um
        self.psf_px = _PSF_SIGMA_UM / pixel_um
        self.margin_px = min(3 * self.psf_px + 1, grid.crop / 8)
        self.contour_px_N = np.zeros(len(grid))
        self._room_Y_X = _room(grid, classes_N)
        self._light = np.zeros(grid.height * grid.width)

    def room(self, y: _Reals, x: _Reals) -> _Reals:
        """Return how far the points are from the next region with another class."""
        rows = np.clip(y.astype(np.intp), 0, self.grid.height - 1)
        cols = np.clip(x.astype(np.intp), 0, self.grid.width - 1)
        return self._room_Y_X[rows, cols]

    def add(self, y: _Reals, x: _Reals, light: _Reals | float, contour_px: _Reals | float) -> None:
        """Add the points' light to the four pixels around each and their contour to the crop of each."""
        light, contour_px = np.broadcast_to(light, y.shape), np.broadcast_to(contour_px, y.shape)
        top, left = np.floor(y - 0.5).astype(np.intp), np.floor(x - 0.5).astype(np.intp)
        down, right = y - 0.5 - top, x - 0.5 - left
        for row, share_y in ((top, 1 - down), (top + 1, down)):
            for col, share_x in ((left, 1 - right), (left + 1, right)):
                seen = (row >= 0) & (row < self.grid.height) & (col >= 0) & (col < self.grid.width)
                pixel = row[seen] * self.grid.width + col[seen]
                np.add.at(self._light, pixel, (light * share_y * share_x)[seen])
        row, col = (np.floor(along / self.grid.crop).astype(np.intp) for along in (y, x))
        seen = (row >= 0) & (row < self.grid.rows) & (col >= 0) & (col < self.grid.cols)
        np.add.at(self.contour_px_N, row[seen] * self.grid.cols + col[seen], contour_px[seen])

    def blurred(self) -> _Reals:
        """Return the light as the microscope sees it: 1 on a structure of ordinary brightness."""
        light_Y_X = self._light.reshape(self.grid.height, self.grid.width)
        sharp_Y_X = ndimage.gaussian_filter(light_Y_X, self.psf_px, mode="constant")
        haze_Y_X = ndimage.gaussian_filter(light_Y_X, _HAZE_SIGMA_UM / self.pixel_um, mode="constant")
        seen: _Reals = (1 - _HAZE_SHARE) * sharp_Y_X + _HAZE_SHARE * haze_Y_X
        return seen


def _room(grid: Grid, classes_N: NDArray[np.int64]) -> _Reals:
    """Return the distance of each pixel to the next border between classes, infinite where there is none."""
    rows = np.minimum(np.arange(grid.height) // grid.crop, grid.rows - 1)
    cols = np.minimum(np.arange(grid.width) // grid.crop, grid.cols - 1)
    class_Y_X = classes_N.reshape(grid.rows, grid.cols)[np.ix_(rows, cols)]
    border_Y_X = ndimage.maximum_filter(class_Y_X, 3) != ndimage.minimum_filter(class_Y_X, 3)
    if not border_Y_X.any():
        return np.full(class_Y_X.shape, np.inf)
    distance: _Reals = ndimage.distance_transform_edt(~border_Y_X)
    return distance


class _Habit(NamedTuple):
    """What the structures of one region share; brightness and density are factors around 1."""

    heading: float
    brightness: float
    density: float


def _populate(canvas: _Canvas, classes_N: NDArray[np.int64], region_N: NDArray[np.intp], seed: int) -> None:
    """Draw structures in each crop until it has the contour length that was drawn for it."""
    draw = {PUNCTA: _draw_punctum, FIBRES: _draw_fibre, RINGS: _draw_axon}
    # In a random order, since structures reach into crops whose turn is still to come.
    for index in rng_for(seed, "field", "order").permutation(np.flatnonzero(classes_N != BACKGROUND)):
        habit = _habit(seed, int(region_N[index]))
        kind = int(classes_N[index])
        rng = rng_for(seed, "field", "crop", int(index))
        median_px = _CONTOUR_PER_UM[kind] * canvas.grid.crop**2 * canvas.pixel_um
        wanted_px = median_px * habit.density * rng.lognormal(0, 0.5)
        for _ in range(_MOST_STRUCTURES):
            draw[kind](rng, canvas, int(index), habit)
            if canvas.contour_px_N[index] >= wanted_px:
                break


def _habit(seed: int, region: int) -> _Habit:
    """Return the habit of one region."""
    rng = rng_for(seed, "field", "habit", region)
    return _Habit(rng.uniform(0, 2 * np.pi), rng.lognormal(0, 0.3), rng.lognormal(0, 0.5))


def _start(rng: np.random.Generator, canvas: _Canvas, index: int, needed_px: float) -> tuple[float, float]:
    """Return a point of the crop that is `needed_px` away from other classes: its centre if no other is found."""
    top, left = canvas.grid.origin(index)
    y, x = np.array([[top], [left]]) + rng.uniform(0, canvas.grid.crop, (2, 16))
    free = np.flatnonzero(canvas.room(y, x) > needed_px)
    if len(free) == 0:
        return top + canvas.grid.crop / 2, left + canvas.grid.crop / 2
    return float(y[free[0]]), float(x[free[0]])


def _draw_punctum(rng: np.random.Generator, canvas: _Canvas, index: int, habit: _Habit) -> None:
    """Draw one round spot, 60 to 200 nm wide."""
    radius = min(rng.uniform(0.03, 0.10) / canvas.pixel_um, canvas.grid.crop / 4)
    y, x = _start(rng, canvas, index, radius + canvas.margin_px)
    count = max(16, int(4 * radius**2))
    # A sunflower fills a disk evenly: equal areas between turns of the golden angle.
    away = radius * np.sqrt((np.arange(count) + 0.5) / count)
    angle = np.arange(count) * np.pi * (3 - np.sqrt(5))
    light = 1.8 * habit.brightness * rng.lognormal(0, 0.5) * np.pi * radius**2 / count
    canvas.add(y + away * np.sin(angle), x + away * np.cos(angle), light, 2 * np.pi * radius / count)


def _draw_fibre(rng: np.random.Generator, canvas: _Canvas, index: int, habit: _Habit) -> None:
    """Draw one thin curved line through the crop, 1 to 6 um long if its region has room for it."""
    # Ending at different distances from the region's border hides that the border is straight.
    margin_px = canvas.margin_px + rng.uniform(0, canvas.grid.crop / 4)
    heading, half_px = habit.heading + rng.normal(0, 0.45), rng.uniform(0.5, 3.0) / canvas.pixel_um
    y, x, _, along = _path(rng, canvas, index, heading, half_px, 0.25, margin_px)
    grain = ndimage.gaussian_filter1d(rng.normal(0, 1.5, len(y)), 2 * canvas.psf_px)
    bright = 0.8 * habit.brightness * rng.lognormal(0, 0.35) * np.exp(grain) * _fade(along, canvas)
    # A line of this light per pixel is as bright after the blur as a sheet of light 1.
    canvas.add(y, x, _STEP_PX * bright * canvas.psf_px * np.sqrt(2 * np.pi), _STEP_PX)


def _draw_axon(rng: np.random.Generator, canvas: _Canvas, index: int, habit: _Habit) -> None:
    """Draw one axon, 0.2 to 0.6 um wide, with actin rings seen from the side as bands across it."""
    radius = min(rng.uniform(0.09, 0.30) / canvas.pixel_um, canvas.grid.crop / 4)
    needed_px = radius + canvas.margin_px
    heading, half_px = habit.heading + rng.normal(0, 0.2), rng.uniform(1.0, 4.0) / canvas.pixel_um
    y, x, headings, along = _path(rng, canvas, index, heading, half_px, 0.12, needed_px)
    across = np.linspace(-1, 1, int(2 * radius / _STEP_PX) + 1)[:, np.newaxis]
    turn = along * canvas.pixel_um / RING_PERIOD_UM
    ring = np.rint(turn).astype(np.intp) - round(turn[0])
    grain = rng.lognormal(0, 0.6, (4, ring[-1] + 1))[((across + 1) * 1.99).astype(np.intp), ring]
    band = np.cos(np.pi * turn) ** 4 * grain + 0.1  # the rest is what lies between the rings
    rim = 0.5 / np.sqrt(1.1 - across**2)  # more membrane per pixel where it turns out of the focal plane
    bright = habit.brightness * rng.lognormal(0, 0.2) * _fade(along, canvas)
    area = _STEP_PX * 2 * radius / len(across)
    circumference = 2 * np.pi * radius * _STEP_PX * canvas.pixel_um / RING_PERIOD_UM
    y, x = y + radius * across * np.cos(headings), x - radius * across * np.sin(headings)
    canvas.add(y, x, 1.6 * area * bright * band * rim, circumference / len(across))


def _fade(along: _Reals, canvas: _Canvas) -> _Reals:
    """Return a brightness along a curve that falls smoothly to its ends but never to nothing."""
    to_end_um = np.minimum(along - along[0], along[-1] - along) * canvas.pixel_um
    fade: _Reals = 1 - 0.7 * np.exp(-to_end_um / 0.15)
    return fade


def _path(
    rng: np.random.Generator,
    canvas: _Canvas,
    index: int,
    heading: float,
    half_px: float,
    bend_rad: float,
    needed_px: float,
) -> tuple[_Reals, _Reals, _Reals, _Reals]:
    """Return y, x, heading and arc length of a smooth curve through the crop, cut where its room ends."""
    start_y, start_x = _start(rng, canvas, index, needed_px)
    count = int(half_px / _STEP_PX)
    along: _Reals = np.arange(-count, count + 1, dtype=np.float64) * _STEP_PX
    memory = _BEND_UM / canvas.pixel_um / _STEP_PX
    # Smoothing shrinks the noise by the root of the width it averages over.
    bend = rng.normal(0, bend_rad / memory * np.sqrt(2 * np.sqrt(np.pi) * memory), len(along))
    drift = np.cumsum(ndimage.gaussian_filter1d(bend, memory))
    angle = heading + drift - drift[count]
    y, x = np.cumsum(_STEP_PX * np.sin(angle)), np.cumsum(_STEP_PX * np.cos(angle))
    y, x = y - y[count] + start_y, x - x[count] + start_x
    blocked = np.flatnonzero(canvas.room(y, x) <= needed_px)
    before, after = blocked[blocked < count], blocked[blocked > count]
    kept = slice(before[-1] + 1 if len(before) else 0, after[0] if len(after) else len(along))
    return y[kept], x[kept], angle[kept], along[kept]
