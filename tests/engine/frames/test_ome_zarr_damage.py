"""Damaged OME-Zarr: one sentence on where and what, never a traceback; and what is odd but harmless still opens."""

import json
import re

import numpy as np
import pytest
import zarr

from costal.errors import FrameError
from costal.frames.lazy import open_lazily
from costal.frames.planes import Planes
from costal.frames.windows import read_window
from costal.labels.project_file import create_project
from costal.types import Channel

PIXELS = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
DEEP = '{"a": ' * 100_000 + "1" + "}" * 100_000
NO_SIZE = "The pixel size is taken as unknown"
NO_NAMES = "The channels have no names and colours"


class Store:
    """The JSON documents of a small OME-Zarr, of either version, by what they hold."""

    def __init__(self, path, version):
        self.path, self.version = path, version
        self.attributes = path / (".zattrs" if version == "0.4" else "zarr.json")
        self.group = path / (".zgroup" if version == "0.4" else "zarr.json")
        self.array = path / "0" / (".zarray" if version == "0.4" else "zarr.json")

    def write(self, path, change):
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    def ome(self, change):
        self.write(
            self.attributes,
            lambda all_metadata: change(all_metadata if self.version == "0.4" else all_metadata["attributes"]["ome"]),
        )


def ome(*where, value):
    """Return a damage that puts a value, or takes one away where it is `...`, into the OME metadata."""

    def change(part):
        for step in where[:-1]:
            part = part[step]
        if value is ...:
            del part[where[-1]]
        else:
            part[where[-1]] = value

    return lambda store: store.ome(change)


def image(*where, value):
    return ome("multiscales", 0, *where, value=value)


def level(value, *where):
    return image("datasets", 0, *where, value=value)


def screen(kind, value):
    def change(metadata):
        metadata.clear()
        metadata[kind] = value

    return lambda store: store.ome(change)


def text(document, content):
    return lambda store: getattr(store, document).write_text(content)


def array(value, v2, *v3):
    """Return a damage of the metadata of an array: under one name in zarr format 2, under others in 3."""

    def change(store):
        def put(metadata):
            where = (v2,) if store.version == "0.4" else v3
            for step in where[:-1]:
                metadata = metadata[step]
            metadata[where[-1]] = value

        store.write(store.array, put)

    return change


def scale(value):
    return level([{"type": "scale", "scale": value}], "coordinateTransformations")


def axes(*names):
    return image("axes", value=[{"name": name} for name in names])


def empty_folder(store):
    zarr.open_group(str(store.path), mode="r+").create_group("folder")
    level("folder", "path")(store)


def neighbour(store):
    zarr.create_array(str(store.path.parent / "other"), data=PIXELS)
    level("../other", "path")(store)


def conversion(value):
    """Return a damage that puts a broken image into a conversion of bioformats2raw."""

    def change(store):
        screen("bioformats2raw.layout", 3)(store)
        store.array.write_text(value)

    return change


REFUSED = {
    "attributes are no JSON": (text("attributes", "no json"), "JSON"),
    "attributes are cut off": (text("attributes", '{"attributes": {"multiscales": [{"ax'), "JSON"),
    "attributes are no text": (lambda store: store.attributes.write_bytes(b"\xff\xfe\x00"), "UnicodeDecodeError"),
    "attributes are a list": (text("attributes", "[1, 2]"), "is not a zarr group"),
    "attributes are a number": (text("attributes", "5"), "is not a zarr group"),
    "attributes are nested deeply": (text("attributes", DEEP), "is not a zarr group"),
    "group is a list": (text("group", "[1]"), "is not a zarr group"),
    "zarr format 9": (text("group", '{"zarr_format": 9, "node_type": "group"}'), "is not a zarr group"),
    "multiscales null": (ome("multiscales", value=None), "multiscales is null"),
    "multiscales a number": (ome("multiscales", value=5), "multiscales is 5"),
    "multiscales a text": (ome("multiscales", value="image"), "multiscales is 'image'"),
    "multiscales an object": (ome("multiscales", value={"0": {}}), "multiscales is {'0': {}}"),
    "multiscales empty": (ome("multiscales", value=[]), r"multiscales is \[\]"),
    "multiscales of null": (ome("multiscales", value=[None]), r"multiscales\[0\] is null"),
    "multiscales of lists": (ome("multiscales", value=[[[[1]]]]), r"multiscales\[0\] is \[\[\[1\]\]\]"),
    "axes missing": (image("axes", value=...), r"multiscales\[0\]\.axes is missing"),
    "axes null": (image("axes", value=None), r"multiscales\[0\]\.axes is null"),
    "axes a number": (image("axes", value=2), r"multiscales\[0\]\.axes is 2"),
    "axes a text": (image("axes", value="yx"), r"multiscales\[0\]\.axes is 'yx'"),
    "axes empty": (axes(), "has axes without names"),
    "axes twice": (axes("y", "y"), "has axes y, y"),
    "axes unknown": (axes("y", "q"), "has axes y, q"),
    "axes too many": (axes("c", "y", "x"), r"shape \(64, 64\) .* for axes CYX"),
    "axes of numbers": (image("axes", value=[1, 2]), r"multiscales\[0\]\.axes\[0\] is 1"),
    "axes of null": (image("axes", value=[None, None]), r"multiscales\[0\]\.axes\[0\] is null"),
    "axes of lists": (image("axes", value=[["y"], ["x"]]), r"multiscales\[0\]\.axes\[0\] is \['y'\]"),
    "axis without a name": (image("axes", 1, value={"type": "space"}), r"axes\[1\]\.name is missing"),
    "axis whose name is an object": (image("axes", 0, "name", value={"a": 1}), r"axes\[0\]\.name is {'a': 1}"),
    "datasets missing": (image("datasets", value=...), r"multiscales\[0\]\.datasets is missing"),
    "datasets empty": (image("datasets", value=[]), r"multiscales\[0\]\.datasets is \[\]"),
    "datasets a number": (image("datasets", value=1), r"multiscales\[0\]\.datasets is 1"),
    "datasets an object": (image("datasets", value={"path": "0"}), r"multiscales\[0\]\.datasets is {'path': '0'}"),
    "datasets of null": (image("datasets", value=[None]), r"datasets\[0\] is null"),
    "datasets of texts": (image("datasets", value=["0"]), r"datasets\[0\] is '0'"),
    "path missing": (level(..., "path"), r"datasets\[0\]\.path is missing"),
    "path null": (level(None, "path"), r"datasets\[0\]\.path is null"),
    "path a list": (level(["0"], "path"), r"datasets\[0\]\.path is \['0'\]"),
    "path true": (level(True, "path"), r"datasets\[0\]\.path is true"),
    "path empty": (level("", "path"), r"datasets\[0\]\.path is ''"),
    "path of another number": (level(7, "path"), "level '7' that is missing"),
    "path absolute": (level("/etc/passwd", "path"), "level 'etc/passwd' that is missing"),
    "path out of the group": (neighbour, r"datasets\[0\]\.path is '\.\./other'"),
    "path out of the group, Windows": (level("..\\other", "path"), r"datasets\[0\]\.path is '\.\./other'"),
    "path of the group itself": (level(".", "path"), r"datasets\[0\]\.path is '\.'"),
    "path of a group": (empty_folder, "level 'folder' that is missing"),
    "path of nothing": (level("3", "path"), "level '3' that is missing"),
    "path with a zero byte": (level("0\0", "path"), "level"),
    "path very long": (level("0" * 100_000, "path"), "level"),
    "plate without wells": (screen("plate", {"columns": []}), r"plate\.wells is missing"),
    "plate null": (screen("plate", None), "plate is null"),
    "plate a list": (screen("plate", [1]), r"plate is \[1\]"),
    "wells null": (screen("plate", {"wells": None}), r"plate\.wells is null"),
    "wells empty": (screen("plate", {"wells": []}), r"plate\.wells is \[\]"),
    "wells of numbers": (screen("plate", {"wells": [1, 2]}), r"plate\.wells\[0\] is 1"),
    "wells without paths": (screen("plate", {"wells": [{"row": 1}]}), r"plate\.wells\[0\]\.path is missing"),
    "well null": (screen("well", None), "well is null"),
    "well without images": (screen("well", {}), r"well\.images is missing"),
    "images null": (screen("well", {"images": None}), r"well\.images is null"),
    "images of null": (screen("well", {"images": [None]}), r"well\.images\[0\] is null"),
    "conversion whose image is bare": (screen("bioformats2raw.layout", 3), "without OME metadata"),
    "conversion whose image is cut off": (conversion('{"zarr_for'), "'0'"),
    "array cut off": (text("array", '{"shape": [64'), "level '0' is damaged"),
    "array a list": (text("array", "[]"), "level '0' is damaged"),
    "array nested deeply": (text("array", DEEP), "level '0' is damaged"),
    "array without a shape": (text("array", '{"zarr_format": 2}'), "level '0'"),
    "type of pixels unknown": (array("spam", "dtype", "data_type"), "level '0' is damaged"),
    "type of pixels a number": (array(5, "dtype", "data_type"), "level '0' is damaged"),
    "codec unknown": (array({"id": "spam"}, "compressor", "codecs"), "level '0' is damaged"),
    "shape a text": (array("64", "shape", "shape"), "level '0'"),
    "shape null": (array(None, "shape", "shape"), "level '0'"),
    "shape negative": (array([-64, 64], "shape", "shape"), "level '0'"),
    "shape of nothing": (array([0, 64], "shape", "shape"), "level '0'"),
    "shape of fractions": (array([0.5, 64], "shape", "shape"), "level '0'"),
    "chunks null": (array(None, "chunks", "chunk_grid"), "level '0'"),
    "chunks a text": (array("32", "chunks", "chunk_grid", "configuration", "chunk_shape"), "level '0'"),
    "chunks too few": (array([32], "chunks", "chunk_grid", "configuration", "chunk_shape"), "level '0'"),
    "chunks zero": (array([0, 32], "chunks", "chunk_grid", "configuration", "chunk_shape"), "level '0'"),
    "chunks negative": (array([-1, 32], "chunks", "chunk_grid", "configuration", "chunk_shape"), "level '0'"),
    "chunks of texts": (array(["a", "b"], "chunks", "chunk_grid", "configuration", "chunk_shape"), "level '0'"),
}  # fmt: skip

OPENED = {
    "scale too short": (scale([0.1]), NO_SIZE),
    "scale too long": (scale([1.0, 0.1, 0.1]), NO_SIZE),
    "scale of texts": (scale(["a", "b"]), NO_SIZE),
    "scale of null": (scale([None, None]), NO_SIZE),
    "scale negative": (scale([-0.1, -0.1]), NO_SIZE),
    "scale not finite": (scale([float("nan"), float("nan")]), NO_SIZE),
    "scale zero": (scale([0, 0]), NO_SIZE),
    "scale a number": (scale(0.1), NO_SIZE),
    "scale an object": (scale({"x": 0.1}), NO_SIZE),
    "transformations a number": (level(5, "coordinateTransformations"), NO_SIZE),
    "transformations a text": (level("scale", "coordinateTransformations"), NO_SIZE),
    "transformations an object": (level({"type": "scale"}, "coordinateTransformations"), NO_SIZE),
    "transformations of null": (level([None], "coordinateTransformations"), NO_SIZE),
    "transformations of the image a number": (image("coordinateTransformations", value=1), NO_SIZE),
    "unit a number": (image("axes", 1, "unit", value=5), NO_SIZE),
    "unit nested": (image("axes", 1, "unit", value={"a": [1]}), NO_SIZE),
    "omero a list": (ome("omero", value=[1]), NO_NAMES),
    "omero a text": (ome("omero", value="none"), NO_NAMES),
    "channels a number": (ome("omero", value={"channels": 3}), NO_NAMES),
    "channels null": (ome("omero", value={"channels": None}), NO_NAMES),
    "channels of null": (ome("omero", value={"channels": [None]}), NO_NAMES),
    "channels of numbers": (ome("omero", value={"channels": [1]}), NO_NAMES),
}  # fmt: skip

UNREMARKABLE = {
    "transformations missing": level(..., "coordinateTransformations"),
    "transformations empty": level([], "coordinateTransformations"),
    "transformations null": level(None, "coordinateTransformations"),
    "no unit": image("axes", value=[{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]),
    "axes as texts": image("axes", value=["y", "x"]),
    "axes in capitals": axes("Y", "X"),
    "axes without types": axes("y", "x"),
    "axes of types of another's": image("axes", value=[{"name": "y", "type": 1}, {"name": "x", "type": "spatial"}]),
    "path a number": level(0, "path"),
    "path with slashes": level("/0/", "path"),
    "version missing": image("version", value=None),
    "version of tomorrow": ome("version", value="9.9"),
    "keys of their own": ome("mine", value={"a": [None]}),
    "metadata and type odd": image("metadata", value=3),
    "omero null": ome("omero", value=None),
    "omero without channels": ome("omero", value={"rdefs": {}}),
    "channels without windows and colours": ome("omero", value={"channels": [{}]}),
    "plate beside an image": ome("plate", value=None),
}  # fmt: skip


@pytest.fixture(params=["0.4", "0.5"])
def store(request, tmp_path, write_zarr):
    return Store(write_zarr(tmp_path / "a.zarr", PIXELS, version=request.param), request.param)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return create_project(tmp_path_factory.mktemp("damage") / "project", ("a", "b")).folder


def score(costal, store, project):
    table = store.path.parent / "a.csv"
    return costal("score", store.path, "--project", project, "--out", table, "--device", "cpu")


@pytest.mark.parametrize(("damage", "message"), REFUSED.values(), ids=REFUSED)
def test_damage_is_one_sentence_that_names_the_place_and_the_remedy(damage, message, store, costal, project):
    damage(store)
    with pytest.raises(FrameError, match=message) as refusal:
        open_lazily(store.path)
    message = str(refusal.value)
    assert message.startswith(str(store.path))
    assert re.search("Copy it again|Write it as|Export real|Name one|Check the address", message)
    assert "\n" not in message
    assert len(message) < 700
    code, _, error = score(costal, store, project)
    assert code == 1
    assert "Traceback" not in error
    assert " ".join(message.split()[:3]) in " ".join(error.split())


@pytest.mark.parametrize(("damage", "message"), OPENED.values(), ids=OPENED)
def test_damage_beside_the_pixels_is_a_note(damage, message, store, costal, project):
    damage(store)
    frame = open_lazily(store.path)
    assert (frame.pixel_um, frame.channels) == (None if message == NO_SIZE else 0.1, (Channel(0),))
    assert [note[: len(message)] for note in frame.notes] == [message]
    np.testing.assert_array_equal(read_window(frame, Planes(), 0, 64, 0, 64)[0], PIXELS)


@pytest.mark.parametrize("name", UNREMARKABLE)
def test_what_writers_leave_out_or_add_is_no_damage(name, store):
    UNREMARKABLE[name](store)
    frame = open_lazily(store.path)
    assert (frame.axes, frame.shape, frame.notes, frame.channels) == ("YX", (64, 64), (), (Channel(0),))
    assert frame.pixel_um == (None if name.startswith(("transformations", "no unit", "axes")) else 0.1)
    np.testing.assert_array_equal(read_window(frame, Planes(), 0, 64, 0, 64)[0], PIXELS)


@pytest.mark.parametrize("odd", [{}, {"plate": None}, {"series": 5}])
def test_the_first_image_of_a_conversion_opens_whatever_lies_beside_its_mark(odd, tmp_path, write_zarr):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    group.attrs.update({"bioformats2raw.layout": 3} | odd)
    write_zarr(tmp_path / "a.zarr" / "0", PIXELS, version="0.4")
    frame = open_lazily(tmp_path / "a.zarr")
    assert (frame.axes, frame.shape, frame.pixel_um, frame.notes) == ("YX", (64, 64), 0.1, ())
