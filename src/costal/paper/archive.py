"""A run's folder: every finished round of every arm and repeat, written once and whole.

``runs/<arm>/repeat-<r>/round-<t>.npz`` holds the round's pool, scores and answers; the ``.json`` beside it holds the
figures. It is written last: a round counts once it exists. Equal runs give equal bytes; seconds are kept apart in
``timings.csv``. ``rounds.csv`` has the figures of all rounds: if only this file was kept, its finished repeats are not
run again.
"""

import csv
import io
import json
import math
import shutil
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from costal.errors import DatasetError
from costal.files import explained, write_atomically
from costal.paper.experiment import NAN, Proposal, RoundReport
from costal.paper.plan_file import slug
from costal.types import Floats, Query, Scores

ROUND_COLUMNS = (
    "data", "arm", "repeat", "round", "labels", "accuracy", "committee_accuracy", "total_cost", "mean_information",
    "mean_value", "predicted_cost", "measured_cost", "cost_bias_picked", "cost_bias_pool", "cost_rank_pool",
    "class_counts", "chosen_costs",
)  # fmt: skip
RECALLS = "recalls"
"""The extra column of runs that keep recalls."""
RUNS = "runs"
PHASES = ("propose", "learn", "test")


@dataclass(frozen=True, slots=True)
class KeptRound:
    """A finished round on disk: the crops of its query and their answers; round 0 has no query."""

    asked_n: NDArray[np.int64]
    label_n: NDArray[np.int64]
    cost_n: Floats
    pool_N: NDArray[np.int64]
    query: Query | None


def arm_folder(folder: Path, arm: str, repeat: int) -> Path:
    """Return the folder of the rounds of an arm's repeat."""
    return folder / RUNS / slug(arm) / f"repeat-{repeat}"


def rounds_done(folder: Path, arm: str, repeat: int) -> int:
    """Return how many rounds, counted from round 0, are finished without a gap."""
    place, count = arm_folder(folder, arm, repeat), 0
    while (place / f"round-{count:03}.json").exists():
        count += 1
    return count


def cost_after(folder: Path, arm: str, repeat: int, number: int) -> float:
    """Return the stored total cost after a finished round.

    Raises
    ------
    DatasetError
        When the round is damaged.
    """
    return float(str(_figures(folder, arm, repeat, number)["total_cost"]))


def write_round(
    folder: Path,
    dataset_name: str,
    report: RoundReport,
    asked_n: NDArray[np.int64],
    label_n: NDArray[np.int64],
    cost_n: NDArray[np.float64],
    proposal: Proposal | None,
) -> None:
    """Write a finished round; an equal one may exist already.

    Raises
    ------
    ProjectError
        When it cannot be written.
    """
    place = arm_folder(folder, report.arm, report.repeat)
    with explained(place):
        place.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {"asked_n": asked_n, "label_n": label_n, "cost_n": cost_n}
    if proposal is not None:
        query = proposal.query
        arrays |= {
            "pool_N": proposal.index_N,
            "picked_n": query.picked_n,
            "information_N": query.scores.information_N,
            "cost_N": query.scores.cost_N,
            "value_N": query.value_N,
            "probs_N_K": query.scores.probs_N_K.astype(np.float16),
        }
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    name = f"round-{report.round_number:03}"
    write_atomically(place / f"{name}.npz", content.getvalue())
    timings = place / "timings.csv"
    with explained(timings), timings.open("a", newline="", encoding="utf-8") as file:
        seconds = (f"{report.seconds.get(phase, 0.0):.3f}" for phase in PHASES)
        csv.writer(file, lineterminator="\n").writerow((report.arm, report.repeat, report.round_number, *seconds))
    row = dict(zip(ROUND_COLUMNS, row_of(dataset_name, report), strict=True))
    row |= {RECALLS: " ".join(f"{recall:.4f}" for recall in report.recall_K)} if report.recall_K else {}
    write_atomically(place / f"{name}.json", json.dumps(row, ensure_ascii=False, indent=0).encode())


def read_round(folder: Path, arm: str, repeat: int, number: int) -> KeptRound:
    """Return a finished round.

    Raises
    ------
    DatasetError
        When it is missing or damaged.
    """
    path = arm_folder(folder, arm, repeat) / f"round-{number:03}.npz"
    try:
        with np.load(io.BytesIO(path.read_bytes())) as kept:
            query = None
            if "picked_n" in kept:
                scores = Scores(
                    kept["information_N"], kept["cost_N"], kept["probs_N_K"].astype(np.float32), False, "kept"
                )
                query = Query(kept["picked_n"], kept["value_N"], scores)
            pool_N = kept["pool_N"] if query is not None else kept["asked_n"]
            return KeptRound(kept["asked_n"], kept["label_n"], kept["cost_n"], pool_N, query)
    except FileNotFoundError as error:
        raise DatasetError(
            f"{path} is missing. A repeat that was read from rounds.csv has figures only, no crops. If the "
            "file was lost, delete the .json beside it and resume: the round is run again."
        ) from error
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        raise DatasetError(
            f"{path} cannot be read ({error}). Delete it and the .json beside it, and resume: the round is run again."
        ) from error


def read_rows(folder: Path, runs: Sequence[tuple[str, int]]) -> list[dict[str, object]]:
    """Return the figures of all finished rounds, arm by arm and repeat by repeat."""
    return [
        _figures(folder, arm, repeat, number)
        for arm, repeat in runs
        for number in range(rounds_done(folder, arm, repeat))
    ]


def _figures(folder: Path, arm: str, repeat: int, number: int) -> dict[str, object]:
    path = arm_folder(folder, arm, repeat) / f"round-{number:03}.json"
    try:
        row = json.loads(path.read_text("utf-8"))
        float(row["total_cost"])
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path} is damaged ({error}). Delete it, and resume.") from error
    return dict(row)


def write_tables(folder: Path, runs: Sequence[tuple[str, int]]) -> None:
    """Write ``rounds.csv`` and ``timings.csv`` of all finished rounds."""
    rows = read_rows(folder, runs)
    columns = (*ROUND_COLUMNS, *((RECALLS,) if any(RECALLS in row for row in rows) else ()))
    lines = ([row.get(name, "") for name in columns] for row in rows)
    write_atomically(folder / "rounds.csv", table(columns, lines).encode())
    timings = [arm_folder(folder, arm, repeat) / "timings.csv" for arm, repeat in runs]
    body = "".join(path.read_text("utf-8") for path in timings if path.exists())
    write_atomically(folder / "timings.csv", (table(("arm", "repeat", "round", *PHASES), ()) + body).encode())


def restore(
    folder: Path,
    runs: Sequence[tuple[str, int]],
    count: int,
    is_spent: Callable[[str, float], bool] = lambda _arm, _cost: False,
) -> None:
    """Restore from ``rounds.csv`` the runs that have all `count` rounds there and nothing in ``runs``.

    Runs that ended by their cost in their last round are restored too: ``is_spent(arm, total cost)``.

    Raises
    ------
    DatasetError
        When ``rounds.csv`` is damaged.
    ProjectError
        When a round cannot be written.
    """
    rows, timings = rows_by_run(folder / "rounds.csv"), rows_by_run(folder / "timings.csv")
    for arm, repeat in runs:
        place, own = arm_folder(folder, arm, repeat), rows.get((arm, str(repeat)), [])
        is_whole = bool(own) and (len(own) == count or is_spent(arm, float(own[-1]["total_cost"])))
        if place.exists() or not is_whole or [row["round"] for row in own] != [str(each) for each in range(len(own))]:
            continue
        partly = place.with_name(f"{place.name}.new")
        shutil.rmtree(partly, ignore_errors=True)
        partly.mkdir(parents=True)
        seconds = ([*row.values()] for row in timings.get((arm, str(repeat)), []))
        write_atomically(partly / "timings.csv", table(None, seconds).encode())
        for row in ({name: entry for name, entry in row.items() if name != RECALLS or entry} for row in own):
            text = json.dumps(row, ensure_ascii=False, indent=0)
            write_atomically(partly / f"round-{int(row['round']):03}.json", text.encode())
        partly.rename(place)


def rows_by_run(path: Path) -> dict[tuple[str, str], list[dict[str, str]]]:
    """Return the rows of ``rounds.csv`` or ``timings.csv`` by arm and repeat, as text; none when it is not there.

    Raises
    ------
    DatasetError
        When it is damaged.
    """
    rows: dict[tuple[str, str], list[dict[str, str]]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, strict=True):
                rows.setdefault((row["arm"], row["repeat"]), []).append(row)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DatasetError(f"{path} is damaged ({error}). Restore a complete copy, or choose another --out.") from error
    return rows


def table(columns: Sequence[str] | None, rows: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV text, without a heading when there are no columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if columns is not None:
        writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def row_of(dataset_name: str, report: RoundReport) -> tuple[object, ...]:
    """Return a report as a row of `ROUND_COLUMNS`; NaN is left blank."""
    return (
        dataset_name,
        report.arm,
        report.repeat,
        report.round_number,
        report.labels,
        _text(report.accuracy, 4),
        _text(report.committee_accuracy, 4),
        _text(report.total_cost, 4),
        _text(report.mean_information, 6),
        _text(report.mean_value, 6),
        _text(report.predicted_cost, 4),
        _text(report.measured_cost, 4),
        _text(report.cost_bias_picked, 4),
        _text(report.cost_bias_pool, 4),
        _text(report.cost_rank_pool, 4),
        " ".join(map(str, report.class_counts_K)),
        " ".join(_text(cost, 3) for cost in report.chosen_cost_n),
    )


def report_from(row: Mapping[str, object]) -> RoundReport:
    """Return the report that a row was made from, without seconds."""

    def number(name: str) -> float:
        return float(str(row[name]) or NAN)

    figures: dict[str, Any] = {name: number(name) for name in ROUND_COLUMNS[8:15]}
    return RoundReport(
        str(row["arm"]),
        int(number("repeat")),
        int(number("round")),
        int(number("labels")),
        number("accuracy"),
        number("committee_accuracy"),
        number("total_cost"),
        tuple(map(int, str(row["class_counts"]).split())),
        chosen_cost_n=tuple(map(float, str(row["chosen_costs"]).split())),
        recall_K=tuple(map(float, str(row.get(RECALLS, "")).split())),
        **figures,
    )


def _text(number: float, digits: int) -> str:
    return "" if math.isnan(number) else f"{number:.{digits}f}"
