"""Which crops a project learns from: those of its own size, with the channels that most of its labels have."""

from collections import Counter
from collections.abc import Sequence

from costal.labels.project import Project
from costal.labels.records import PresentedCrop

Shape = tuple[int, int, int]


def learned_shape(project: Project, presented: Sequence[PresentedCrop]) -> Shape:
    """Return (C, H, W) of the crops that a project's models are for.

    The size is the project's, and so are the channels where it has chosen some. Otherwise their number is that of most
    labelled crops of this size; where none is labelled, of most that were presented, and where none was, of most of any
    size. Of equally many the fewest.
    """
    side = project.tiling.crop
    if project.channels:
        return len(project.channels), side, side
    own = [each for each in presented if each.pixels_C_H_W.shape[1] == side]
    some = [each for each in own if each.class_id is not None] or own or presented
    counts = Counter(len(each.pixels_C_H_W) for each in some)
    channels = min(counts, key=lambda count: (-counts[count], count), default=1)
    return channels, side, side


def left_out(presented: Sequence[PresentedCrop], shape: Shape) -> tuple[str, ...]:
    """Return sentences that count the labels of crops of other shapes, which nothing is learned from, and say why."""
    labels = [each.pixels_C_H_W.shape for each in presented if each.class_id is not None]
    others = [each.pixels_C_H_W.shape for each in presented if each.class_id is None]
    return tuple(
        f"{count} of {len(some)} {what} were left out: {_unlike(other, shape)}."
        for some, what in ((labels, "labels"), (others, "answers without a label"))
        for other, count in sorted(Counter(some).items())
        if other != shape
    )


def remedy(presented: Sequence[PresentedCrop], shape: Shape) -> str:
    """Return how labels of crops of other shapes can be learned from, an empty string where there are none."""
    sizes = Counter(each.pixels_C_H_W.shape[1] for each in presented if each.class_id is not None)
    del sizes[shape[1]]
    if not sizes:
        return ""
    ((side, _),) = sizes.most_common(1)
    return f"Label crops of {shape[1]} px, or set the project's crop size back to {side} px, then train again."


def _unlike(other: tuple[int, ...], shape: Shape) -> str:
    if other[1] != shape[1]:
        return f"their crops are {other[1]} px, the project's are {shape[1]} px"
    return f"their crops have {_channels(other[0])}, the project's have {shape[0]}"


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"
