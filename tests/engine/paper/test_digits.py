import numpy as np
import pytest
from scipy import ndimage, stats

from costal.paper import digits


@pytest.fixture(scope="module")
def thousand():
    return digits.render(0, range(1000))


def test_images_are_uint8_of_mnist_shape_and_classes_int64(thousand):
    images, classes = thousand
    assert images.shape == (1000, 28, 28)
    assert images.dtype == np.uint8
    assert classes.shape == (1000,)
    assert classes.dtype == np.int64


def test_nothing_asked_gives_empty_arrays_of_the_same_kind():
    images, classes = digits.render(0, [])
    assert (images.shape, images.dtype) == ((0, 28, 28), np.uint8)
    assert (classes.shape, classes.dtype) == ((0,), np.int64)


def test_equal_seeds_give_equal_digits(thousand):
    images, classes = digits.render(0, range(50))
    np.testing.assert_array_equal(images, thousand[0][:50])
    np.testing.assert_array_equal(classes, thousand[1][:50])


def test_another_seed_gives_other_digits(thousand):
    images, classes = digits.render(1, range(50))
    assert not np.array_equal(images, thousand[0][:50])
    assert not np.array_equal(classes, thousand[1][:50])


@pytest.mark.parametrize(
    "indices",
    [[7], [999, 3, 3, 500], np.array([12, 11, 10]), list(range(200, 233))],
    ids=["alone", "shuffled-and-repeated", "numpy-indices", "odd-count"],
)
def test_a_digit_does_not_depend_on_what_else_is_rendered(thousand, indices):
    images, classes = digits.render(0, indices)
    np.testing.assert_array_equal(images, thousand[0][indices])
    np.testing.assert_array_equal(classes, thousand[1][indices])


def test_a_digit_does_not_depend_on_the_block_it_is_drawn_in(thousand, monkeypatch):
    monkeypatch.setattr(digits, "_BLOCK", 7)
    images, _ = digits.render(0, range(20))
    np.testing.assert_array_equal(images, thousand[0][:20])


def test_classes_are_uniform_by_chi_square(thousand):
    _, classes = thousand
    counts = np.bincount(classes, minlength=10)
    assert len(counts) == 10
    assert stats.chisquare(counts).pvalue > 0.001


def test_every_font_draws_ten_different_glyphs():
    glyphs = digits._atlas().reshape(len(digits.FONT_FILES), 10, -1) > 0
    for font, ten in zip(digits.FONT_FILES, glyphs, strict=True):
        assert len({glyph.tobytes() for glyph in ten}) == 10, font
        assert (ten.sum(axis=1) > 100).all(), font


def test_fonts_differ_from_each_other():
    glyphs = digits._atlas().reshape(len(digits.FONT_FILES), -1) > 0
    assert len({glyph.tobytes() for glyph in glyphs}) == len(digits.FONT_FILES)


def test_digits_are_white_on_a_black_border(thousand):
    images, _ = thousand
    border = np.ones((28, 28), bool)
    border[2:-2, 2:-2] = False
    assert images[:, border].mean() < 0.05 * 255
    assert (images.max(axis=(1, 2)) > 0.6 * 255).all()


def test_ink_covers_a_plausible_part_of_every_digit(thousand):
    ink = (thousand[0] > 127).mean(axis=(1, 2))
    assert ink.min() > 0.02
    assert ink.max() < 0.5


def test_no_two_digits_are_alike(thousand):
    images, _ = thousand
    assert len({image.tobytes() for image in images}) == len(images)


@pytest.mark.parametrize("label", range(10))
def test_digits_of_one_class_vary_in_weight_and_slant(thousand, label):
    images, classes = thousand
    ours = images[classes == label] > 127
    ink = ours.mean(axis=(1, 2))
    slants = [np.cov(*np.nonzero(image))[0, 1] / np.cov(*np.nonzero(image))[0, 0] for image in ours]
    assert ink.std() / ink.mean() > 0.15
    assert np.std(slants) > 0.05


def test_the_elastic_distortion_changes_shapes(monkeypatch):
    bent, _ = digits.render(0, range(20))
    monkeypatch.setattr(digits, "_ELASTIC_PX", 0.0)
    straight, _ = digits.render(0, range(20))
    moved = np.abs(bent.astype(float) - straight).mean(axis=(1, 2))
    assert (moved > 1).all()


@pytest.mark.parametrize("label", [1, 2, 3, 5, 7])
def test_strokes_mostly_stay_in_one_piece(thousand, label):
    images, classes = thousand
    smooth = ndimage.gaussian_filter(images[classes == label].astype(float), (0, 0.7, 0.7))
    pieces = [ndimage.label(image > 60, np.ones((3, 3)))[1] for image in smooth]
    assert np.mean(np.array(pieces) == 1) > 0.9


def test_a_classifier_of_class_means_finds_the_classes_better_than_chance_but_not_perfectly(thousand):
    images, classes = thousand
    known, samples = images[:800].astype(float), images[800:].astype(float)
    means = np.array([known[classes[:800] == label].mean(axis=0) for label in range(10)])
    distance = ((samples[:, np.newaxis] - means) ** 2).sum(axis=(2, 3))
    accuracy = (distance.argmin(axis=1) == classes[800:]).mean()
    assert 0.5 < accuracy < 0.95


def crop_of(image):
    return digits.to_crops(image[None])[0, 0]


def square(side, grey=255):
    image = np.zeros((28, 28), dtype=np.uint8)
    image[5 : 5 + side, 5 : 5 + side] = grey
    return image


@pytest.mark.parametrize("side", [3, 5, 10])
def test_the_perimeter_of_a_square_runs_through_its_border_pixels(side):
    assert digits.perimeter(crop_of(square(side))) == 4 * (side - 1)


@pytest.mark.parametrize(("grey", "expected"), [(127, 0), (128, 36)])
def test_a_digit_is_what_is_brighter_than_half(grey, expected):
    assert digits.perimeter(crop_of(square(10, grey))) == expected


def test_a_hole_adds_its_own_outline():
    ring = square(9)
    ring[8:11, 8:11] = 0
    assert digits.perimeter(crop_of(ring)) > digits.perimeter(crop_of(square(9)))


def test_classes_need_no_drawing(thousand, monkeypatch):
    monkeypatch.setattr(digits, "_warp", None)
    assert digits.classes(0, range(1000)).tolist() == thousand[1].tolist()


def test_crops_are_images_with_a_channel_between_0_and_1():
    crops = digits.to_crops(np.array([[[0, 51], [255, 102]]], np.uint8))
    assert (crops.shape, crops.dtype) == ((1, 1, 2, 2), np.float32)
    assert crops.ravel().tolist() == pytest.approx([0, 0.2, 1, 0.4])
