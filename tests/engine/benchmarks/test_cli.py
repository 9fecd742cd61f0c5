import json
from dataclasses import replace

import pytest

from costal.types import Training
from tests.benchmarks import commands, committee, imports
from tests.benchmarks.committee import compare_committee
from tests.benchmarks.committee_peers import CommitteePeer
from tests.benchmarks.training import TrainingRequest, compare_training

QUICK = Training(4e-3, batch=16, min_steps=2, epochs=0, schedule="one_cycle")


@pytest.fixture
def asked(monkeypatch):
    """Return the requests that come to the benchmark, which is run in small."""
    requests = []

    def compare(request):
        requests.append(request)
        return compare_training(replace(request, models=2, seconds=0, data="synthetic", test_crops=20, training=QUICK))

    monkeypatch.setattr(commands, "compare_training", compare)
    return requests


@pytest.mark.slow
def test_training_is_told_as_a_table_and_kept_as_json(measured, asked, tmp_path):
    out = tmp_path / "training.json"
    code, told, stages = measured("training", "--labels", "80", "--device", "cpu", "--out", out)
    assert code == 0
    figures = json.loads(out.read_text("utf-8"))
    assert f"throughput is {figures['ratio']:.2f} x the peer's" in told
    assert [line.split()[0] for line in told.splitlines() if " ± " in line] == ["10", "20", "40", "80"]
    assert "table1" in told
    assert "estimated" in told
    assert "80 labels: stack" in stages


@pytest.mark.slow
def test_options_reach_the_benchmark(measured, asked):
    options = ("--models", "3", "--labels", "90", "--seconds", "1", "--data", "synthetic", "--seed", "5")
    assert measured("training", *options, "--device", "cpu", "--json")[0] == 0
    assert asked == [TrainingRequest(3, 90, "cpu", 1.0, "synthetic", 5)]


@pytest.mark.slow
def test_json_is_one_object_of_the_same_figures_as_the_file(measured, asked, tmp_path):
    out = tmp_path / "training.json"
    _, told, _ = measured("training", "--labels", "80", "--device", "cpu", "--out", out, "--json")
    assert json.loads(told) == json.loads(out.read_text("utf-8"))


def test_a_place_that_cannot_be_written_is_refused_before_any_work(measured, asked, tmp_path):
    code, _, error = measured("training", "--out", tmp_path / "missing" / "training.json")
    assert code == 1
    assert "cannot be written" in error
    assert asked == []


@pytest.mark.parametrize("option", [("--models", "1"), ("--labels", "79"), ("--seconds", "-1")], ids=" ".join)
def test_what_makes_no_comparison_is_refused(measured, asked, option):
    code, _, error = measured("training", *option)
    assert code == 2
    assert option[0] in error
    assert asked == []


def test_the_name_of_the_benchmark_is_needed_and_offered(measured):
    _, told, _ = measured("--help")
    assert "training" in told


def test_the_committee_is_told_beside_its_peers_and_the_limit(measured, monkeypatch, tmp_path):
    def compare(request):
        small = replace(request, shapes=((1, 28, 12),), device="cpu", data="synthetic")
        return compare_committee(small)

    monkeypatch.setattr(commands, "compare_committee", compare)
    monkeypatch.setattr(committee, "PEERS", (*committee.PEERS[-2:], CommitteePeer("another", "no_such", None)))
    monkeypatch.setattr(committee, "AGREEMENT_SEEDS", 3)
    monkeypatch.setattr(committee, "OVERHEAD_SIDE", 16)
    monkeypatch.setattr(committee, "PROTOCOL", QUICK)
    out = tmp_path / "committee.json"
    code, told, _ = measured("committee", "-T", "3", "--repeats", "1", "--out", out)
    assert code == 0
    figures = json.loads(out.read_text("utf-8"))
    assert f"ours is {figures['of_limit'][0]:.2f} x that" in told
    for row in figures["rows"]:
        assert f"{row['name']:24} {row['seconds']:9.3f}" in told
    assert "Not installed: another" in told


# the window and the start


@pytest.fixture
def started(monkeypatch):
    """Let `import` time two short starts, and one dock that is made up."""
    monkeypatch.setattr(imports, "STARTS", {"python alone": "pass", "import costal": "import costal"})
    dock = imports.DockOpened("Label crops", 1, 0.5, 0.4, False, 2.0, 0.1, 1.0, 0.2, 31.5)
    monkeypatch.setattr(imports, "_opened", lambda name, runs: dock)
    monkeypatch.setattr(commands, "DOCKS", ("Label crops",))


@pytest.mark.parametrize("display", [True, False], ids=["display", "no display"])
def test_starts_are_told_as_a_table_and_docks_only_where_there_is_a_display(
    measured, started, monkeypatch, tmp_path, display
):
    monkeypatch.setattr(commands, "has_display", lambda: display)
    out = tmp_path / "import.json"
    code, told, _ = measured("import", "--runs", "1", "--out", out)
    assert code == 0
    figures = json.loads(out.read_text("utf-8"))
    assert [each["name"] for each in figures["starts"]] == ["python alone", "import costal"]
    assert "import costal " in told
    assert ("31.5" in told) is bool(figures["docks"]) is display


def test_without_a_display_the_window_is_not_timed(measured, monkeypatch):
    monkeypatch.setattr(commands, "has_display", lambda: False)
    code, _, error = measured("gui")
    assert code == 1
    assert "xvfb-run" in error
