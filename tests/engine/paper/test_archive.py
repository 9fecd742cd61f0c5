import csv
from dataclasses import replace

import numpy as np
import pytest

from costal.errors import DatasetError
from costal.paper import archive
from costal.paper.archive import (
    ROUND_COLUMNS,
    arm_folder,
    read_round,
    read_rows,
    report_from,
    restore,
    rounds_done,
    row_of,
    write_round,
    write_tables,
)
from costal.paper.experiment import NAN, Proposal, RoundReport
from costal.types import Query, Scores

ARM = "STD, β = 0.3"
REPORT = RoundReport(
    ARM, 1, 2, 24, 0.6123, 0.6201, 123.4568, (2,) * 9 + (6,), 0.123457, 0.05, 30.5, 30.86, -1.5, NAN, 0.25,
    (30.0, 31.72), {"propose": 0.25, "learn": 1.5, "test": 0.5},
)  # fmt: skip


@pytest.fixture
def proposal():
    figures = np.arange(7, dtype=np.float32)
    scores = Scores(figures / 10, figures + 1, np.full((7, 10), 0.25, np.float32), False, "cpu")
    query = Query(np.array([6, 2]), figures, scores)
    return Proposal(np.arange(50, 57), np.zeros((7, 1, 8, 8), np.float32), np.arange(7), figures, query)


def write(folder, report, proposal=None):
    queries = proposal.asked_n if proposal else np.arange(20)
    write_round(
        folder, "digits", report, queries, np.ones(len(queries), np.int64), np.full(len(queries), 2.5), proposal
    )


def test_a_kept_round_comes_back(tmp_path, proposal):
    write(tmp_path, REPORT, proposal)
    kept = read_round(tmp_path, ARM, 1, 2)
    assert kept.asked_n.tolist() == [56, 52]
    assert kept.pool_N.tolist() == list(range(50, 57))
    assert (kept.label_n.tolist(), kept.cost_n.tolist()) == ([1, 1], [2.5, 2.5])
    assert kept.query.picked_n.tolist() == [6, 2]
    for name in ("information_N", "cost_N", "probs_N_K"):
        np.testing.assert_array_equal(getattr(kept.query.scores, name), getattr(proposal.query.scores, name))
    np.testing.assert_array_equal(kept.query.value_N, proposal.query.value_N)


def test_round_0_has_no_query_and_its_pool_is_the_initial_set(tmp_path):
    write(tmp_path, replace(REPORT, round_number=0))
    kept = read_round(tmp_path, ARM, 1, 0)
    assert kept.query is None
    assert kept.pool_N.tolist() == list(range(20))


def test_a_report_comes_back_from_its_row():
    row = dict(zip(ROUND_COLUMNS, row_of("digits", REPORT), strict=True))
    assert repr(report_from(row)) == repr(replace(REPORT, seconds={}))
    assert row["cost_bias_pool"] == ""


def test_equal_rounds_give_equal_bytes_whatever_time_they_took(tmp_path, proposal):
    for name, seconds in (("first", 1.0), ("again", 99.0)):
        write(tmp_path / name, replace(REPORT, seconds={"learn": seconds}), proposal)
    first, again = (
        {path.name: path.read_bytes() for path in arm_folder(tmp_path / name, ARM, 1).iterdir()}
        for name in ("first", "again")
    )
    assert first.pop("timings.csv") != again.pop("timings.csv")
    assert first == again
    assert set(first) == {"round-002.npz", "round-002.json"}


def test_a_round_counts_only_when_its_figures_are_there_and_none_is_missing_before_it(tmp_path):
    for number in (0, 1, 3):
        write(tmp_path, replace(REPORT, round_number=number))
    (arm_folder(tmp_path, ARM, 1) / "round-002.npz").write_bytes(b"half")
    assert rounds_done(tmp_path, ARM, 1) == 2
    assert rounds_done(tmp_path, ARM, 0) == 0


def test_a_round_whose_figures_cannot_be_written_does_not_count(tmp_path, monkeypatch):
    def full(path, content):
        if path.suffix == ".json":
            raise OSError("the disk is full")
        path.write_bytes(content)

    monkeypatch.setattr(archive, "write_atomically", full)
    with pytest.raises(OSError, match="full"):
        write(tmp_path, replace(REPORT, round_number=0))
    assert rounds_done(tmp_path, ARM, 1) == 0


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04cut"], ids=["empty", "foreign", "cut"])
def test_a_damaged_round_is_named_with_the_way_out(tmp_path, content):
    write(tmp_path, replace(REPORT, round_number=0))
    (arm_folder(tmp_path, ARM, 1) / "round-000.npz").write_bytes(content)
    with pytest.raises(DatasetError, match=r"round-000.npz cannot be read .* Delete it"):
        read_round(tmp_path, ARM, 1, 0)


def test_damaged_figures_are_named(tmp_path):
    write(tmp_path, replace(REPORT, round_number=0))
    (arm_folder(tmp_path, ARM, 1) / "round-000.json").write_text("{", "utf-8")
    with pytest.raises(DatasetError, match=r"round-000\.json is damaged"):
        read_rows(tmp_path, [(ARM, 1)])


def test_the_tables_hold_all_finished_rounds_arm_by_arm(tmp_path):
    for arm in ("random", ARM):
        for repeat in (1, 0):
            write(tmp_path, replace(REPORT, arm=arm, repeat=repeat, round_number=0))
    write_tables(tmp_path, [(ARM, 0), (ARM, 1), ("random", 0), ("random", 1)])
    with (tmp_path / "rounds.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["arm"], row["repeat"]) for row in rows] == [(ARM, "0"), (ARM, "1"), ("random", "0"), ("random", "1")]
    assert tuple(rows[0]) == ROUND_COLUMNS
    assert rows[0]["class_counts"] == "2 2 2 2 2 2 2 2 2 6"
    assert (tmp_path / "timings.csv").read_text("utf-8").splitlines()[0] == "arm,repeat,round,propose,learn,test"
    assert len((tmp_path / "timings.csv").read_text("utf-8").splitlines()) == 5


def test_what_rounds_csv_has_whole_is_restored_and_what_it_has_in_part_is_not(tmp_path):
    names = [(ARM, 0), (ARM, 1), ("random", 0)]
    for number in range(3):
        write(tmp_path / "here", replace(REPORT, repeat=0, round_number=number))
    for number in range(2):
        write(tmp_path / "here", replace(REPORT, repeat=1, round_number=number))
    write_tables(tmp_path / "here", names)
    (tmp_path / "clone").mkdir()
    for table in ("rounds.csv", "timings.csv"):
        (tmp_path / "clone" / table).write_bytes((tmp_path / "here" / table).read_bytes())
    restore(tmp_path / "clone", names, 3)
    assert [rounds_done(tmp_path / "clone", *name) for name in names] == [3, 0, 0]
    write_tables(tmp_path / "clone", names[:1])
    write_tables(tmp_path / "here", names[:1])
    for table in ("rounds.csv", "timings.csv"):
        assert (tmp_path / "clone" / table).read_bytes() == (tmp_path / "here" / table).read_bytes()


def test_a_run_that_is_there_is_not_replaced_by_what_rounds_csv_says(tmp_path):
    write(tmp_path, replace(REPORT, repeat=0, round_number=0))
    write_tables(tmp_path, [(ARM, 0)])
    (arm_folder(tmp_path, ARM, 0) / "round-000.json").unlink()
    restore(tmp_path, [(ARM, 0)], 1)
    assert rounds_done(tmp_path, ARM, 0) == 0


def test_a_damaged_table_is_named(tmp_path):
    (tmp_path / "rounds.csv").write_text("colour\nblue\n", "utf-8")
    with pytest.raises(DatasetError, match=r"rounds\.csv is damaged"):
        restore(tmp_path, [(ARM, 0)], 1)


def test_a_restoring_that_was_cut_short_is_made_anew(tmp_path):
    write(tmp_path / "here", replace(REPORT, repeat=0, round_number=0))
    write_tables(tmp_path / "here", [(ARM, 0)])
    clone = tmp_path / "clone"
    cut = arm_folder(clone, ARM, 0).with_name("repeat-0.new")
    cut.mkdir(parents=True)
    (cut / "round-007.json").write_text("{}", "utf-8")
    (clone / "rounds.csv").write_bytes((tmp_path / "here" / "rounds.csv").read_bytes())
    restore(clone, [(ARM, 0)], 1)
    assert not cut.exists()
    assert sorted(path.name for path in arm_folder(clone, ARM, 0).iterdir()) == ["round-000.json", "timings.csv"]
