"""The agent that a project asks today, and the intensity range that its crops are normalised with."""

from dataclasses import replace

from costal.agent.cards import GAL2017, card_of
from costal.errors import ProjectError
from costal.frames.normalise import IntensityRange, merge_ranges, shared_range
from costal.labels.models import ModelVersion, load_newest, newest_provenance
from costal.labels.project import Project
from costal.loop import new_agent
from costal.types import BackboneCard

BEYOND = 0.1
"""Of the fixed range, so much more on either side is not worth a warning."""
Ranges = list[tuple[tuple[float, ...], tuple[float, ...]]]
"""Lows and highs of each channel, for each frame of a project."""


def current_version(project: Project, crop_shape: tuple[int, int, int]) -> ModelVersion:
    """Return the newest agent, with the settings of today, if it fits the classes and these crops; else a new one."""
    settings = project.agent_settings()
    is_frozen = card_of(settings.backbone) is not None
    fresh = new_agent(settings, crop_shape, is_frozen and project.intake.rgb)
    newest = load_newest(project.model_folder)
    if newest is None:
        return ModelVersion(0, fresh)
    made_for = (newest.agent.crop_shape, newest.agent.settings.class_ids)
    if made_for != (crop_shape, fresh.settings.class_ids):
        (channels, side, _), classes = made_for
        note = (
            f"The newest model was trained for {len(classes)} classes and crops of {side} px with {channels} "
            "channel(s). It does not fit the classes or the crops here. Label some of these crops, then train again."
        )
        return ModelVersion(0, replace(fresh, notes=(note,)))
    if newest.agent.backbone != fresh.backbone:
        seen, now = _named(newest.agent.backbone), _named(fresh.backbone)
        if newest.agent.backbone and fresh.backbone and newest.agent.backbone.name == fresh.backbone.name:
            seen, now = f"{seen} with weights {newest.agent.backbone.sha256[:12]}", f"{fresh.backbone.sha256[:12]}"
        note = f"The newest model uses {seen}, but the project now uses {now}. Train again; all labels are kept."
        return ModelVersion(0, replace(fresh, notes=(note,)))
    return replace(newest, agent=replace(newest.agent, settings=fresh.settings))


def _named(card: BackboneCard | None) -> str:
    return f"'{card.name if card is not None else GAL2017}'"


def trained_version(project: Project) -> ModelVersion:
    """Return the newest model with the settings of today.

    Raises
    ------
    ProjectError
        When there is none that classifies, or the project's classes are others by now.
    """
    newest = load_newest(project.model_folder)
    if newest is None or not newest.agent.classifier:
        raise ProjectError(
            f"'{project.name}' has no trained classifier yet. Label crops of at least two classes, then train."
        )
    model_version = current_version(project, newest.agent.crop_shape)
    if not model_version.agent.classifier:
        raise ProjectError(" ".join(model_version.agent.notes))
    return model_version


def range_in_use(project: Project, own: IntensityRange, ranges: Ranges) -> IntensityRange:
    """Return the intensity range for crops of a frame: the frame's own, or one for all frames with as many channels.

    A project that normalises all frames alike has one that holds them all until its first model is trained, and from
    then on that model's: a new frame does not change what the model was trained on.

    The store keeps what was measured of each channel. In a project of RGB images the three share the widest of these
    ranges, so that the network sees the file's colours; projects of earlier versions go on as they were trained.
    """
    limits = range_of_project(project, ranges, len(own.low_C)) or own
    return shared_range(limits) if project.intake.rgb else limits


def range_of_project(project: Project, ranges: Ranges, channels: int, anew: bool = False) -> IntensityRange | None:
    """Return the range that a project normalises all its frames of so many channels with; None where each has its own.

    It is that of the newest model, or `anew` and without one that which holds all frames.
    """
    if project.tiling.normalise == "frame":
        return None
    alike = [IntensityRange(low, high) for low, high in ranges if len(low) == channels]
    fixed = None if anew else fixed_range(project, channels)
    return fixed or (merge_ranges(alike) if alike else None)


def fixed_range(project: Project, channels: int) -> IntensityRange | None:
    """Return the range that the newest model fixed for a project with so many channels, None where it fixed none."""
    origin = newest_provenance(project.model_folder)
    if origin is None or len(origin.low_C) != channels:
        return None
    return IntensityRange(origin.low_C, origin.high_C)


def told_outside(project: Project, own: IntensityRange) -> str:
    """Return the warning for a frame that is darker or brighter than the range that the project's model fixed."""
    fixed = fixed_range(project, len(own.low_C)) if project.tiling.normalise != "frame" else None
    if fixed is None or not any(
        low - own_low > BEYOND * (high - low) or own_high - high > BEYOND * (high - low)
        for low, high, own_low, own_high in zip(fixed.low_C, fixed.high_C, own.low_C, own.high_C, strict=True)
    ):
        return ""
    own_text, fixed_text = (f"{min(each.low_C):.4g} to {max(each.high_C):.4g}" for each in (own, fixed))
    return (
        f"The frame has intensities from {own_text}, but the project's models were trained for {fixed_text}: other "
        "values are clipped. To include them, train with a new range ('costal train --new-range', or the box under "
        "Advanced)."
    )
