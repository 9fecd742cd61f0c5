"""The comparison finds a checkout equal to itself, and finds what was changed in a copy."""

from pathlib import Path

import pytest

from tests.guards import cases, compare
from tests.guards.mutants import copied

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fewer(monkeypatch):
    """Leave of a case what needs no training."""

    def untrained(here):
        cases.tifffile.imwrite(here / "grey.tif", cases.picture(96, 80))
        yield ("project", "new", "p", "--classes", "plain,spotted", "--json")
        cases.settings(here / "p", crop=cases.CROP, stride=cases.CROP)
        yield ("score", "grey.tif", "--out", "before.csv", "--project", "p", "--json")
        cases.fill(here / "before.csv", here / "labels.csv", cases.CROP)
        yield ("label", "--from", "labels.csv", "--project", "p", "--images", ".", "--json")
        yield ("export", "p", "--as", "coco", "--out", "coco.json", "--json")
        yield ("export", "p", "--as", "images", "--out", "images", "--json")

    monkeypatch.setitem(cases.CASES, "untrained", untrained)
    return "untrained"


@pytest.mark.slow
def test_a_checkout_equals_itself(tmp_path):
    rows, figures = compare.compare(ROOT, ROOT, cases.FAST, starts=False)
    assert [row for row in rows if row.verdict != compare.EQUAL] == []
    items = {row.item for row in rows if row.case == "grey"}
    assert {"p/labels.sqlite", "p/models/0001.safetensors", "p/models/0001.json", "scores.csv", "out-coco"} <= items
    assert figures["grey: commands that fail"] == (1, 1), "the one that names no project"


def test_a_planted_difference_is_found_and_named(tmp_path, fewer):
    other = copied(tmp_path / "other")
    (writer,) = (path for path in (other / "src").rglob("*.py") if '"bbox": [x, y,' in path.read_text("utf-8"))
    writer.write_text(writer.read_text("utf-8").replace('"bbox": [x, y,', '"bbox": [y, x,'), "utf-8")
    rows, _ = compare.compare(ROOT, other, [fewer], starts=False)
    files = [row for row in rows if " " not in row.item]  # a busy machine shows more of a progress bar: commands apart
    differing = [row for row in files if row.verdict != compare.EQUAL]
    assert [(row.item, row.verdict) for row in differing] == [("coco.json", compare.DIFFERENT)], differing
    (found,) = differing
    assert found.difference.startswith("line ")


def test_what_only_one_of_them_wrote_is_told():
    rows = [*compare.compared("case", {"a": ["1"], "b": ["2"]}, {"b": ["2"], "c": ["3"]})]
    told = {row.item: row.verdict for row in rows}
    assert told == {"a": compare.ONLY_OLD, "b": compare.EQUAL, "c": compare.ONLY_NEW}


def test_the_first_line_that_differs_is_named():
    (row,) = compare.compared("case", {"a": ["1", "2", "3"]}, {"a": ["1", "4"]})
    assert row.difference == "line 2: 2 | 4"


def test_a_checkout_that_is_not_the_one_that_runs_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="Choose the root of a checkout"):
        compare.run_case("helps", tmp_path, tmp_path / "run")
