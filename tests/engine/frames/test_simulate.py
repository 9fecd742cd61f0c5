import numpy as np
import pytest
from scipy import ndimage, stats

from costal.errors import FrameError
from costal.frames.simulate import (
    BACKGROUND,
    CLASS_NAMES,
    FIBRES,
    PUNCTA,
    RING_PERIOD_UM,
    RINGS,
    SimulatedField,
    simulate_field,
    simulated_effort_s,
)


def crops_of(field: SimulatedField) -> np.ndarray:
    size = field.grid.crop
    origins = [field.grid.origin(index) for index in range(len(field.grid))]
    return np.array([field.pixels_Y_X[y : y + size, x : x + size] for y, x in origins], float)


@pytest.fixture(scope="module")
def field() -> SimulatedField:
    return simulate_field((768, 768), 64, seed=0)


def test_a_field_has_the_asked_shape_and_one_truth_per_crop(field):
    assert field.pixels_Y_X.shape == (768, 768)
    assert field.pixels_Y_X.dtype == np.uint16
    assert (field.grid.rows, field.grid.cols, field.grid.stride, field.grid.edge) == (12, 12, 64, "drop")
    assert field.classes_N.shape == field.contour_px_N.shape == (144,)
    assert field.classes_N.dtype == np.int64
    assert field.pixel_um == 0.02


def test_equal_seeds_give_equal_fields_and_others_do_not(field):
    again, other = simulate_field((768, 768), 64, seed=0), simulate_field((768, 768), 64, seed=1)
    for name in ("pixels_Y_X", "classes_N", "contour_px_N"):
        np.testing.assert_array_equal(getattr(again, name), getattr(field, name))
        assert not np.array_equal(getattr(other, name), getattr(field, name))


@pytest.mark.parametrize("seed", range(5))
def test_all_classes_occur_from_four_crops_on(seed):
    small = simulate_field((128, 128), 64, seed)
    assert sorted(small.classes_N) == list(range(len(CLASS_NAMES)))


@pytest.mark.parametrize(
    ("shape", "crop", "rows", "cols"),
    [
        ((64, 64), 64, 1, 1),
        ((100, 333), 48, 2, 6),
        ((333, 100), 17, 19, 5),
        ((130, 250), 125, 1, 2),
        ((16, 400), 16, 1, 25),
    ],
    ids=["one-crop", "wide-remainder", "tall-odd-crop", "one-row", "a-strip-of-smallest-crops"],
)
@pytest.mark.parametrize("seed", range(3))
def test_any_size_is_drawn_and_what_is_no_multiple_of_the_crop_is_left_over(shape, crop, rows, cols, seed):
    odd = simulate_field(shape, crop, seed)
    assert odd.pixels_Y_X.shape == shape
    assert (odd.grid.rows, odd.grid.cols) == (rows, cols)
    assert len(odd.classes_N) == rows * cols
    np.testing.assert_array_equal(odd.contour_px_N > 0, odd.classes_N != BACKGROUND)


@pytest.mark.parametrize("seed", range(4))
def test_background_crops_have_no_contour_and_all_others_have(seed):
    drawn = simulate_field((512, 512), 32, seed)
    np.testing.assert_array_equal(drawn.contour_px_N > 0, drawn.classes_N != BACKGROUND)


def test_counts_on_background_are_poisson(field):
    # Far from structures, so that no out-of-focus light raises the rate on one side.
    lit = np.kron(field.classes_N.reshape(12, 12) != BACKGROUND, np.ones((64, 64), bool))
    quiet = field.pixels_Y_X[ndimage.distance_transform_edt(~lit) > 40].astype(float)
    assert len(quiet) > 10_000
    assert quiet.mean() == pytest.approx(2.0, rel=0.03)
    assert quiet.var() == pytest.approx(quiet.mean(), rel=0.05)


def test_noise_shrinks_relative_to_the_signal_with_more_photons():
    dim, bright = (simulate_field((128, 128), 64, 0, photons=photons) for photons in (5.0, 500.0))
    background = dim.classes_N == BACKGROUND
    spread = [crops_of(drawn)[background, 16:48, 16:48] for drawn in (dim, bright)]
    assert spread[1].std() / spread[1].mean() < 0.3 * spread[0].std() / spread[0].mean()


def test_counts_saturate_at_the_top_of_uint16():
    drawn = simulate_field((128, 128), 64, 0, photons=65535.0)
    assert drawn.pixels_Y_X.max() == 65535


def test_light_of_structures_does_not_reach_into_background_crops(field):
    crops = crops_of(field)
    background = crops[field.classes_N == BACKGROUND]
    dark = np.quantile(background, 0.5)
    # 20 photons are an ordinary structure; 12 are beyond a Poisson mean of 2 plus a little glow.
    assert dark <= 3
    assert (background >= 12).mean() < 1e-4
    lit = crops[field.classes_N != BACKGROUND]
    assert ((lit >= 12).mean(axis=(1, 2)) > 0.002).all()


@pytest.mark.parametrize("kind", [PUNCTA, FIBRES, RINGS], ids=CLASS_NAMES[1:])
def test_crops_with_more_contour_have_more_light_and_edges(field, kind):
    ours = field.classes_N == kind
    smooth = ndimage.gaussian_filter(crops_of(field)[ours], (0, 1, 1))
    edges = np.hypot(*np.gradient(smooth, axis=(1, 2))).mean(axis=(1, 2))
    contour = field.contour_px_N[ours]
    assert stats.spearmanr(contour, smooth.mean(axis=(1, 2))).statistic > 0.5
    assert stats.spearmanr(contour, edges).statistic > 0.5


@pytest.mark.parametrize("kind", [PUNCTA, FIBRES, RINGS], ids=CLASS_NAMES[1:])
def test_some_crops_are_cheap_and_some_are_dear(field, kind):
    contour = field.contour_px_N[field.classes_N == kind]
    assert np.quantile(contour, 0.9) > 2 * np.quantile(contour, 0.1)


@pytest.mark.parametrize("pixel_um", [0.015, 0.02, 0.03])
def test_rings_repeat_every_190_nm_at_any_pixel_size(pixel_um):
    drawn = simulate_field((512, 512), 64, 4, photons=100, pixel_um=pixel_um)
    crops = crops_of(drawn)
    crops -= crops.mean(axis=(1, 2), keepdims=True)
    power = np.abs(np.fft.fft2(crops * np.outer(np.hanning(64), np.hanning(64)))) ** 2
    power /= power.sum(axis=(1, 2), keepdims=True)
    cycles_um = np.hypot(*np.meshgrid(np.fft.fftfreq(64, pixel_um), np.fft.fftfreq(64, pixel_um)))
    frequencies = np.arange(0.5, 1.6, 0.1)  # of the rings' own
    bands = [np.abs(cycles_um * RING_PERIOD_UM - frequency) < 0.08 for frequency in frequencies]
    rings, fibres = (
        np.array([power[drawn.classes_N == kind][:, band].mean() for band in bands]) for kind in (RINGS, FIBRES)
    )
    excess = rings / fibres
    assert frequencies[excess.argmax()] == pytest.approx(1.0, abs=0.15)
    assert excess.max() > 2 * excess[[0, 1, 2, -3, -2, -1]].max()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"shape": (63, 500), "crop": 64}, ["63 x 500", "64 px"]),
        ({"shape": (500, 20), "crop": 64}, ["500 x 20", "64 px"]),
        ({"shape": (0, 0), "crop": 64}, ["0 x 0"]),
        ({"shape": (64, 64), "crop": 8}, ["8 px", "at least 15 px"]),
        ({"shape": (64, 64), "crop": 0}, ["0 px", "at least 15 px"]),
        ({"shape": (64, 64), "crop": 64, "photons": 0.0}, ["photons is 0.0"]),
        ({"shape": (64, 64), "crop": 64, "photons": float("nan")}, ["photons is nan"]),
        ({"shape": (64, 64), "crop": 64, "pixel_um": 0.5}, ["pixel_um is 0.5", "0.06"]),
        ({"shape": (64, 64), "crop": 64, "pixel_um": -0.02}, ["pixel_um is -0.02"]),
    ],
    ids=["low", "narrow", "empty", "small-crop", "no-crop", "dark", "nan", "coarse", "negative"],
)
def test_what_cannot_be_drawn_is_refused_by_name_and_size(arguments, words):
    with pytest.raises(FrameError) as refusal:
        simulate_field(seed=0, **arguments)
    for word in words:
        assert word in str(refusal.value)


def test_effort_without_noise_is_base_plus_contour_times_rate(field):
    effort = simulated_effort_s(field, 0, seconds_per_px=0.1, base_s=2.0, noise=0.0)
    assert effort.dtype == np.float32
    np.testing.assert_allclose(effort, 2.0 + 0.1 * field.contour_px_N, rtol=1e-6)


def test_effort_is_log_normal_with_the_stated_mean_and_spread(field):
    means = simulated_effort_s(field, 0, noise=0.0)
    ratios = np.concatenate([simulated_effort_s(field, seed, noise=0.4) / means for seed in range(40)])
    assert ratios.mean() == pytest.approx(1.0, abs=0.02)
    assert np.log(ratios).std() == pytest.approx(0.4, rel=0.05)
    assert abs(stats.skew(np.log(ratios))) < 0.15


def test_effort_is_positive_and_settled_by_its_seed(field):
    effort = simulated_effort_s(field, 5, noise=1.0)
    assert (effort > 0).all()
    np.testing.assert_array_equal(effort, simulated_effort_s(field, 5, noise=1.0))
    assert not np.array_equal(effort, simulated_effort_s(field, 6, noise=1.0))
