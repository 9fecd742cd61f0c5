import json

import pytest

from costal.errors import CostalError
from costal.types import finish
from tests.benchmarks import imports
from tests.benchmarks.imports import bench_imports


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(imports, "STARTS", {"python alone": "pass", "import costal": "import costal"})


def test_the_best_of_fresh_processes_is_told_with_the_machine(few):
    found = finish(bench_imports(2, ()))
    assert [each.name for each in found.starts] == ["python alone", "import costal"]
    assert all(each.cpu_s > 0 and each.wall_s > 0 for each in found.starts)
    assert found.figures["machine"]["cores"] >= 1
    assert json.loads(json.dumps(found.figures, allow_nan=False))["docks"] == []


def test_the_best_of_the_docks_counts_and_torch_in_any_window_is_told(few, monkeypatch):
    answers = [
        {"wall_s": wall, "cpu_s": 0.1, "torch_in_window": wall == 2, "torch_import_s": 3.0,
         "late_before_ms": [1.0, 2.0, 6.0], "late_during_ms": [0.0, 4.0, 10 * wall], "is_woken": True}
        for wall in (2, 1)
    ]  # fmt: skip
    ran = imports._ran

    def said(arguments):
        if arguments[0] == "-c":
            return ran(arguments)
        return type("Ran", (), {"stdout": "noise\n" + json.dumps(answers.pop())})

    monkeypatch.setattr(imports, "_ran", said)
    (dock,) = finish(bench_imports(2, ("Label crops",))).docks
    assert (dock.wall_s, dock.imported_torch, dock.torch_median_ms, dock.torch_worst_ms) == (1, True, 4.0, 10)
    assert (dock.rest_median_ms, dock.rest_worst_ms) == (2.0, 6.0)


def test_a_process_that_fails_is_told_with_its_reason(monkeypatch):
    monkeypatch.setattr(imports, "STARTS", {"broken": "raise SystemExit('no such thing')"})
    with pytest.raises(CostalError, match="failed"):
        finish(bench_imports(1, ()))
