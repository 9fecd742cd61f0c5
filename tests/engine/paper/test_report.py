import csv
from dataclasses import replace

import numpy as np
import pytest

from costal.paper.experiment import Proposal, RoundReport
from costal.paper.report import curves_figure, mosaic_figure, picks_figure, write_rounds, write_timings
from costal.types import Query, Scores

REPORTS = [
    RoundReport("STD, β = 0.3", 0, 20, 0.55, 0.0, (2,) * 10, seconds={"learn": 1.23456, "test": 0.5}),
    RoundReport(
        "STD, β = 0.3", 1, 24, 0.61234, 123.45678, (2,) * 9 + (6,), 0.1234567, 30.5, 30.86,
        {"propose": 0.25, "learn": 1.5, "test": 0.5},
    ),
]  # fmt: skip


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def proposal():
    count = 7
    figures = np.arange(count, dtype=np.float32)
    scores = Scores(figures / 10, figures + 1, np.full((count, 10), 0.1, np.float32), False, "cpu")
    query = Query(np.array([6, 2]), figures, scores)
    return Proposal(np.full((count, 28, 28), 200, np.uint8), np.arange(count), query, 0.1)


def test_equal_runs_give_equal_bytes_whatever_time_they_took(tmp_path):
    slower = [replace(report, seconds={"learn": 99.0}) for report in REPORTS]
    for name, reports in (("first.csv", REPORTS), ("again.csv", slower)):
        write_rounds(tmp_path / name, "MNIST", reports)
    assert (tmp_path / "first.csv").read_bytes() == (tmp_path / "again.csv").read_bytes()


def test_rounds_name_the_data_and_hold_no_timing(tmp_path):
    write_rounds(tmp_path / "rounds.csv", "MNIST", REPORTS)
    assert rows_of(tmp_path / "rounds.csv")[1] == {
        "data": "MNIST",
        "arm": "STD, β = 0.3",
        "round": "1",
        "labels": "24",
        "accuracy": "0.6123",
        "total_cost": "123.4568",
        "mean_information": "0.123457",
        "predicted_cost": "30.5000",
        "measured_cost": "30.8600",
        "class_counts": "2 2 2 2 2 2 2 2 2 6",
    }


def test_a_file_has_the_same_line_ends_on_every_machine(tmp_path):
    write_rounds(tmp_path / "rounds.csv", "MNIST", REPORTS)
    assert (tmp_path / "rounds.csv").read_bytes().count(b"\n") == 3
    assert b"\r" not in (tmp_path / "rounds.csv").read_bytes()


def test_timings_are_kept_apart_by_phase(tmp_path):
    write_timings(tmp_path / "timings.csv", REPORTS)
    assert [list(row.values()) for row in rows_of(tmp_path / "timings.csv")] == [
        ["STD, β = 0.3", "0", "0.000", "1.235", "0.500"],
        ["STD, β = 0.3", "1", "0.250", "1.500", "0.500"],
    ]


def test_curves_show_accuracy_by_labels_and_by_cost_for_each_arm():
    random = [replace(report, arm="random", total_cost=2 * report.total_cost) for report in REPORTS]
    by_labels, by_cost = curves_figure("MNIST", [*REPORTS, *random]).axes
    assert [line.get_label() for line in by_labels.lines] == ["STD, β = 0.3", "random"]
    assert by_labels.lines[0].get_xydata().tolist() == [[20, 0.55], [24, 0.61234]]
    assert by_cost.lines[1].get_xydata().tolist() == [[0, 0.55], [246.91356, 0.61234]]
    assert by_labels.lines[0].get_color() != by_labels.lines[1].get_color()


def test_the_mosaic_outlines_each_pick_where_it_lies(proposal):
    left, right, _ = mosaic_figure("MNIST", proposal).axes
    for axes in (left, right):
        assert [patch.get_xy() for patch in axes.patches] == [(-0.5, 55.5), (55.5, -0.5)]
    assert left.get_title() == "7 MNIST, 2 picked"
    np.testing.assert_array_equal(right.images[1].get_array()[2].filled(np.nan), [6, np.nan, np.nan])


def test_picks_are_shown_best_first_with_their_figures(proposal):
    titles = [axes.get_title() for axes in picks_figure("MNIST", proposal).axes]
    assert titles == ["1: class 6\nI 0.60  C 7.0  v 6.00", "2: class 2\nI 0.20  C 3.0  v 2.00"]
