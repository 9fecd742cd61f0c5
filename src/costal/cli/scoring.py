"""What ``costal score`` and ``costal query`` share: frame after frame of some images, scored."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from costal.applying.image_files import image_sources, title_of
from costal.cli.progress import ProgressBar
from costal.cli.score_table import ScoreTable
from costal.cli.terminal import warn_of_scheduler
from costal.errors import CostalError
from costal.files import new_text
from costal.frames.lazy import Missing
from costal.frames.ome_zarr import is_url, is_zarr
from costal.frames.windows import is_large
from costal.labels.exchange.filenames import safe_name, unlike
from costal.labels.project import Project
from costal.labels.store import Store, require_store
from costal.scoring.frame_planes import frames_of
from costal.scoring.job import score_prepared
from costal.scoring.kept import SCORED, SKIPPED, WHY_SKIPPED
from costal.scoring.prepare import Background, Prepared, ScoreRequest, prepare
from costal.scoring.queries import PickedCrops, labels_of, query_among
from costal.scoring.scores import FrameScores, put_together, write_heatmap
from costal.types import Job


class ScoredFrame(NamedTuple):
    """A frame with its scores, and its query; None where every crop has an answer."""

    prepared: Prepared
    scores: FrameScores
    query: PickedCrops | None

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes on the frame."""
        return (*self.prepared.notes, *self.scores.warnings)

    @property
    def skipped_count(self) -> int:
        """How many crops were not scored."""
        which_M = self.scores.which_M
        return 0 if which_M is None else len(self.prepared.work.grid) - len(which_M)

    @property
    def table(self) -> ScoreTable:
        """One row per crop."""
        prepared, choices = self.prepared, self.prepared.project.choices
        place = prepared.source, prepared.content_hash, prepared.description, prepared.work.grid
        if self.scores.scores is None:
            return ScoreTable(*place, None, None, None, self.query)
        information_N, cost_N = map(
            self.scores.of_scored, (self.scores.scores.information_N, self.scores.scores.cost_N)
        )
        value_N = self.scores.value_N(choices.alpha, choices.beta, choices.rule)
        return ScoreTable(*place, information_N, cost_N, value_N, self.query)


@dataclass(frozen=True, slots=True)
class Scoring:
    """The images that a command scores, and the outcome: `failures` by image, `notes` after a frame's name.

    With `keep` the scores are kept on disk, band by band, beside the table `out`.
    """

    project: Project
    image: str
    out: Path
    device: str = "auto"
    keep: bool = False
    missing: Missing = "raise"
    background: Background = "none"
    dask: str | None = None
    failures: dict[str, str] = field(default_factory=dict)
    notes: list[tuple[str, str]] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where scores are kept."""
        return self.out.with_suffix(".scores")

    def frames(self) -> Iterator[ScoredFrame]:
        """Return frame after frame; of several images, those that fail are noted and skipped.

        Raises
        ------
        CostalError
            When the only image fails.
        """
        warn_of_scheduler(self.dask)
        require_store(self.project.store_path)
        with ProgressBar() as bar, Store(self.project.store_path, read_only=True) as store:
            for prepared, scores in self._scored(bar):
                query = query_among(prepared, scores, labels_of(prepared, store))
                frame = ScoredFrame(prepared, scores, query)
                name = title_of(prepared.source)
                self.notes.extend((name, note) for note in frame.notes if (name, note) not in self.notes)
                yield frame

    def _scored(self, bar: ProgressBar) -> Iterator[tuple[Prepared, FrameScores]]:
        sources, taken = sources_of(self.image, self.folder), set[str]()
        waiting: list[Prepared] = []
        for source in sources:
            try:
                for prepared in self._prepared(source, len(sources) > 1, taken):
                    if self.dask is not None and prepared.has_model:
                        waiting.append(prepared)
                        continue
                    with closing(score_prepared(prepared)) as job:
                        yield prepared, bar.drain(job, f"{title_of(source)} {prepared.description}")
            except CostalError as error:
                if len(sources) == 1:
                    raise
                self.failures[source] = str(error)
        if waiting:
            bar.drain(_spread(str(self.dask), waiting, self.folder))
            for prepared in waiting:
                yield prepared, put_together(prepared)

    def _prepared(self, source: str, is_one_of_many: bool, taken: set[str]) -> Iterator[Prepared]:
        """Return each frame that the project makes of an image, ready."""
        count, frames = frames_of(self.project, source, self.missing, lazily=self.keep)
        for frame in frames:
            folder = self.folder
            if is_one_of_many or count > 1:
                stem = Path(title_of(source)).stem
                folder /= unlike(taken, safe_name(f"{stem} {frame.description}" if count > 1 else stem))
            kept = folder if self.keep else None
            prepared = prepare(
                ScoreRequest(self.project, frame, kept, self.missing, self.background, device=self.device)
            )
            if prepared.differs:
                changed = f"All its crops are scored again: {', '.join(prepared.differs)} changed."
                self.notes.append((title_of(source), changed))
            yield prepared


def sources_of(image: str, out: Path) -> list[str]:
    """Return the images that a command is to read: one, or all in and below a folder."""
    return [image] if is_url(image) or is_zarr(image) or not Path(image).is_dir() else image_sources([image], out)


def is_kept(image: str, project: Project) -> bool:
    """Return whether scores of an image are kept on disk by default: it is large, or there are many."""
    return is_large(image, project.axes) or Path(image).is_dir()


def write_kept(frame: ScoredFrame) -> None:
    """Write, beside the scores that are kept, the heatmap and the list of crops that were skipped."""
    folder, table = frame.prepared.work.folder, frame.table
    if folder is None or table.value_N is None:
        return
    write_heatmap(folder, table.grid, table.value_N)
    skipped_N = frame.scores.skipped_N
    if skipped_N is None:
        (folder / SKIPPED).unlink(missing_ok=True)
        return
    with new_text(folder / SKIPPED) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("crop", "y", "x", "reason"))
        for crop in np.flatnonzero(skipped_N != SCORED).tolist():
            writer.writerow((crop, *table.grid.origin(crop), WHY_SKIPPED[int(skipped_N[crop])]))


def _spread(dask: str, waiting: Sequence[Prepared], folder: Path) -> Job[None]:
    from costal.spread.images import score_on_workers

    agents = {prepared.agent.crop_shape: prepared.agent for prepared in waiting}
    for shape, agent in agents.items():
        alike = [each for each in waiting if each.agent.crop_shape == shape]
        yield from score_on_workers([(each.work, each.to_do) for each in alike], agent, folder, dask)
