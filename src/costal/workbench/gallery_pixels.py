"""The raw pixels of a gallery's crops, read from the frame at work, the store or the frame's file; and its answers."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costal.errors import CostalError, FrameError
from costal.frames.grid import Plane, crop_at
from costal.frames.windows import PlaneAddress
from costal.labels.records import AnswerRecord, Given
from costal.labels.store import Store
from costal.scoring.channels import planes_for
from costal.scoring.frame_planes import frame_of, open_image
from costal.workbench.gallery_crops import Gallery
from costal.workbench.gallery_frames import GalleryFrame

Crop = NDArray[np.generic]


class CropPixels:
    """Reads crops of one gallery, and opens each frame once. Use it from one thread at a time.

    A frame whose file is gone keeps its reason until another gallery is collected.
    """

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._planes: dict[int, Plane | str] = {}

    def read(self, rows: Iterable[int]) -> dict[int, Crop | str]:
        """Return the pixels (C, H, W) of crops by their rows, or the sentence that says why they cannot be read."""
        outcome: dict[int, Crop | str] = {}
        stored: list[int] = []
        for row in map(int, rows):
            frame = self._frame_of(row)
            if isinstance(frame.plane, np.ndarray) and self._index(frame, row) is not None:
                outcome[row] = self._cut(frame, row)
            else:
                stored.append(row)
        if stored:
            with Store(self._gallery.project.store_path, read_only=True) as store:
                for row in stored:
                    pixels = store.crop_pixels(*self._place(row))
                    outcome[row] = pixels if pixels is not None else self._cut(self._frame_of(row), row)
        return outcome

    def _frame_of(self, row: int) -> GalleryFrame:
        return self._gallery.frames[int(self._gallery.crops.frame_id_N[row])]

    def _place(self, row: int) -> tuple[int, int, int, int]:
        crops = self._gallery.crops
        return int(crops.frame_id_N[row]), int(crops.y_N[row]), int(crops.x_N[row]), int(crops.side_N[row])

    def _index(self, frame: GalleryFrame, row: int) -> int | None:
        """Return which crop of the frame's grid it is, None where it is of another grid."""
        _, y, x, side = self._place(row)
        grid = frame.grid
        if grid is None or side != grid.crop or y % grid.stride or x % grid.stride:
            return None
        return y // grid.stride * grid.cols + x // grid.stride

    def _cut(self, frame: GalleryFrame, row: int) -> Crop | str:
        plane, index = self._plane(frame), self._index(frame, row)
        if isinstance(plane, str):
            return plane
        if frame.grid is None or index is None:
            return f"{frame.record.source} has no such crop any more."
        try:
            return crop_at(plane, frame.grid, index)
        except (CostalError, OSError) as error:
            return str(error)

    def _plane(self, frame: GalleryFrame) -> Plane | str:
        if frame.id not in self._planes:
            try:
                self._planes[frame.id] = self._opened(frame)
            except (CostalError, OSError) as error:
                self._planes[frame.id] = str(error)
        return self._planes[frame.id]

    def _opened(self, frame: GalleryFrame) -> Plane:
        """Return the plane of a frame, opened from its file where it is not at hand."""
        if isinstance(frame.plane, PlaneAddress):
            return frame.plane.open()
        if frame.plane is not None:
            return frame.plane
        record, project = frame.record, self._gallery.project
        image = open_image(record.source, project.axes, "skip", lazily=True)
        for planes in planes_for(project, image):
            plane = frame_of(image, planes)
            if plane.content_hash == record.content_hash:
                return plane.pixels_C_Y_X
        raise FrameError(f"The pixels of {record.source} have changed since it was scored. Score it again.")


def answers_for(
    gallery: Gallery,
    class_ids: Mapping[int, int | None],
    pixels: Mapping[int, Crop | str],
    annotator: str,
    given: Given,
) -> tuple[AnswerRecord, ...]:
    """Return what the store keeps of crops that are labelled together, by row; None for one that is excluded.

    Raises
    ------
    FrameError
        When the pixels of one cannot be read: then none is labelled.
    """
    lacking = [message for row in class_ids if isinstance(message := pixels[row], str)]
    if lacking:
        raise FrameError(
            f"{len(lacking)} of the {len(class_ids)} crops cannot be read, so none was labelled: {lacking[0]} Remove "
            "them from the selection, or restore the file."
        )
    return tuple(_answer(gallery, row, class_id, pixels[row], annotator, given) for row, class_id in class_ids.items())


def _answer(
    gallery: Gallery, row: int, class_id: int | None, pixels: Any, annotator: str, given: Given
) -> AnswerRecord:
    crops = gallery.crops
    frame, why = gallery.frames[int(crops.frame_id_N[row])], gallery.why(row)
    return AnswerRecord(
        frame.id,
        int(crops.y_N[row]),
        int(crops.x_N[row]),
        pixels,
        "class" if class_id is not None else "exclude",
        class_id,
        annotator,
        events=(),
        generation=frame.generation,
        prediction_shown=bool(why.probs_K),
        why=why,
        given=given,
    )
