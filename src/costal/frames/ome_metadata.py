"""The OME metadata of a zarr group, validated by yaozarrs where they are used; imported when a group is opened.

Only what is read here is required. The models of whole images, plates and wells in yaozarrs also require what many
writers leave out (versions, types of axes, windows of channels); the parts used here are the same in 0.4 and 0.5.
"""

import json
import reprlib
import warnings
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator
from yaozarrs.v05 import CustomAxis, Dataset, ScaleTransformation

from costal.errors import FrameError

REMEDY = "Copy it again, or write it as OME-Zarr 0.4 or 0.5, for example with ome-zarr-py or bioformats2raw."
LONGEST = 120


def _named(axis: Any) -> Any:
    """Return an axis as 0.4 writes it; up to 0.3 an axis is its name."""
    return {"name": axis} if isinstance(axis, str) else axis


def _plain(path: Any) -> Any:
    """Return a path as zarr takes it, with single slashes between names only; some writers give a number."""
    if isinstance(path, int) and not isinstance(path, bool):
        return str(path)
    return path.replace("\\", "/").strip("/") if isinstance(path, str) else path


class Axis(CustomAxis):
    """An axis of any type; its unit is judged with the pixel size, to which alone it matters."""

    type: Any = None
    unit: Any = None


class Level(Dataset):
    """A level's path, which stays inside its group; its scale is judged with the pixel size."""

    coordinateTransformations: Any = None
    _plain_path = field_validator("path", mode="before")(_plain)


class Pyramid(BaseModel):
    """The axes and levels of an image."""

    axes: list[Annotated[Axis, BeforeValidator(_named)]]
    datasets: Annotated[list[Level], Field(min_length=1)]
    coordinateTransformations: Any = None


class Images(BaseModel):
    """The pyramids of a group; only the first is used."""

    multiscales: Annotated[list[Any], Field(min_length=1)]


class Member(BaseModel):
    """A well of a plate, or an image of a well."""

    path: Annotated[str, BeforeValidator(_plain)]


class Plate(BaseModel):
    """The wells of a plate."""

    wells: Annotated[list[Member], Field(min_length=1)]


class Well(BaseModel):
    """The images of a well."""

    images: Annotated[list[Member], Field(min_length=1)]


class Named(BaseModel):
    """A channel, read elsewhere: any object with named parts."""

    model_config = ConfigDict(extra="allow")


class Omero(BaseModel):
    """The channels of the rendering settings."""

    channels: list[Named] = []


Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], metadata: Any, source: str, where: str = "") -> Model:
    """Return metadata as a model.

    Raises
    ------
    FrameError
        When they are damaged; the message says where, what is there, and what is expected.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # unusual names and units are read
            return model.model_validate(metadata)
    except ValidationError as error:
        _refuse(error, source, where)


def _refuse(error: ValidationError, source: str, where: str) -> NoReturn:
    first, *others = error.errors(include_url=False)
    place = where
    for step in first["loc"]:
        place += f"[{step}]" if isinstance(step, int) else f".{step}" if place else str(step)
    if first["type"] == "missing":
        what = "is missing"
    else:
        what = f"is {shown(first['input'])} ({' '.join(first['msg'].split())[:LONGEST]})"
    more = f", and {len(others)} more" if others else ""
    raise FrameError(f"{source} has damaged OME metadata: {place} {what}{more}. {REMEDY}") from error


def shown(value: Any) -> str:
    """Return a value of JSON in a few words, whatever its size and depth."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return reprlib.repr(value)[:LONGEST]


def channels_are_sound(attributes: Mapping[str, Any]) -> bool:
    """Return whether the rendering settings, where there are any, can be read for names and colours."""
    try:
        Omero.model_validate(attributes.get("omero") or {})
    except ValidationError:
        return False
    return attributes.get("omero") is None or isinstance(attributes["omero"], Mapping)


def steps_of(pyramid: Pyramid) -> list[list[float]] | None:
    """Return the scales that apply to the finest level, each one number for each axis; None where one is damaged."""
    steps = []
    for some in (pyramid.datasets[0].coordinateTransformations, pyramid.coordinateTransformations):
        if some is not None and not isinstance(some, list):
            return None
        for each in some or ():
            if not isinstance(each, Mapping):
                return None
            if each.get("type") != "scale" or not each.get("scale"):
                continue
            try:
                step = ScaleTransformation.model_validate(each).scale
            except ValidationError:
                return None
            if len(step) != len(pyramid.axes):
                return None
            steps.append(step)
    return steps
