import numpy as np
import pytest

from costal.agent.learning_curve import expected_gain

LEARNED = np.array([25.0, 50.0, 100.0])


def right(errors, count=1000):
    """Return which of so many labels are right where so many are wrong, spread evenly over groups of four."""
    rng = np.random.default_rng(0)
    return np.stack([(rng.permutation(count) >= wrong).astype(float) for wrong in errors])


def gain(errors, now=100, more=100, groups=None):
    group_N = np.arange(1000) // 4 if groups is None else groups
    return expected_gain(right(errors), LEARNED, group_N, now, more, np.random.default_rng(0))


def test_errors_that_halve_with_twice_the_labels_halve_once_more():
    """0.4, 0.2, 0.1: twice as many labels make 0.05 of 0.1, five points."""
    assert gain((400, 200, 100)).points == pytest.approx(5.0, abs=0.05)


def test_no_gain_is_foretold_where_more_labels_brought_none():
    found = gain((100, 100, 100))
    assert found.points == pytest.approx(0.0, abs=1e-6)
    assert found.plus_minus > 0


def test_a_loss_is_never_foretold():
    assert gain((100, 150, 200)).points == 0.0


def test_more_labels_bring_more():
    assert 0 < gain((400, 280, 200), more=20).points < gain((400, 280, 200), more=100).points < 20


def test_labels_that_are_alike_tell_less():
    """Where errors come by the hundred, in labels that are alike, the slope is less sure."""
    errors = np.stack([np.arange(1000) < wrong for wrong in (400, 300, 200)])
    arguments = (~errors).astype(float), LEARNED
    alike, apart = (
        expected_gain(*arguments, group_N, 100, 100, np.random.default_rng(0))
        for group_N in (np.arange(1000) // 100, np.arange(1000))
    )
    assert alike.points == pytest.approx(apart.points)
    assert alike.plus_minus > 2 * apart.plus_minus
