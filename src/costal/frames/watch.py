"""A watched folder: files become ready once they are completely written, each content once, whatever its name."""

import heapq
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from costal.errors import FrameError
from costal.frames.listing import SUFFIXES as SUFFIXES
from costal.frames.listing import TIFFS, listed, stamp_of
from costal.frames.micro_manager import NO_INDEX, PLANNED
from costal.frames.parts import parts_of
from costal.frames.read import blank_planes, read
from costal.frames.tiff import NO_OME, WAIT
from costal.types import Arrival, Stamp

CHANGES = ("created", "modified", "moved", "deleted", "closed")  # not "opened": our own reading would wake us
GONE = "The file is gone. Put it back, under any name, to continue with its frame."
NO_STAMP = Stamp(0, 0)
TICK_S = 0.2


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file's stamp, since when it has it, when it may be read (infinity: not again), and its failed tries."""

    stamp: Stamp
    since: float
    due: float
    tries: int = 0


class FolderWatch:
    """What has arrived in a folder and in the folders below it, one look after another.

    `known` is what an earlier watch last reported of each file: those with the stamp they had are not read again
    unless they were pending. A file may be read when two looks at least `settle_s` apart found it unchanged. A frame
    (by content hash) is ready under one path. It is reported as ready again, under another path or the same one, when
    it is found after its file was gone or held something else.
    """

    def __init__(
        self,
        folder: Path,
        known: Iterable[Arrival] = (),
        settle_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._settle_s, self._clock = folder, settle_s, clock
        self._seen: dict[str, _Seen] = {}
        self._listed_at = -math.inf
        self._reports = {one.path: one for one in known}
        self._homes = {one.content_hash: one.path for one in self._reports.values() if one.state == "ready"}

    def look(self, most: int = 20, enough: Callable[[], bool] = lambda: False) -> list[Arrival]:
        """Return what has changed since the last look: files that are new or gone, then files that were read.

        Files that have settled are read, oldest first, until `most` of them or `enough()`; no pixels are kept. While
        some are left to read, the folder is listed again only every `settle_s`. A file that is not complete is read
        again when it has changed, and after pauses that double, since it may be another file that completes it.

        Raises
        ------
        FrameError
            If the folder is not there or cannot be listed; no file counts as gone then.
        """
        now = self._clock()
        changed = self._listed(now) if self.due_s() > 0 or now - self._listed_at >= self._settle_s else []
        due = ((path, seen) for path, seen in self._seen.items() if seen.due <= now)
        for path, seen in heapq.nsmallest(most, due, lambda one: (one[1].tries, one[1].stamp.mtime_ns, one[0])):
            if enough():
                break
            if self._seen[path] is seen:  # not judged just now, as a part of another file's image
                changed += self._read(path, seen, now)
        return changed + self._moved()

    def due_s(self) -> float:
        """Return the seconds until a file may be read: 0 when one waits to be read, infinity when there is none."""
        return max(0.0, min((seen.due for seen in self._seen.values()), default=math.inf) - self._clock())

    def _listed(self, now: float) -> list[Arrival]:
        """Return what the listing alone shows: what is new, back, gone, or cannot be listed."""
        stamps, refused = listed(self._folder)
        self._listed_at = now
        broken = [Arrival(path, NO_STAMP, "broken", reason) for path, reason in refused.items()]
        new = self._arrived(stamps, now)
        return [*new, *(one for arrival in broken for one in self._tell(arrival)), *self._left(stamps, refused)]

    def _arrived(self, stamps: dict[str, Stamp], now: float) -> list[Arrival]:
        """Return the files that are new, and those that are back unchanged; changed files are read later."""
        changed: list[Arrival] = []
        new = [path for path, stamp in stamps.items() if path not in self._seen or self._seen[path].stamp != stamp]
        for path in sorted(new, key=lambda one: (stamps[one].mtime_ns, one)):
            stamp, last = stamps[path], self._reports.get(path)
            judged = path not in self._seen and last is not None and last.stamp == stamp
            if last is not None and judged and last.content_hash:
                changed += self._tell(self._identified(path, stamp, last.content_hash))
            elif last is None or last.state == "gone":
                changed += self._tell(Arrival(path, stamp, "pending"))
            judged = judged and self._reports[path].state != "pending"
            self._seen[path] = _Seen(stamp, now, math.inf if judged else now + self._settle_s)
        return changed

    def _left(self, stamps: dict[str, Stamp], refused: dict[str, str]) -> list[Arrival]:
        """Return the files that are gone; those below a folder that cannot be listed may still be there."""
        closed = tuple(f"{path}/" for path in refused)
        changed: list[Arrival] = []
        for path in sorted(self._reports.keys() - stamps.keys() - refused.keys()):
            last = self._reports[path]
            if last.state != "gone" and not path.startswith(closed):
                self._seen.pop(path, None)
                changed += self._tell(replace(last, state="gone", reason=GONE if last.state == "ready" else ""))
        return changed

    def _read(self, path: str, seen: _Seen, now: float) -> list[Arrival]:
        """Return what reading a settled file changes: nothing when it was written or taken away meanwhile."""
        whole = self._folder / path
        stamp = stamp_of(whole)  # read again: Windows lists an open file as it was when it was last closed
        arrival = _judged(path, whole, seen.stamp) if stamp == seen.stamp else None
        stamp = stamp_of(whole)
        if arrival is None or stamp != seen.stamp:
            self._seen[path] = _Seen(stamp or seen.stamp, now, now + self._settle_s)
            return []
        again = now + max(self._settle_s, now - seen.since) if arrival.state == "pending" else math.inf
        self._seen[path] = replace(seen, due=again, tries=seen.tries + 1)
        if not arrival.content_hash:
            return self._tell(arrival)
        reports = self._tell(self._identified(path, seen.stamp, arrival.content_hash))
        return reports + self._parts(whole, arrival.content_hash, now)

    def _parts(self, whole: Path, content_hash: str, now: float) -> list[Arrival]:
        """Return the arrivals of the other files of an image that was read: they need not be read again."""
        reports = []
        for part in parts_of(whole):
            path = part.relative_to(self._folder).as_posix()
            seen = self._seen.get(path)
            if part != whole and seen is not None and seen.due <= now and stamp_of(part) == seen.stamp:
                self._seen[path] = replace(seen, due=math.inf)
                reports += self._tell(self._identified(path, seen.stamp, content_hash))
        return reports

    def _identified(self, path: str, stamp: Stamp, content_hash: str) -> Arrival:
        """Return a readable file as ready, or as duplicate when another file is its frame's home."""
        home = self._homes.get(content_hash, path)
        there = self._reports.get(home)
        if home != path and there is not None and (there.state, there.content_hash) == ("ready", content_hash):
            return Arrival(path, stamp, "duplicate", f"It has the same pixels as {home}.", content_hash)
        self._homes[content_hash] = path
        return Arrival(path, stamp, "ready", "", content_hash)

    def _moved(self) -> list[Arrival]:
        """Return the duplicates that are ready now, because their frame is no longer where it was."""
        doubles = [one for one in self._reports.values() if one.state == "duplicate"]
        same = [one for one in doubles if (seen := self._seen.get(one.path)) and seen.stamp == one.stamp]
        arrivals = (self._identified(one.path, one.stamp, one.content_hash) for one in same)
        return [one for arrival in arrivals if arrival.state == "ready" for one in self._tell(arrival)]

    def _tell(self, arrival: Arrival) -> list[Arrival]:
        """Return the arrival if it differs from the last report of this file; it is kept either way."""
        last = self._reports.pop(arrival.path, None)
        if arrival.state != "gone" or arrival.content_hash:
            self._reports[arrival.path] = arrival
        return [] if last is not None and replace(last, stamp=arrival.stamp) == arrival else [arrival]


def watch(
    folder: Path,
    on_change: Callable[[list[Arrival]], None],
    on_error: Callable[[str], None],
    stop: threading.Event,
    known: Iterable[Arrival] = (),
    rescan_s: float = 2.0,
    settle_s: float = 1.0,
) -> None:
    """Follow a folder until `stop` is set, and call back from this thread with what `FolderWatch.look` returns.

    The folder is looked at when the file system reports a change, and every `rescan_s` seconds in any case. A folder
    that cannot be looked at is reported once to `on_error` and waited for; when it is back, `on_change` is called even
    if nothing changed. `on_error` is also called when the file system gives no events. This returns within a second of
    `stop`, or once the file being read then is read, and leaves no thread.
    """
    arrivals, stirred = FolderWatch(folder, known, settle_s), threading.Event()
    there: bool | None = None
    with ExitStack() as events:
        while not stop.is_set():
            stirred.clear()
            try:
                changed = arrivals.look(enough=stop.is_set)
            except FrameError as error:
                events.close()
                if there is not False:
                    on_error(str(error))
                there = False
            else:
                if changed or there is False:
                    on_change(changed)
                if not there:
                    events.enter_context(_stirring(folder, stirred, on_error))
                there = True
            _rest(min(rescan_s, arrivals.due_s()) if there else rescan_s, stirred, stop)


@contextmanager
def _stirring(folder: Path, stirred: threading.Event, on_error: Callable[[str], None]) -> Iterator[None]:
    """Set `stirred` whenever something changes in the folder, if the system gives events."""
    observer: BaseObserver | None = None
    try:
        observer = Observer()
        observer.schedule(_Stirred(stirred), str(folder), recursive=True)
        observer.start()
    except (OSError, RuntimeError) as error:  # too many inotify watches, or whatever the platform's own way raises
        on_error(f"The system reports no changes in {folder} ({error}): new files are found a little later.")
    try:
        yield
    finally:
        if observer is not None:
            observer.stop()
            if observer.is_alive():
                observer.join()


class _Stirred(FileSystemEventHandler):
    """Sets an event when a file or folder changes."""

    def __init__(self, stirred: threading.Event) -> None:
        self._stirred = stirred

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Note a change; reading a file is not one."""
        if event.event_type in CHANGES:
            self._stirred.set()


def _rest(seconds: float, stirred: threading.Event, stop: threading.Event) -> None:
    """Wait for so long, but no longer than until something changes; one tick at least unless there is work to do."""
    while seconds > 0 and not stop.wait(min(TICK_S, seconds)) and not stirred.is_set():
        seconds -= TICK_S


def _judged(path: str, whole: Path, stamp: Stamp) -> Arrival:
    """Return the state of the file `whole` by reading it: ready, pending or broken, with the reason."""
    try:
        frame = read(whole)
    except FrameError as error:
        # what is being written may be locked, and a network drive away for a moment
        waits = WAIT in str(error) or isinstance(error.__cause__, OSError)
        return Arrival(path, stamp, "pending" if waits else "broken", str(error))
    except MemoryError:
        return Arrival(path, stamp, "pending", f"{whole} is larger than the free memory. Split it into smaller files.")
    if NO_OME in frame.notes:
        return Arrival(path, stamp, "pending", f"{NO_OME} If it is not an OME-TIFF, rename it.")
    unfinished = [note for note in frame.notes if note.startswith((PLANNED, NO_INDEX))]
    if unfinished:
        return Arrival(
            path, stamp, "pending", f"{unfinished[0]} If the acquisition was stopped, open the file by hand."
        )
    blank, count = blank_planes(frame)
    if blank and whole.name.lower().endswith(TIFFS):  # the others are compressed: every zero in them was written
        doubt = f"{blank} of {count} planes hold only zeros; they may not have been written yet."
        return Arrival(path, stamp, "pending", f"{doubt} If they are meant to be dark, open the file by hand.")
    return Arrival(path, stamp, "ready", "", frame.content_hash)
