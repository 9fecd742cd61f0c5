"""Images that moved, found again by their content: a file's name only says which to look into first."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from costal.applying.image_files import image_sources
from costal.errors import FrameError, ProjectError
from costal.frames.lazy import LazyFrame, open_lazily
from costal.frames.planes import planes_called
from costal.frames.read import Planes
from costal.frames.windows import content_hash
from costal.labels.project import Project
from costal.numerals import counted
from costal.types import Job, Progress
from costal.workbench.frames_list import ListedFrame
from costal.workbench.row_frames import planes_in


@dataclass(frozen=True, slots=True)
class Located:
    """Where the images of frames lie, by the frames' ids, and those that were not found.

    `others` are images that are called like one that is missing, and have other pixels; `unreadable` could not be read.
    """

    sources: dict[int, str]
    missing: tuple[ListedFrame, ...]
    others: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


def locate(project: Project, frames: Sequence[ListedFrame], place: Path) -> Job[Located]:
    """Return which of these frames are in an image, or in the images in and below a folder.

    Raises
    ------
    ProjectError
        When there is no such place.
    FrameError
        When there is no image.
    """
    if not place.exists():
        raise ProjectError(f"{place} does not exist. Choose an image, or a folder with the images.")
    names = {_file_name(each) for each in frames}
    images = sorted(image_sources([place], project.scores_folder), key=lambda each: Path(each).name not in names)
    left = {each.id: each for each in frames}
    sources: dict[int, str] = {}
    others, unreadable = list[str](), list[str]()
    for done, image in enumerate(images):
        if not left:
            break
        yield Progress(done, len(images), f"Comparing {Path(image).name}")
        try:
            same = _frames_in(project, image, list(left.values()))
        except FrameError:
            unreadable.append(image)
            continue
        for frame_id in same:
            del left[frame_id]
            sources[frame_id] = str(Path(image).absolute())
        if not same and Path(image).name in {_file_name(each) for each in left.values()}:
            others.append(image)
    return Located(sources, tuple(left.values()), tuple(others), tuple(unreadable))


def _frames_in(project: Project, image: str, frames: Sequence[ListedFrame]) -> list[int]:
    """Return which frames an image holds; its pixels are read only where its size is that of one."""
    whole = open_lazily(image, "skip", project.axes)
    frames = [each for each in frames if (each.record.height, each.record.width) == whole.size_of(0)]
    named = [each for each in frames if _file_name(each) == Path(image).name]
    hashes: dict[Planes, str] = {}
    same: list[int] = []
    for each in (*named, *(each for each in frames if each not in named)):
        for planes in _planes_of(project, whole, each.record.planes):
            if planes not in hashes:
                hashes[planes] = content_hash(whole, planes)
            if hashes[planes] == each.record.content_hash:
                same.append(each.id)
                break
    return same


def _planes_of(project: Project, whole: LazyFrame, description: str) -> tuple[Planes, ...]:
    """Return the planes of an image that may be called so; none where it has no such planes."""
    planes = planes_called(description)
    if planes is None:
        return tuple(planes_in(whole, project, any_rule=True))
    fits = all(
        whole.length(axis) > (choice if isinstance(choice, int) else 1 if choice is not None else 0)
        for axis, choice in (("Z", planes.z), ("T", planes.t))
    )
    channels = planes.channels or ()
    return (planes,) if fits and all(each < whole.length("C") for each in channels) else ()


def _file_name(frame: ListedFrame) -> str:
    return frame.record.source.replace("\\", "/").rstrip("/").rpartition("/")[2]


def located_text(located: Located) -> str:
    """Return what came of looking for images, in sentences."""
    count, left = len(located.sources), len(located.missing)
    sentences = [f"Found {count} of {count + left} images by their content."]
    if located.others:
        first = Path(located.others[0])
        more = f" and {len(located.others) - 1} more" if len(located.others) > 1 else ""
        sentences.append(f"Not used: {first}{more} (the name of a missing image, but other pixels).")
    if located.unreadable:
        sentences.append(f"{counted(len(located.unreadable), 'file')} could not be read.")
    if left:
        sentences.append(
            f"{located.missing[0].name}{f' and {left - 1} more are' if left > 1 else ' is'} still missing."
        )
    return " ".join(sentences)
