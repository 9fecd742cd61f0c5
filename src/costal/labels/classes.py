"""The classes of a project, edited: each edit returns a new project, ids never change, no label is touched."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from types import MappingProxyType

from costal.errors import ProjectError
from costal.labels.project import COLOURS, KEYS, LabelClass, Project, checked

MOST_EXAMPLES = 6
"""Crops that show what a class looks like."""


def free_name(project: Project) -> str:
    """Return a name for one class more, which none has: ``class 3`` where there are two."""
    taken = {each.name for each in project.classes}
    return next(name for number in count(len(taken) + 1) if (name := f"class {number}") not in taken)


def new_class(project: Project, name: str) -> Project:
    """Return the project with one class more: the next free id, key and colour."""
    next_id = 1 + max((each.id for each in project.classes), default=0)
    colour = COLOURS[(next_id - 1) % len(COLOURS)]
    return checked(replace(project, classes=(*project.classes, LabelClass(next_id, name, _free_key(project), colour))))


def rename_class(project: Project, class_id: int, name: str) -> Project:
    """Return the project with another name for a class."""
    return _edited(project, class_id, name=name)


def describe_class(project: Project, class_id: int, description: str) -> Project:
    """Return the project with another description of a class; several lines become one."""
    return _edited(project, class_id, description=" ".join(description.split()))


def illustrate_class(project: Project, class_id: int, label_ids: Sequence[int]) -> Project:
    """Return the project in which these labels' crops, at most `MOST_EXAMPLES`, show what a class looks like.

    Labels are named by the id that they had at first (see `CropLabel.first_id`).
    """
    return _edited(project, class_id, examples=tuple(label_ids)[:MOST_EXAMPLES])


def recolour_class(project: Project, class_id: int, colour: str) -> Project:
    """Return the project with another colour for a class, as #rrggbb."""
    return _edited(project, class_id, colour=colour.lower())


def rekey_class(project: Project, class_id: int, key: str, tools: Mapping[str, str] = MappingProxyType({})) -> Project:
    """Return the project with another key for a class; the class that had it gets the old one. Empty: no key.

    `tools` has the keys of the labelling page's tools as they are set now: none of them is given to a class.
    """
    key = key.strip().upper()
    project_class = _the_class(project, class_id)
    if not project_class.is_offered:
        raise ProjectError(f"'{project_class.name}' is retired, so it needs no key. Restore it first.")
    tool = next((tool for tool, its_key in tools.items() if key and its_key.upper() == key), None)
    if tool is not None and key != project_class.key.upper():
        raise ProjectError(
            f"'{key}' cannot be the key of '{project_class.name}': {tool} uses it. Choose another key, or change the "
            "key of the tool in napari's preferences, under napari-costal."
        )
    before = project_class.key
    owner = next((each for each in project.offered if key and each.key.upper() == key and each.id != class_id), None)
    if owner is not None:
        project = _replaced(project, owner.id, key=before)
    return _edited(project, class_id, key=key)


def merge_classes(project: Project, class_id: int, into_id: int) -> Project:
    """Return the project in which all labels of one class, old ones too, count as another's.

    Raises
    ------
    ProjectError
        When both are one class, or one of them is not offered.
    """
    merged, into = _the_class(project, class_id), _the_class(project, into_id)
    if class_id == into_id or not merged.is_offered or not into.is_offered:
        raise ProjectError(f"'{merged.name}' cannot be merged into '{into.name}'. Choose two active classes.")
    return _edited(project, class_id, merged_into=into_id, key="")


def retire_class(project: Project, class_id: int) -> Project:
    """Return the project that does not offer or learn a class any more; its labels stay readable."""
    return _edited(project, class_id, retired=True, key="")


def restore_class(project: Project, class_id: int) -> Project:
    """Return the project that offers a retired or merged class again, with a free key."""
    if _the_class(project, class_id).is_offered:
        return project
    return _edited(project, class_id, retired=False, merged_into=0, key=_free_key(project))


def _the_class(project: Project, class_id: int) -> LabelClass:
    project_class = next((each for each in project.classes if each.id == class_id), None)
    if project_class is None:
        raise ProjectError(f"There is no class {class_id} in '{project.name}'. Choose one of its classes.")
    return project_class


def _replaced(project: Project, class_id: int, **changes: object) -> Project:
    changed = replace(_the_class(project, class_id), **changes)  # type: ignore[arg-type]
    return replace(project, classes=tuple(changed if each.id == class_id else each for each in project.classes))


def _edited(project: Project, class_id: int, **changes: object) -> Project:
    return checked(_replaced(project, class_id, **changes))


def _free_key(project: Project) -> str:
    used = {each.key for each in project.offered}
    return next((key for key in KEYS if key not in used), "")
