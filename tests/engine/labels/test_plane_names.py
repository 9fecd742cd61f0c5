"""The words for planes: those of today and of earlier versions."""

import pytest

from costal.labels.plane_names import is_vague, may_be_same, steps_of


@pytest.mark.parametrize(
    ("planes", "steps", "vague"),
    [
        ("z 3, t 0", {"z": 3, "t": 0}, False), ("max z, t 2", {"t": 2}, False), ("all", {}, False),
        ("channels 0 2", {}, False), ("slice 3", {}, True), ("slice 0 3", {}, True),
        ("maximum projection", {}, True), ("all as channels", {}, True),
    ],
)  # fmt: skip
def test_words_tell_the_plane_of_each_axis_and_older_ones_do_not(planes, steps, vague):
    assert (dict(steps_of(planes)), is_vague(planes)) == (steps, vague)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("z 3", "z 3", True), ("z 3", "t 3", False), ("slice 3", "z 3", True), ("t 3", "slice 3", True),
        ("slice 3", "z 4", False), ("slice 0 3", "z 3", True), ("slice 1 3", "z 3, t 1", True),
        ("slice 1 3", "z 3", False), ("slice 2 3", "z 3, channels 2", True), ("slice 0", "all", True),
        ("slice 3", "slice 4", False), ("slice 3", "max z", False), ("maximum projection", "max z, max t", True),
        ("maximum projection", "z 3", False), ("all as channels", "all", True), ("all as channels", "z 3", False),
    ],
)  # fmt: skip
def test_older_words_can_mean_the_planes_that_have_their_numbers(one, other, same):
    assert may_be_same(one, other) is may_be_same(other, one) is same
