"""``costal score`` for what is larger than memory, lies at a URL, or is spread over machines."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd
import typer

from costal.cli.output import tell
from costal.cli.progress import ProgressBar
from costal.cli.score_table import ScoreTable
from costal.cli.terminal import warn_of_scheduler
from costal.errors import CostalError, FrameError
from costal.files import new_text
from costal.frames.lazy import Missing, open_lazily
from costal.frames.ome_zarr import is_url, is_zarr
from costal.frames.planes import describe
from costal.labels.exchange.filenames import safe_name, unlike
from costal.labels.project import Project
from costal.types import Job
from costal.workbench.bands import score_bands
from costal.workbench.channels import planes_for
from costal.workbench.image_files import image_files
from costal.workbench.large import Background, LargeRequest, Prepared, prepare
from costal.workbench.large_scores import LargeScores, put_together, write_heatmap
from costal.workbench.rounds import PickedCrops
from costal.workbench.scores_folder import SCORED, SKIPPED, WHY_SKIPPED


@dataclass(frozen=True, slots=True)
class LazyScoring:
    """What ``costal score`` was asked to do: sources are groups, URLs and files."""

    project: Project
    image: str
    out: Path
    missing: Missing = "raise"
    background: Background = "none"
    dask: str | None = None
    device: str = "auto"

    @property
    def folder(self) -> Path:
        """Where scores are kept, band by band."""
        return self.out.with_suffix(".scores")

    def sources(self) -> list[str]:
        """Return the images: one, or all in and below a folder."""
        if is_zarr(self.image) or is_url(self.image) or not Path(self.image).is_dir():
            return [self.image]
        return [str(path) for path in image_files([Path(self.image)], self.folder)]


class _NothingScoredError(Exception):
    """No image could be scored."""


def score_lazily(asked: LazyScoring, as_json: bool) -> None:
    """Score images band by band and write the table, the heatmaps and what was skipped; say what came of it."""
    warn_of_scheduler(asked.dask)
    failures: dict[str, str] = {}
    first: LargeScores | None = None
    notes: dict[str, None] = {}
    frames, crops, skipped, query = 0, 0, 0, list[int]()
    try:
        with ProgressBar() as bar, new_text(asked.out) as table:
            for scores in _scored(asked, bar, failures, notes):
                query = _write(scores, table, with_header=first is None)
                notes |= dict.fromkeys(scores.notes)
                first = first or scores
                frames, crops = frames + 1, crops + len(scores.grid)
                skipped += int((scores.skipped_N != SCORED).sum())
            if first is None:
                raise _NothingScoredError
    except _NothingScoredError:
        pass  # an earlier table stays
    except KeyboardInterrupt:
        raise _stopped(asked, as_json) from None
    lines = [*notes, *(f"not scored: {source}: {why}" for source, why in failures.items())]
    lines.append(f"Wrote {crops} crops to {asked.out}; heatmaps and bands are in {asked.folder}")
    lines[-1] += f"; the query is crops {' '.join(map(str, query))}" if frames == 1 else ""
    lines += [f"{skipped} crops were skipped: {SKIPPED} there lists them."] if skipped else []
    generation = 0 if first is None else first.prepared.generation.number
    figures = {"crops": crops, "frames": frames, "skipped": skipped, "generation": generation, "notes": list(notes)}
    kept = {"out": asked.out, "folder": asked.folder, "query": query if frames == 1 else [], "failures": failures}
    tell("\n".join(lines), figures | kept, as_json)
    if failures:
        raise FrameError(f"{len(failures)} of {len(failures) + frames} images could not be scored.")


def query_lazily(asked: LazyScoring, as_json: bool, notes: list[tuple[str, str]]) -> list[pd.DataFrame]:
    """Return the rows of the crops that are worth labelling next, best first, a table for each frame that has some.

    Notes are added to `notes`, each after the frame's name.
    """
    failures, tables = dict[str, str](), list[pd.DataFrame]()
    try:
        with ProgressBar() as bar:
            for scores in _scored(asked, bar, failures, {}):
                said = (*scores.prepared.notes, *scores.notes)
                notes += [(Path(scores.prepared.work.source).name, note) for note in said]
                query = scores.query()
                if query is not None:
                    tables.append(_table(scores, query).rows(query.picked_n))
    except KeyboardInterrupt:
        raise _stopped(asked, as_json) from None
    if failures:
        raise FrameError("; ".join(failures.values()))
    return tables


def _stopped(asked: LazyScoring, as_json: bool) -> typer.Exit:
    tell(f"Stopped: the same command goes on from what is kept in {asked.folder}", {"stopped": True}, as_json)
    return typer.Exit(130)


def _scored(
    asked: LazyScoring, bar: ProgressBar, failures: dict[str, str], notes: dict[str, None]
) -> Iterator[LargeScores]:
    """Return frame after frame with its scores; of several images, those that fail are noted and passed over."""
    sources, taken = asked.sources(), set[str]()
    waiting: list[Prepared] = []
    for source in sources:
        try:
            for prepared, job in _prepared(asked, source, len(sources) > 1, taken):
                notes |= dict.fromkeys((*prepared.notes, *_differing(prepared)))
                if asked.dask is not None:
                    waiting.append(prepared)
                    continue
                with closing(job):
                    bar.drain(job, f"{Path(source).name} {describe(prepared.work.planes)}")
                yield put_together(prepared)
        except CostalError as error:
            if len(sources) == 1:
                raise
            failures[source] = str(error)
    if asked.dask is not None and waiting:
        bar.drain(_spread(asked.dask, waiting, asked.folder))
        yield from map(put_together, waiting)


def _prepared(
    asked: LazyScoring, source: str, is_one_of_many: bool, taken: set[str]
) -> Iterator[tuple[Prepared, Job[None]]]:
    """Return each frame that the project makes of an image, ready, and the job that scores what is left of it."""
    frame = open_lazily(source, asked.missing, asked.project.axes)
    choices = planes_for(asked.project, frame)
    for planes in choices:
        folder = asked.folder
        if is_one_of_many or len(choices) > 1:
            name = f"{Path(source).stem} {describe(planes)}" if len(choices) > 1 else Path(source).stem
            folder /= unlike(taken, safe_name(name))
        request = LargeRequest(
            asked.project, frame, planes, folder, asked.missing, asked.background, device=asked.device
        )
        prepared = prepare(request)
        yield prepared, score_bands(prepared.work, frame, prepared.agent, prepared.to_do)


def _spread(dask: str, waiting: Sequence[Prepared], folder: Path) -> Job[None]:
    from costal.spread.images import score_on_workers

    agents = {prepared.agent.crop_shape: prepared.agent for prepared in waiting}
    for shape, agent in agents.items():
        alike = [each for each in waiting if each.agent.crop_shape == shape]
        yield from score_on_workers([(each.work, each.to_do) for each in alike], agent, folder, dask)


def _differing(prepared: Prepared) -> tuple[str, ...]:
    if not prepared.differs:
        return ()
    return (f"All crops of {prepared.work.source} are scored anew: {', '.join(prepared.differs)} changed.",)


def _write(scores: LargeScores, table: TextIO, with_header: bool) -> list[int]:
    """Append a frame to the table, write its heatmap and the list of what was skipped; return its query."""
    asked = scores.query()
    rows = _table(scores, asked)
    for part in rows.parts():
        part.to_csv(table, header=with_header, index=False, lineterminator="\n", float_format="%.6g")
        with_header = False
    write_heatmap(scores, scores.value_N)
    _list_skipped(scores)
    return [] if asked is None else [int(index) for index in asked.picked_n]


def _table(scores: LargeScores, asked: PickedCrops | None) -> ScoreTable:
    return ScoreTable(
        scores.prepared.work.source,
        scores.prepared.content_hash,
        scores.description,
        scores.grid,
        scores.information_N,
        scores.cost_N,
        scores.value_N,
        asked,
    )


def _list_skipped(scores: LargeScores) -> None:
    path, skipped_N = scores.prepared.work.folder / SKIPPED, scores.skipped_N
    if (skipped_N == SCORED).all():
        path.unlink(missing_ok=True)
        return
    with new_text(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("crop", "y", "x", "reason"))
        for crop in np.flatnonzero(skipped_N != SCORED).tolist():
            writer.writerow((crop, *scores.grid.origin(crop), WHY_SKIPPED[int(skipped_N[crop])]))
