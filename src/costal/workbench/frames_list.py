"""The frames of a project with what is known of each: its labels, what was predicted, and where its image is."""

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Literal

from costal.frames.ome_zarr import is_url
from costal.labels.models import newest_number
from costal.labels.places import LAYER
from costal.labels.project import Project
from costal.labels.records import FrameRecord
from costal.labels.store import Store, require_store
from costal.scoring.summaries import load_summaries

Availability = Literal["there", "missing", "offline", "remote", "unsaved"]
"""Where the image of a frame is. A URL is not asked; of a layer without a file only its window knows."""
State = Literal["labelled", "scored", "outdated", "missing", "offline", "unsaved layer"]
PLACE_STATES: Mapping[Availability, State] = {
    "missing": "missing",
    "offline": "offline",
    "unsaved": "unsaved layer",
}
LOST: tuple[Availability, ...] = ("missing", "offline", "unsaved")
"""Of these frames the image may be elsewhere: one of a window may have been saved."""
WAIT_S = 3.0
"""A drive that does not answer within this time is offline."""
MOST_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class ListedFrame:
    """A frame of the project, by its id in the store.

    `labels` and `predicted` are counts by class id of today; `unclassified` crops were skipped or excluded. A frame was
    predicted by model `generation`, None where none was asked; `is_outdated` when there is a newer one.
    """

    id: int
    record: FrameRecord
    labels: Mapping[int, int] = field(default_factory=dict)
    unclassified: int = 0
    predicted: Mapping[int, int] = field(default_factory=dict)
    generation: int | None = None
    is_outdated: bool = False
    place: Availability = "there"

    @property
    def is_begun(self) -> bool:
        """Whether it has an answer or a score."""
        return bool(self.labels or self.unclassified or self.generation is not None)

    @property
    def states(self) -> tuple[State, ...]:
        """What is to be said of it."""
        parts: list[State] = ["labelled"] if self.labels or self.unclassified else []
        if self.generation is not None:
            parts.append("outdated" if self.is_outdated else "scored")
        return (*parts, *((PLACE_STATES[self.place],) if self.place in PLACE_STATES else ()))

    @property
    def name(self) -> str:
        """Its file, or its layer, and its planes where there was a choice."""
        source = self.record.source.removeprefix(LAYER).rstrip("/\\")
        name = source.replace("\\", "/").rpartition("/")[2]
        return name if self.record.planes in ("", "all") else f"{name}  {self.record.planes}"


def list_frames(project: Project) -> tuple[ListedFrame, ...]:
    """Return the frames of a project, newest first, as its folder says; where their images are was not asked.

    Raises
    ------
    ProjectError
        When the store cannot be read.
    """
    require_store(project.store_path)
    with Store(project.store_path, read_only=True) as store:
        frames, counts = store.frames(), store.frame_label_counts()
    summaries, newest = load_summaries(project), newest_number(project.model_folder)
    listed = []
    for frame_id, record in reversed(frames.items()):
        own = counts.get(frame_id, {})
        labels = {class_id: count for class_id, count in own.items() if class_id is not None}
        entry = ListedFrame(frame_id, record, today(project, labels), own.get(None, 0))
        if (summary := summaries.get(record.content_hash)) is not None:
            predicted = today(project, summary.predicted)
            is_old = summary.generation != newest
            entry = replace(entry, predicted=predicted, generation=summary.generation, is_outdated=is_old)
        listed.append(replace(entry, place=_place_untold(record.source)))
    return tuple(listed)


def worth_listing(frames: Sequence[ListedFrame], current: int = 0) -> tuple[ListedFrame, ...]:
    """Return the frames without the planes of images that were only looked at: of their image another frame is listed.

    These are frames without answer and score; without any that has one the newest of an image stands for it. The
    `current` frame is always listed.
    """
    begun = {each.record.source for each in frames if each.is_begun}
    newest: dict[str, int] = {}
    for each in frames:
        newest[each.record.source] = max(each.id, newest.get(each.record.source, 0))
    return tuple(
        each
        for each in frames
        if each.is_begun
        or each.id == current
        or (each.record.source not in begun and newest[each.record.source] == each.id)
    )


def today(project: Project, counts: Mapping[int, int]) -> dict[int, int]:
    """Return counts by the classes that stored ids mean today, in the project's order; unknown ones last."""
    count_by_class: Counter[int] = Counter()
    for class_id, count in counts.items():
        known = project.class_of(class_id)
        count_by_class[known.id if known is not None else class_id] += count
    order = {each.id: at for at, each in enumerate(project.classes)}
    return {
        class_id: count_by_class[class_id]
        for class_id in sorted(count_by_class, key=lambda each: (order.get(each, len(order)), each))
    }


def with_places(frames: Sequence[ListedFrame], wait_s: float = WAIT_S) -> tuple[ListedFrame, ...]:
    """Return the frames with where their images are by now; takes at most about `wait_s`, whatever drives do."""
    there = places_of({each.record.source for each in frames}, wait_s)
    return tuple(replace(each, place=there[each.record.source]) for each in frames)


def places_of(sources: Iterable[str], wait_s: float = WAIT_S) -> dict[str, Availability]:
    """Return where images are, each folder asked once, by threads that nobody waits for longer than `wait_s`."""
    places = {source: _place_untold(source) for source in sources}
    folders: dict[Path, list[str]] = {}
    for source, place in places.items():
        if place == "there":
            folders.setdefault(Path(source).parent, []).append(source)
    names = _names_in(list(folders), wait_s)
    for folder, inside in folders.items():
        there = names.get(folder)
        for source in inside:
            is_there = there is not None and os.path.normcase(Path(source).name) in there
            places[source] = "offline" if there is None else "there" if is_there else "missing"
    return places


def _place_untold(source: str) -> Availability:
    """Return where an image is as far as its source tells: a file may be there."""
    return "unsaved" if source.startswith(LAYER) else "remote" if is_url(source) else "there"


def _names_in(folders: Sequence[Path], wait_s: float) -> dict[Path, frozenset[str]]:
    """Return the names in each folder, none where it is gone; a folder that did not answer in time is not told of."""
    names: dict[Path, frozenset[str]] = {}
    waiting, lock = list(reversed(folders)), threading.Lock()

    def look() -> None:
        while True:
            with lock:
                if not waiting:
                    return
                folder = waiting.pop()
            names[folder] = _listed(folder)

    # Not a pool: the interpreter would wait for its threads, and a dead drive may hold one for minutes.
    threads = [threading.Thread(target=look, daemon=True) for _ in range(min(MOST_AT_ONCE, len(folders)))]
    for each in threads:
        each.start()
    end = monotonic() + wait_s
    for each in threads:
        each.join(max(0.0, end - monotonic()))
    return dict(names)


def _listed(folder: Path, scan: Callable[[Path], Iterable["os.DirEntry[str]"]] = os.scandir) -> frozenset[str]:
    with suppress(OSError, ValueError):
        return frozenset(os.path.normcase(each.name) for each in scan(folder))
    return frozenset()
