"""The axes that the user sets for files, which the project remembers by their kind."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from costal.errors import FrameError, ProjectError
from costal.frames.axes import checked_axes, kind_of
from costal.frames.kinds import axes_in
from costal.labels.lock import ProjectLock
from costal.labels.project import Project
from costal.labels.project_file import load_project, save_project


def kinds_with(axes: str, sources: Iterable[str]) -> Mapping[str, str]:
    """Return the axes by the kind of those files that have as many dimensions.

    Raises
    ------
    FrameError
        When the letters make no sense, or fit none of the files.
    """
    letters, kinds, others = checked_axes(axes), dict[str, str](), dict[str, str]()
    for source in sources:
        try:
            axes_of_file = axes_in(source)
        except FrameError as error:  # whoever reads the file says so, unless there is no other
            others[source] = str(error)
            continue
        if len(axes_of_file) == len(letters):
            kinds[kind_of(source, axes_of_file)] = letters
        else:
            others[source] = (
                f"{source} has {len(axes_of_file)} dimensions ({axes_of_file}) and cannot have the axes {letters}. "
                "Name each dimension once."
            )
    if not kinds:
        raise FrameError(next(iter(others.values()), "No file is open, so no axes can be set."))
    return kinds


def remember(project: Project, axes: Mapping[str, str]) -> tuple[Project, str]:
    """Return the project with these axes, kept on disk, or a sentence on why they hold only this time."""
    known = {**project.axes, **axes}
    if known == dict(project.axes):
        return project, ""
    lock = ProjectLock(project.folder)
    try:
        holder = lock.acquire()
        if holder is not None:
            raise ProjectError(f"{holder} writes to the project.")
        try:
            today = load_project(project.folder)
            save_project(replace(today, axes={**today.axes, **axes}))
        finally:
            lock.release()
    except (ProjectError, OSError) as error:
        return replace(project, axes=known), f"The axes apply this time only and were not saved in the project: {error}"
    return replace(project, axes=known), ""


def of_files(project: Project, axes: str | None, sources: Iterable[str]) -> tuple[Project, tuple[str, ...]]:
    """Return the project with the axes that a command set for its files, if it did, and what there is to say."""
    if axes is None:
        return project, ()
    project, note = remember(project, kinds_with(axes, sources))
    return project, (note,) if note else ()
