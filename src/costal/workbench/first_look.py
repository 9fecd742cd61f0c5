"""A large frame scored for the screen: every crop of it, or without a model a first look at some of them."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from costal.agent.features import simple_features
from costal.errors import FrameError
from costal.frames.grid import crop_at
from costal.frames.information import is_blank
from costal.frames.lazy import Missing
from costal.frames.normalise import IntensityRange, normalise
from costal.frames.read import Planes
from costal.frames.windows import LazyPlane, missing_boxes
from costal.seeds import rng_for
from costal.types import Grid, Job, Progress
from costal.workbench.bands import known_as, reopen, score_bands
from costal.workbench.intensities import measured_range
from costal.workbench.large import LargeRequest, Prepared, generation_for, grid_for, prepare
from costal.workbench.large_scores import put_together
from costal.workbench.pixel_size import warning_for
from costal.workbench.rounds import FrameScores

LOOKED_AT = 400
"""Without a model a query is chosen among so many crops, drawn at random."""


@dataclass(frozen=True, slots=True)
class FirstLook:
    """A large frame without a model for it, the crops of it to be looked at, and what there is to say."""

    source: str
    identity: str
    axes: str
    planes: Planes
    missing: Missing
    grid: Grid
    range: IntensityRange
    which_M: NDArray[np.intp]
    reason: str
    warning: str = ""


def begin(request: LargeRequest) -> Prepared | FirstLook:
    """Return what `score_begun` is to do for a frame: it travels to another process.

    Raises
    ------
    CostalError
        See `prepare`.
    """
    generation = generation_for(request)
    if generation.agent.classifier:
        return prepare(request)
    frame, grid = request.frame, grid_for(request)
    drawn = rng_for(request.project.choices.seed, "first look").permutation(len(grid))[:LOOKED_AT]
    limits = request.range or measured_range(frame, request.planes, request.missing)[0]
    return FirstLook(
        known_as(frame),
        frame.identity,
        frame.axes,
        request.planes,
        request.missing,
        grid,
        limits,
        np.sort(drawn),
        " ".join(generation.agent.notes),
        warning_for(request.project, generation, frame.pixel_um),
    )


def score_begun(begun: Prepared | FirstLook) -> Job[FrameScores]:
    """Return the scores of a large frame for the screen.

    Raises
    ------
    CostalError
        See `score_bands`; when no crop could be looked at.
    """
    if isinstance(begun, FirstLook):
        return (yield from _look(begun))
    from costal.agent.devices import choose_device, describe_device

    work = begun.work
    frame = reopen(work.source, work.identity, work.missing, work.axes)
    yield from score_bands(work, frame, begun.agent, begun.to_do)
    found = put_together(begun, with_probs=True).frame_scores
    device = describe_device(choose_device(work.device))
    return replace(found, scores=found.scores and replace(found.scores, device=device))


def _look(look: FirstLook) -> Job[FrameScores]:
    """Return simple features of some crops; those that lack chunks, or have no information, are left out."""
    frame, grid = reopen(look.source, look.identity, look.missing, look.axes), look.grid
    plane, seen, which = LazyPlane(frame, look.planes, "fill"), [], []
    for done, index in enumerate(look.which_M.tolist()):
        yield Progress(done, len(look.which_M), "Looking at some crops")
        y, x = grid.origin(index)
        box = y, min(y + grid.crop, grid.height), x, min(x + grid.crop, grid.width)
        if look.missing == "skip" and missing_boxes(frame, look.planes, box):
            continue
        crop = crop_at(plane, grid, index)[np.newaxis]
        if is_blank(crop)[0]:
            continue
        seen.append(normalise(crop, look.range)[0])
        which.append(index)
    if not seen:
        raise FrameError(
            f"{look.source} shows nothing in any crop that was looked at: chunks are missing, or all is constant. "
            "Wait until it is written, or choose another frame."
        )
    reason = f"{look.reason} A first query is chosen among {len(which)} crops drawn at random."
    found = FrameScores(None, 0, reason, features_M_F=simple_features(np.stack(seen)), which_M=np.array(which))
    return replace(found, warnings=(look.warning,) if look.warning else ())
