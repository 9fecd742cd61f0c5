"""Synthetic digits: MNIST's shape and nearly its difficulty, drawn from fonts that are always installed."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from costal.seeds import rng_for
from costal.types import Floats

SIDE = 28
CLASS_COUNT = 10
# Named one by one: other fonts of that folder have symbols, or nothing, in the digits' places.
FONT_FILES = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSans-Oblique.ttf",
    "DejaVuSansMono.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSerif-Italic.ttf",
    "STIXGeneral.ttf",
    "STIXGeneralItalic.ttf",
    "STIXGeneralBol.ttf",
    "cmr10.ttf",
    "cmss10.ttf",
    "cmtt10.ttf",
    "cmti10.ttf",
)

_BLOCK = 1024  # digits warped at once, which bounds the memory of a large request
_OVERSAMPLING = 2  # template pixels per image pixel
_TEMPLATE_SIDE = _OVERSAMPLING * SIDE
_GLYPH_HEIGHT = _OVERSAMPLING * 20  # MNIST, too, fits its digits into 20 of 28 pixels
_KNOTS = 4  # the elastic field is drawn on 4x4 knots, about a stroke apart
# These spreads set how hard the set is. Measured with the paper's network, seeds 0 to 2: 63, 65, 70 % right after 20
# labels and 97, 97, 96 % after 1,000, a little easier than MNIST (57, 58, 55 %; 95 % on seed 0).
# Severity scales all distortions of one digit: as in handwriting, most digits are easy and a few are hard.
_LOG_SEVERITY = 0.5
_ROTATION_RAD = 0.10
_SHEAR = 0.10
_LOG_STRETCH = 0.07
_SHIFT_PX = 0.4
_ELASTIC_PX = 0.66
_STROKE_PX = (0.0, 0.9)
_BLUR_PX = (1.0, 2.2)
_NOISE = (0.0, 0.12)


def render(seed: int, indices: Sequence[int] | NDArray[np.integer]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the digits `indices` of the endless set `seed`: images (N, 28, 28) and their classes (N,).

    Images are uint8, white on black like MNIST's; classes are uniform in 0 … 9. A digit is determined by
    (seed, index) alone: the same pixels come whatever else is rendered, in any order. Seed and indices are >= 0.
    """
    labels_N = np.empty(len(indices), np.int64)
    images_N_Y_X = np.empty((len(indices), SIDE, SIDE), np.uint8)
    for start in range(0, len(indices), _BLOCK):
        block = slice(start, start + _BLOCK)
        drawings = [_draw(seed, int(index)) for index in indices[block]]
        labels_N[block] = [drawing.label for drawing in drawings]
        images_N_Y_X[block] = _ink(_warp(drawings), drawings)
    return images_N_Y_X, labels_N


def classes(seed: int, indices: Sequence[int] | NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the classes (N,) of the digits `indices` of the set `seed`, without drawing them."""
    return np.array([_label(rng_for(seed, "digit", int(index))) for index in indices], np.int64)


def to_crops(images_N_Y_X: NDArray[np.uint8]) -> Floats:
    """Return images as crops of shape (N, 1, 28, 28) in [0, 1]."""
    return (images_N_Y_X[:, None] / 255).astype(np.float32)


def perimeter(crop_Y_X: Floats) -> float:
    """Return the length in pixels of the outline of the binarised digit (brighter than half)."""
    from skimage.measure import perimeter as contour_length

    return float(contour_length(crop_Y_X > 0.5, neighborhood=4))


def perimeters(crops_N_1_Y_X: Floats) -> Floats:
    """Return the perimeter (N,) of each digit."""
    return np.array([perimeter(crop) for crop in crops_N_1_Y_X[:, 0]], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class _Drawing:
    """Every random choice behind one digit; lengths are in image pixels."""

    label: int
    font: int
    affine: NDArray[np.float64]
    shift: NDArray[np.float64]
    elastic: NDArray[np.float64]
    stroke: float
    blur: float
    brightness: float
    noise_Y_X: NDArray[np.float32]


def _label(rng: np.random.Generator) -> int:
    """Return the class of a digit: the first thing that its generator draws."""
    return int(rng.integers(CLASS_COUNT))


def _draw(seed: int, index: int) -> _Drawing:
    """Return the random choices of one digit."""
    rng = rng_for(seed, "digit", index)
    label, font = _label(rng), int(rng.integers(len(FONT_FILES)))
    severity = rng.lognormal(0, _LOG_SEVERITY)
    turn, slant, tall, wide = severity * rng.normal(0, (_ROTATION_RAD, _SHEAR, _LOG_STRETCH, _LOG_STRETCH))
    cos, sin = np.cos(turn), np.sin(turn)
    affine = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1.0, 0.0], [slant, 1.0]])
    return _Drawing(
        label=label,
        font=font,
        affine=affine @ np.diag(np.exp((tall, wide))),
        shift=severity * rng.normal(0, _SHIFT_PX, 2),
        elastic=severity * rng.normal(0, _ELASTIC_PX, (2, _KNOTS, _KNOTS)),
        stroke=rng.uniform(*_STROKE_PX),
        blur=rng.uniform(*_BLUR_PX),
        brightness=rng.uniform(0.75, 1.0),
        noise_Y_X=rng.standard_normal((SIDE, SIDE), np.float32) * np.float32(rng.uniform(*_NOISE)),
    )


def _warp(drawings: list[_Drawing]) -> NDArray[np.float32]:
    """Return how far each pixel lies inside the distorted stroke, in image pixels: (N, 28, 28)."""
    from scipy import ndimage

    centred = np.arange(SIDE) - (SIDE - 1) / 2
    affine = np.array([drawing.affine for drawing in drawings])[..., np.newaxis, np.newaxis]
    shift = np.array([drawing.shift for drawing in drawings])[..., np.newaxis, np.newaxis]
    bumps_P_K = _bumps()
    # A stack of equal small products: each digit's sum is added up in the same order, however many there are.
    elastic = bumps_P_K @ np.array([drawing.elastic for drawing in drawings]) @ bumps_P_K.T
    source = affine[:, :, 0] * centred[:, np.newaxis] + affine[:, :, 1] * centred + shift + elastic
    source = np.clip(source * _OVERSAMPLING + (_TEMPLATE_SIDE - 1) / 2, 0, _TEMPLATE_SIDE - 1)
    template_N = np.array([drawing.font * CLASS_COUNT + drawing.label for drawing in drawings])
    source[:, 0] += (template_N * _TEMPLATE_SIDE)[:, np.newaxis, np.newaxis]
    inside: NDArray[np.float32] = ndimage.map_coordinates(_atlas(), source.swapaxes(0, 1), order=1)
    return inside


def _ink(inside_N_Y_X: NDArray[np.float32], drawings: list[_Drawing]) -> NDArray[np.uint8]:
    """Return the drawn images: stroke weight and blur turn distance into grey, noise is added last."""
    stroke = np.array([drawing.stroke for drawing in drawings], np.float32)[:, np.newaxis, np.newaxis]
    blur = np.array([drawing.blur for drawing in drawings], np.float32)[:, np.newaxis, np.newaxis]
    brightness = np.array([drawing.brightness for drawing in drawings], np.float32)[:, np.newaxis, np.newaxis]
    noise_N_Y_X = np.array([drawing.noise_Y_X for drawing in drawings])
    grey_N_Y_X = brightness * np.clip(0.5 + (inside_N_Y_X + stroke) / blur, 0, 1) + noise_N_Y_X
    images_N_Y_X: NDArray[np.uint8] = np.rint(255 * np.clip(grey_N_Y_X, 0, 1)).astype(np.uint8)
    return images_N_Y_X


def _bumps() -> NDArray[np.float64]:
    """Return the weight of each knot at each pixel along one axis, (28, knots); every row sums to 1."""
    knots = np.linspace(0, SIDE - 1, _KNOTS)
    distance = (np.arange(SIDE)[:, np.newaxis] - knots) / (knots[1] - knots[0])
    weight = np.exp(-2 * distance**2)
    shares: NDArray[np.float64] = weight / weight.sum(axis=1, keepdims=True)
    return shares


@functools.cache
def _atlas() -> NDArray[np.float32]:
    """Return all glyphs below each other, font by font, as signed distance to the outline in image pixels.

    Distances, positive inside, interpolate smoothly and give every stroke weight and blur from one template.
    """
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    atlas = np.concatenate([_template(folder / name, digit) for name in FONT_FILES for digit in range(CLASS_COUNT)])
    atlas.flags.writeable = False
    return atlas


def _template(font_path: Path, digit: int) -> NDArray[np.float32]:
    """Return one glyph, centred and of common height, as signed distance to its outline."""
    from scipy import ndimage

    probe = ImageFont.truetype(str(font_path), 100)
    _, top, _, bottom = probe.getbbox(str(digit))
    font = ImageFont.truetype(str(font_path), 100 * _GLYPH_HEIGHT / (bottom - top))
    left, top, right, bottom = font.getbbox(str(digit))
    canvas = Image.new("L", (_TEMPLATE_SIDE, _TEMPLATE_SIDE))
    corner = ((_TEMPLATE_SIDE - left - right) / 2, (_TEMPLATE_SIDE - top - bottom) / 2)
    ImageDraw.Draw(canvas).text(corner, str(digit), font=font, fill=255)
    glyph = np.asarray(canvas) > 127
    distance = ndimage.distance_transform_edt(glyph) - ndimage.distance_transform_edt(~glyph)
    inside_px: NDArray[np.float32] = (distance / _OVERSAMPLING).astype(np.float32)
    return inside_px
