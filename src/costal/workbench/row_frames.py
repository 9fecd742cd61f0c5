"""Which frame the rows of a table are about: by content, by the path on disk or by its end, and never by a guess."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath, PureWindowsPath

from costal.errors import FrameError, ProjectError
from costal.frames.grid import Plane
from costal.frames.lazy import LazyFrame
from costal.frames.ome_zarr import is_url, is_zarr
from costal.frames.planes import describe, planes_called, planes_of
from costal.frames.read import Planes
from costal.labels.exchange.imports import LabelRow, refuse
from costal.labels.plane_names import may_be_same, steps_of
from costal.labels.project import Project
from costal.labels.records import FrameRecord
from costal.scoring.frame_planes import FramePlane, frame_of, open_image
from costal.types import Frame, PlaneRule
from costal.workbench.session import ProjectSession, recorded

OTHER_RULES = (PlaneRule("each", "each"), PlaneRule("max", "each"), PlaneRule("max", "max"), PlaneRule("mean", "each"))
"""How a stack may have been cut when its frame came into the project, if not as the project says today."""
MOST_LISTED = 5


@dataclass(frozen=True, slots=True)
class RowFrame:
    """A frame of the project, and its plane where it had to be read."""

    id: int
    record: FrameRecord
    plane_C_Y_X: Plane | None = None


@dataclass(frozen=True, slots=True)
class RowFrames:
    """The frames that one table's rows are about; `frames`, those of the project, grows. `notes` say what was assumed.

    `images_read` are the frames that were read for them. A path is looked for as it is, in `images`, beside
    the table, in the project's folder and in the watched folder.
    """

    session: ProjectSession
    table: Path
    images: Path | None
    frames: dict[int, FrameRecord]
    notes: dict[tuple[str, str], None] = field(default_factory=dict)
    images_read: list[FramePlane] = field(default_factory=list)
    _named: dict[str, str] = field(default_factory=dict)
    _below: dict[str, list[Path]] = field(default_factory=dict)

    def frame_of(self, row: LabelRow) -> RowFrame:
        """Return the frame that a row is about: one of the project, or read from its file and added to the project.

        Raises
        ------
        ProjectError
            When there is none, or there are several; names file and row, and lists them.
        """
        hash_said = row.content_hash or row.frame
        same = [at for at, each in self.frames.items() if each.content_hash == hash_said]
        if same:
            return self._known(row, [at for at in same if self._has_planes(at, row)] or same)
        path = self._file(row.frame)
        if row.content_hash:
            return self._read(row, path or self._by_end(row)[1], row.content_hash)
        known = self._of_source(row.frame) if path is None else self._of_file(path)
        if path is None and not known:
            known, path = self._by_end(row)
        known = [at for at in known if self._has_planes(at, row)]
        return self._known(row, known) if known else self._read(row, path)

    def plane_of(self, row: LabelRow, record: FrameRecord) -> Plane:
        """Return the plane of a frame of the project, read again from where it came from or where the row says."""
        path = next((path for name in (row.frame, record.source) if (path := self._file(name)) is not None), None)
        return self._plane(row, path or self._by_end(row)[1], record.content_hash, None).pixels_C_Y_X

    def _known(self, row: LabelRow, known: Sequence[int]) -> RowFrame:
        """Return the one frame of the project that a row can mean."""
        if len(known) > 1:
            sources = {self.frames[at].source for at in known}
            if len(sources) > 1:
                raise self._several(row, sources)
            raise self._refuse(row, "several frames have this name. Add the columns content_hash and planes.")
        record = self.frames[known[0]]
        is_by_content = record.content_hash in (row.content_hash, row.frame)
        if not is_by_content and row.planes is None and steps_of(record.planes):
            raise self._refuse(
                row,
                f"the project has its plane '{record.planes}', but the table names no plane. Add a column planes.",
            )
        return RowFrame(known[0], record)

    def _read(self, row: LabelRow, path: Path | None, content: str = "") -> RowFrame:
        frame = self._plane(row, path, content, row.planes)
        try:
            stored = self.session.place(recorded(frame))
        except FrameError as error:
            raise self._refuse(row, str(error)) from error
        self.frames[stored.id] = self.session.store.frames()[stored.id]
        return RowFrame(stored.id, self.frames[stored.id], frame.pixels_C_Y_X)

    def _plane(self, row: LabelRow, path: Path | None, content: str, planes: str | None) -> FramePlane:
        """Return the one frame of a file that has this content, or else is called so."""
        if path is None:
            raise self._refuse(
                row, "the project has no crop of this frame, and there is no such file. Give the folder of the images."
            )
        try:
            choices = [
                each
                for each in _planes_in(path, self.session.project, bool(content))
                if (
                    each.content_hash == content if content else planes is None or may_be_same(planes, each.description)
                )
            ]
        except FrameError as error:
            raise self._refuse(row, str(error)) from error
        if not choices:
            raise self._refuse(
                row, f"{path} does not have the pixels or planes that the row names. Correct the row, or the file."
            )
        if len(choices) > 1 and not content:
            names = ", ".join(f"'{each.description}'" for each in choices[:MOST_LISTED])
            raise self._refuse(row, f"{path} has {len(choices)} planes ({names} …). Name one in a column planes.")
        self.notes.update(((path.name, note), None) for note in choices[0].notes)
        self.images_read.append(choices[0])
        return choices[0]

    def _has_planes(self, at: int, row: LabelRow) -> bool:
        return row.planes is None or may_be_same(row.planes, self.frames[at].planes)

    # Paths

    def _file(self, name: str) -> Path | None:
        """Return the file or OME-Zarr that a path names, as it is written; None where there is none."""
        if is_url(name):
            return None
        return next((path for path in self._spellings(name) if _is_there(path)), None)

    def _spellings(self, name: str) -> Iterator[Path]:
        """Return where a path may lead: absolute, or from each folder; backslashes part folders too."""
        parts = PureWindowsPath(name).parts
        watched = self.session.project.intake.folder
        folders = [self.images, self.table.parent, self.session.project.folder, Path(watched) if watched else None]
        for folder in (*folders, Path()):
            if folder is not None:
                yield folder / name
                if not _is_absolute(name):
                    yield folder.joinpath(*parts)

    def _of_source(self, source: str) -> list[int]:
        return [at for at, each in self.frames.items() if each.source == source]

    def _of_file(self, path: Path) -> list[int]:
        """Return the frames of the project that came from this file."""
        key = _key(path)
        return [at for at, each in self.frames.items() if not is_url(each.source) and _key(Path(each.source)) == key]

    def _by_end(self, row: LabelRow) -> tuple[list[int], Path | None]:
        """Return the frames of the project, or the file, whose path ends as the row's does; the longest end counts."""
        ends: dict[str, tuple[int, list[int], Path | None]] = {}
        for at, each in self.frames.items():
            key = each.source if is_url(each.source) else _key(Path(each.source))
            known = ends.get(key, (0, [], None))[1]
            ends[key] = shared_end(row.frame, each.source), [*known, at], None
        for path in self._files_called(PureWindowsPath(row.frame).name):
            is_moved = _is_absolute(row.frame) and path.parent in (self.images, self.table.parent)
            shared = shared_end(row.frame, str(path)) or int(is_moved)
            ends[_key(path)] = max(shared, ends.get(_key(path), (0,))[0]), ends.get(_key(path), (0, [], None))[1], path
        longest = max((each[0] for each in ends.values()), default=0)
        best = [key for key, each in ends.items() if each[0] == longest] if longest else []
        if len(best) > 1:
            raise self._several(row, best)
        if not best:
            self._refuse_other_folder(row, ends)
            return [], None
        self._note_name(row, best[0])
        return ends[best[0]][1:]

    def _note_name(self, row: LabelRow, target: str) -> None:
        """Refuse that two paths that contradict each other mean one image; note a path that only ends like it."""
        earlier = self._named.setdefault(target, row.frame)
        if earlier != row.frame and not shared_end(earlier, row.frame):
            raise self._refuse(
                row,
                f"'{earlier}' in an earlier row matches {target} too. Correct the paths, or add content_hash.",
            )
        parts = PureWindowsPath(row.frame).parts
        note = f"'{row.frame}' was not found. Its labels are now on {target}, because both paths end in the same way."
        if len(parts) > 1 and PureWindowsPath(target).parts[-len(parts) :] != parts:
            self.notes[self.table.name, note] = None

    def _files_called(self, name: str) -> list[Path]:
        """Return the images of this name in and below the images' folder, or else beside the table."""
        if self.images is None:
            beside = self.table.parent / name
            return [beside] if _is_there(beside) else []
        if not self._below:
            self._below.update(_listed(self.images))
        return self._below.get(name, [])

    def _refuse_other_folder(self, row: LabelRow, ends: Mapping[str, object]) -> None:
        """Refuse a path of whose name there are images, but in other folders."""
        name = PureWindowsPath(row.frame).name
        others = [key for key in ends if PureWindowsPath(key).name == name]
        if others:
            raise self._refuse(
                row,
                f"there is no such file; the only files with this name are {_some(others)}. Correct the path, give the "
                "folder of the images, or add content_hash.",
            )

    def _several(self, row: LabelRow, sources: "Sequence[str] | set[str]") -> ProjectError:
        return self._refuse(row, f"it fits several images: {_some(sources)}. Write their paths, or add content_hash.")

    def _refuse(self, row: LabelRow, reason: str) -> ProjectError:
        return refuse(self.table, row.number, "frame", f"'{row.frame}': {reason}")


def shared_end(one: str, other: str) -> int:
    """Return how many last parts two paths share; 0 where only the file's name is the same and both name a folder."""
    parts, others = PureWindowsPath(one).parts, PureWindowsPath(other).parts
    shared = 0
    for part, another in zip(reversed(parts), reversed(others), strict=False):
        if part != another:
            break
        shared += 1
    return shared if shared > 1 or shared == min(len(parts), len(others)) else 0


def _some(sources: "Sequence[str] | set[str]") -> str:
    names = sorted(sources)
    return ", ".join(names[:MOST_LISTED]) + (
        f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    )


def _is_absolute(name: str) -> bool:
    """Return whether a path is absolute on some system."""
    return PureWindowsPath(name).is_absolute() or PurePosixPath(name).is_absolute()


def _is_there(path: Path) -> bool:
    with suppress(OSError, ValueError):  # a name can be longer than any file's
        return path.is_file() or (path.is_dir() and is_zarr(str(path)))
    return False


def _key(path: Path) -> str:
    try:
        return str(path.resolve())
    except (OSError, RuntimeError, ValueError):
        return str(path)


def _listed(folder: Path) -> dict[str, list[Path]]:
    """Return the files and OME-Zarrs in and below a folder, by name."""
    names: dict[str, list[Path]] = {}
    for inside, folders, files in os.walk(folder):
        groups = [name for name in folders if name.lower().endswith(".zarr")]
        folders[:] = sorted(name for name in folders if name not in groups and not name.startswith("."))
        for name in (*files, *groups):
            names.setdefault(name, []).append(Path(inside) / name)
    return names


def _planes_in(path: Path, project: Project, any_rule: bool) -> Iterator[FramePlane]:
    """Return the frames that are in an image: by one rule, or by all that are common."""
    whole = open_image(str(path), project.axes, "skip")
    return (frame_of(whole, planes) for planes in planes_in(whole, project, any_rule))


def planes_in(whole: Frame | LazyFrame, project: Project, any_rule: bool) -> Iterator[Planes]:
    """Return the planes of an image that are frames of a project: by its rule, or by all rules that are common."""
    rule = project.plane_rule()
    seen = set[Planes]()
    others = (
        replace(each, channels=channels) for each in OTHER_RULES for channels in dict.fromkeys((rule.channels, None))
    )
    for each in (rule, *(others if any_rule else ())):
        for planes in planes_of(whole, each):
            if planes not in seen:
                seen.add(planes)
                yield planes


def planes_named(whole: Frame | LazyFrame, project: Project, description: str) -> Planes | None:
    """Return the planes of an image that a frame's description names, whatever the project's rule; None for none."""
    known = planes_called(description)
    if known is not None:
        return known
    return next((each for each in planes_in(whole, project, True) if may_be_same(description, describe(each))), None)
