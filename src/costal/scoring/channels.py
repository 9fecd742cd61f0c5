"""The channels that a project's frames are made of: chosen once, the same in the window and on the command line."""

from dataclasses import replace

from costal.errors import FrameError, ProjectError
from costal.frames.lazy import LazyFrame
from costal.frames.planes import planes_of
from costal.frames.read import Planes
from costal.labels.project import MOST_CHANNELS, Project
from costal.types import Channel, Frame


def planes_for(project: Project, frame: Frame | LazyFrame) -> tuple[Planes, ...]:
    """Return the planes of an image that are frames of a project, each of the project's channels.

    Raises
    ------
    FrameError
        When the image has not the project's channels, or gives too many frames.
    """
    require_channels(project, frame.source, frame.channels, frame.is_rgb)
    return planes_of(frame, project.plane_rule())


def require_channels(project: Project, source: str, channels: tuple[Channel, ...], is_rgb: bool) -> None:
    """Raise FrameError when an image has not the channels that a project chose."""
    if not project.channels:
        return
    there = {each.index for each in channels}
    if any(each.index not in there for each in project.channels):
        raise FrameError(
            f"{source} has {len(there)} channel(s), but '{project.name}' uses {in_words(project)}. Choose an image "
            "that has them, or make another project."
        )
    if is_rgb != project.intake.rgb:
        is_what, wants = ("an RGB image", "channels") if is_rgb else ("an image of separate channels", "RGB images")
        raise FrameError(f"{source} is {is_what}, but '{project.name}' uses {wants}. Make another project for it.")


def with_channels(project: Project, channels: tuple[Channel, ...], is_rgb: bool, labelled: int) -> Project:
    """Return a project whose frames are made of these channels; `labelled` tells how many its labelled crops have.

    Raises
    ------
    ProjectError
        When crops of other channels are labelled already, or no channel is left.
    """
    if not channels:
        raise ProjectError("A frame needs at least one channel. Tick one.")
    if len(channels) > MOST_CHANNELS:
        raise ProjectError(f"{len(channels)} channels are too many. Tick at most {MOST_CHANNELS}.")
    before, now = ({each.index for each in some} for some in (project.channels, channels))
    if labelled and (labelled != len(channels) or (before and before != now)):
        used = in_words(project) if project.channels else f"{labelled} channel(s)"
        raise ProjectError(
            f"'{project.name}' has labels of crops with {used}, which cannot be combined with other channels. Make "
            "another project for other channels."
        )
    return replace(project, channels=channels, intake=replace(project.intake, rgb=is_rgb))


def proposed(project: Project, channels: tuple[Channel, ...], is_rgb: bool, labelled: int) -> Project:
    """Return a project that uses the channels of the frame chosen first, none where that frame does not name any.

    Channels that were chosen stay where the frame has them; so do all once crops are labelled, or where a frame has too
    many of them.
    """
    there = {each.index for each in channels}
    stays = project.channels and is_rgb == project.intake.rgb and all(each.index in there for each in project.channels)
    if labelled or stays or len(channels) > MOST_CHANNELS:
        return project
    return replace(project, channels=channels, intake=replace(project.intake, rgb=is_rgb))


def require_alike(project: Project, source: str, count: int, is_rgb: bool, labelled: int) -> None:
    """Raise FrameError when a frame of so many channels does not go with the labelled crops of a project.

    Projects of earlier versions, which chose no channels, take every frame, as they did.
    """
    if labelled and project.channels and (count != labelled or is_rgb != project.intake.rgb):
        description = "is an RGB image" if is_rgb else f"has crops of {count} channel(s)"
        raise FrameError(
            f"{source} {description}, but '{project.name}' has labels of crops with {in_words(project)}. Choose a "
            "frame that has these, or make another project."
        )


def in_words(project: Project) -> str:
    """Return which channels a project uses."""
    if project.intake.rgb:
        return "the three samples of RGB images"
    return f"channel(s) {', '.join(title(each) for each in project.channels)}"


def title(channel: Channel) -> str:
    """Return what a channel is called: by its name, else by its number, counted from 1 as people do."""
    return channel.name or f"channel {channel.index + 1}"
