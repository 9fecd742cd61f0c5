"""Small pictures of a project's frames, kept in its folder `thumbnails`, which may be deleted at any time.

A picture is named by the frame's content, so that a frame whose image is missing still has one.
"""

import io
from contextlib import suppress
from pathlib import Path

import numpy as np

from costal.errors import FrameError, ProjectError
from costal.files import write_atomically
from costal.frames.lazy import open_lazily
from costal.frames.thumbnails import RGBPicture, thumbnail, thumbnail_in_memory
from costal.frames.windows import Pixels
from costal.labels.lock import is_held_elsewhere
from costal.labels.places import LAYER
from costal.labels.project import Project
from costal.labels.records import FrameRecord
from costal.workbench.row_frames import planes_named

FOLDER = "thumbnails"


def thumbnail_of(project: Project, record: FrameRecord, may_read: bool = True) -> RGBPicture | None:
    """Return a picture (h, w, 3) of a frame: the kept one, or one made now and kept where the project may be written.

    None where the image may or can not be read, or only as a whole. A kept picture is of the frame's content, one that
    is made is of what lies in its place, if it has the frame's size. Not for the GUI thread: a drive may be slow.
    """
    if (kept := _load(_path(project, record.content_hash))) is not None:
        return kept
    picture = _made(project, record) if may_read else None
    if picture is not None:
        _keep(project, record.content_hash, picture)
    return picture


def thumbnail_of_pixels(project: Project, content_hash: str, plane_C_Y_X: Pixels, is_rgb: bool) -> RGBPicture:
    """Return a picture of a frame whose pixels are in memory alone, now kept where the project may be written.

    Raises
    ------
    FrameError
        When a channel has no finite pixel.
    """
    picture = thumbnail_in_memory(plane_C_Y_X, project.channels, is_rgb)
    _keep(project, content_hash, picture)
    return picture


def _path(project: Project, content_hash: str) -> Path:
    return project.folder / FOLDER / f"{content_hash[:40]}.png"


def _keep(project: Project, content_hash: str, picture: RGBPicture) -> None:
    if is_held_elsewhere(project.folder):
        return
    path = _path(project, content_hash)
    with suppress(OSError, ProjectError):  # a cache: a full disk or a read-only project has none
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, _png(picture))


def _made(project: Project, record: FrameRecord) -> RGBPicture | None:
    if record.source.startswith(LAYER):
        return None
    try:
        image = open_lazily(record.source, "fill", project.axes)
        if image.size_of(0) != (record.height, record.width):
            return None
        planes = planes_named(image, project, record.planes)
        return thumbnail(image, planes) if planes is not None else None
    except FrameError:
        return None


def _load(path: Path) -> RGBPicture | None:
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG",)) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError):
        return None


def _png(picture: RGBPicture) -> bytes:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG")
    return content.getvalue()
