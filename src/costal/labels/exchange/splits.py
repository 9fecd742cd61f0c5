"""Training and validation, told apart by frame: crops of one frame look alike, so no frame is in both."""

from collections.abc import Collection
from typing import Literal

from costal.errors import ProjectError
from costal.seeds import seed_for

Split = Literal["train", "validation"]


def checked_share(validation: float) -> float:
    """Return the share of frames for validation, or raise ProjectError when it is not from 0 to below 1."""
    if not 0 <= validation < 1:
        raise ProjectError(f"A validation share of {validation:g} is not valid. Use 0 (none) or a share below 1.")
    return validation


def splits_of(content_hashes: Collection[str], seed: int, validation: float) -> dict[str, Split]:
    """Return where each frame's content goes; it stays there however many frames are added, from the second on.

    Each falls to validation by itself, with the probability `validation`. One frame alone is for training.
    """
    alone = len(set(content_hashes)) < 2
    return {
        each: "validation" if not alone and seed_for(seed, "validation", each) / 2**63 < validation else "train"
        for each in content_hashes
    }


def split_notes(splits: dict[str, Split], validation: float) -> tuple[str, ...]:
    """Return what has to be said when a share was asked for that these frames did not give."""
    missing = {"train", "validation"} - set(splits.values())
    if not validation or not splits or not missing:
        return ()
    if len(splits) == 1:
        return ("There is only one frame, and a frame is never split: all its labels are for training.",)
    return (f"By chance, none of the {len(splits)} frames was drawn for {missing.pop()}. Label more frames.",)
