from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from costal.frames.grid import tile
from costal.labels.controls import control_flags, control_numbers, control_numbers_of
from costal.labels.project import Choices, Project


def project(share=0.1, seed=0):
    return Project(Path("neurons"), "neurons", (), choices=Choices(control_share=share, seed=seed))


GRID = tile((6400, 6400), 64, 64, "drop")


def test_numbers_are_uniform_in_every_part_of_a_frame():
    numbers_N = control_numbers_of(project(), "abc", GRID)
    assert numbers_N.min() >= 0
    assert numbers_N.max() < 1
    assert kstest(numbers_N, "uniform").pvalue > 0.001
    rows_N, cols_N = np.divmod(np.arange(len(GRID)), GRID.cols)
    is_control_N = numbers_N < 0.1
    for places_N in (rows_N // 10, cols_N // 10, (rows_N + cols_N) % 2, rows_N % 8, cols_N % 8):
        counts, totals = np.bincount(places_N, is_control_N), np.bincount(places_N)
        assert chisquare(counts, totals * is_control_N.mean()).pvalue > 0.001


@pytest.mark.parametrize("share", [0.0, 0.05, 0.1, 0.5, 1.0])
def test_the_share_of_controls_is_the_projects(share):
    flags_N = control_flags(project(share), "abc", GRID)
    assert flags_N.mean() == pytest.approx(share, abs=0.012)


def test_a_larger_share_keeps_the_controls_of_a_smaller_one():
    few, more = (control_flags(project(share), "abc", GRID) for share in (0.05, 0.2))
    assert more[few].all()


@pytest.mark.parametrize("other", ["another frame", "another seed", "another crop size"])
def test_another_frame_seed_or_size_draws_other_controls(other):
    flags_N = control_flags(project(0.5), "abc", GRID)
    if other == "another frame":
        again_N = control_flags(project(0.5), "abd", GRID)
    elif other == "another seed":
        again_N = control_flags(project(0.5, seed=1), "abc", GRID)
    else:
        again_N = control_flags(project(0.5), "abc", replace(GRID, crop=65))
    assert (flags_N == again_N).mean() == pytest.approx(0.5, abs=0.02)


def test_a_crop_has_the_same_number_whatever_grid_it_is_part_of():
    small = tile((640, 640), 64, 64, "drop")
    numbers_N = control_numbers_of(project(), "abc", GRID).reshape(100, 100)[:10, :10].ravel()
    np.testing.assert_array_equal(control_numbers_of(project(), "abc", small), numbers_N)
    own = control_numbers(project(), "abc", np.array([128]), np.array([64]), 64)
    assert own[0] == numbers_N[2 * 10 + 1]


def test_numbers_are_the_same_on_every_machine():
    numbers = control_numbers(project(), "abc", np.array([0, 64, 2**31 - 64]), np.array([0, 128, 2**31 - 64]), 64)
    assert numbers.tolist() == [0.013760890459901032, 0.9193396936607984, 0.8652370252513044]
