from itertools import product

import numpy as np
import pytest

from costal.errors import FrameError
from costal.frames.planes import MOST_PLANES, describe, planes_of
from costal.frames.read import Planes, frame_from_array, plane
from costal.types import PlaneRule

CHOICES = ("each", "first", "max", "mean")
LENGTHS = {"T": 2, "Z": 3, "C": 4, "Y": 5, "X": 6}


def frame(axes, lengths=LENGTHS):
    shape = tuple(lengths[axis] for axis in axes)
    return frame_from_array(np.arange(np.prod(shape), dtype=np.uint16).reshape(shape), axes, None, "a frame")


@pytest.mark.parametrize(
    ("axes", "rule", "expected"),
    [
        ("YX", PlaneRule("each", "each"), ["all"]),
        ("CYX", PlaneRule("mean", "max"), ["all"]),
        ("ZYX", PlaneRule("each", "each"), ["z 0", "z 1", "z 2"]),
        ("ZYX", PlaneRule("first", "each"), ["z 0"]),
        ("ZYX", PlaneRule("max", "each"), ["max z"]),
        ("TYX", PlaneRule("max", "mean"), ["mean t"]),
        ("TZYX", PlaneRule("max", "each"), ["max z, t 0", "max z, t 1"]),
        ("TZCYX", PlaneRule("each", "first"), ["z 0, t 0", "z 1, t 0", "z 2, t 0"]),
        (
            "TZYX",
            PlaneRule("each", "each"),
            ["z 0, t 0", "z 1, t 0", "z 2, t 0", "z 0, t 1", "z 1, t 1", "z 2, t 1"],
        ),
        (
            "ZTYX",
            PlaneRule("each", "each"),
            ["z 0, t 0", "z 1, t 0", "z 2, t 0", "z 0, t 1", "z 1, t 1", "z 2, t 1"],
        ),
        ("CYX", PlaneRule(channels=(2, 0)), ["channels 2 0"]),
        ("ZCYX", PlaneRule("each", channels=(1,)), ["z 0, channels 1", "z 1, channels 1", "z 2, channels 1"]),
    ],
)
def test_a_rule_gives_these_planes_in_this_order(axes, rule, expected):
    assert [describe(planes) for planes in planes_of(frame(axes), rule)] == expected


def test_every_plane_of_a_rule_can_be_cut_out_and_has_its_own_description():
    shapes, repeated = {}, []
    for axes, z, t in product(["YX", "CYX", "ZYX", "TYX", "TZYX", "ZTCYX"], CHOICES, CHOICES):
        one = frame(axes)
        result = planes_of(one, PlaneRule(z, t))
        shapes[axes, z, t] = {plane(one, planes).shape for planes in result}
        if len({describe(planes) for planes in result}) < len(result):
            repeated.append((axes, z, t))
    assert shapes == {key: {(LENGTHS["C"] if "C" in key[0] else 1, 5, 6)} for key in shapes}
    assert repeated == []


def test_each_plane_is_cut_from_its_own_place():
    one = frame("TZYX")
    result = [plane(one, planes)[0] for planes in planes_of(one, PlaneRule("each", "each"))]
    np.testing.assert_array_equal(np.stack(result), one.pixels.reshape(6, 5, 6))


def test_a_projection_of_z_is_taken_at_every_time():
    one = frame("TZYX")
    result = [plane(one, planes)[0] for planes in planes_of(one, PlaneRule("max", "each"))]
    np.testing.assert_array_equal(np.stack(result), one.pixels.max(axis=1))


def test_an_axis_of_one_plane_is_as_good_as_none():
    one = frame("TZYX", LENGTHS | {"Z": 1})
    assert planes_of(one, PlaneRule("each", "each")) == (Planes(None, None, 0), Planes(None, None, 1))
    np.testing.assert_array_equal(plane(one, Planes(None, None, 1))[0], one.pixels[1, 0])


def test_what_was_not_chosen_is_refused_where_there_is_a_choice():
    with pytest.raises(FrameError, match=r"no Z None\. Choose Z from 0 to 2"):
        plane(frame("ZYX"), Planes(z=None))


def test_too_many_planes_are_refused_and_as_many_as_allowed_are_not():
    lengths = {"T": 101, "Z": 100, "Y": 1, "X": 1}
    with pytest.raises(FrameError, match=r"101 times and 100 Z planes, .* 10,000 frames\. Project Z or T"):
        planes_of(frame("TZYX", lengths), PlaneRule("each", "each"))
    assert len(planes_of(frame("TZYX", lengths | {"T": 100}), PlaneRule("each", "each"))) == MOST_PLANES
    assert len(planes_of(frame("TZYX", lengths), PlaneRule("mean", "each"))) == 101
