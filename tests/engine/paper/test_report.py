import numpy as np
import pytest
from matplotlib.figure import Figure

from costal.paper.experiment import NAN, RoundReport
from costal.paper.report import draw_accuracy, mosaic_figure, picks_figure
from costal.types import Query, Scores

REPORTS = [
    RoundReport("STD, β = 0.3", 0, 0, 20, 0.55, NAN, 0.0, (2,) * 10),
    RoundReport("STD, β = 0.3", 0, 1, 24, 0.61234, NAN, 123.45678, (2,) * 9 + (6,)),
]
IMAGES = np.full((7, 28, 28), 200, np.uint8)


@pytest.fixture
def query():
    figures = np.arange(7, dtype=np.float32)
    scores = Scores(figures / 10, figures + 1, np.full((7, 10), 0.1, np.float32), False, "cpu")
    return Query(np.array([6, 2]), figures, scores)


@pytest.mark.parametrize(
    ("against", "points"), [("labels", [[20, 0.55], [24, 0.61234]]), ("total_cost", [[0, 0.55], [123.45678, 0.61234]])]
)
def test_a_curve_shows_accuracy_against_what_is_asked_for(against, points):
    axes = Figure().subplots()
    draw_accuracy(axes, REPORTS, against, "")
    assert axes.lines[0].get_label() == "STD, β = 0.3"
    assert axes.lines[0].get_xydata().tolist() == points


def test_the_mosaic_outlines_each_pick_where_it_lies(query):
    left, right, _ = mosaic_figure("MNIST", IMAGES, query).axes
    for axes in (left, right):
        assert [patch.get_xy() for patch in axes.patches] == [(-0.5, 55.5), (55.5, -0.5)]
    assert left.get_title() == "7 MNIST, 2 picked"
    np.testing.assert_array_equal(right.images[1].get_array()[2].filled(np.nan), [6, np.nan, np.nan])


def test_picks_are_shown_best_first_with_their_figures(query):
    titles = [axes.get_title() for axes in picks_figure("MNIST", IMAGES, "abcdefg", query).axes]
    assert titles == ["1: class g\nI 0.60  C 7.0  v 6.00", "2: class c\nI 0.20  C 3.0  v 2.00"]
