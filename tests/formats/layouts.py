"""Small image files written after the makers' public layouts, for tests and for the table of formats."""

import json
import struct
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tifffile

OME = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def ramp(*shape: int, seed: int = 0, dtype: str = "uint16") -> np.ndarray:
    """Return pixels that differ from plane to plane, with none of zero."""
    return np.random.default_rng(seed).integers(1, 250, shape).astype(dtype)


# OME-TIFF


def ome_positions(folder: Path, stacks: Sequence[np.ndarray]) -> list[Path]:
    """Write one file for each position of the stage (Z, Y, X), each with the XML of the whole set."""
    names = [f"well_s{k}.ome.tif" for k in range(len(stacks))]
    marks = [f"urn:uuid:{uuid.uuid4()}" for _ in stacks]
    images = "".join(
        ome_image(k, stack.shape, [(z, names[k], marks[k], z) for z in range(len(stack))])
        for k, stack in enumerate(stacks)
    )
    for name, mark, stack in zip(names, marks, stacks, strict=True):
        write_planes(folder / name, stack, ome_root(images, mark))
    return [folder / name for name in names]


def ome_planes(folder: Path, stack: np.ndarray, companion: bool = False, names: Sequence[str] = ()) -> list[Path]:
    """Write one file for each plane of an image (Z, Y, X), the XML in each, or in a companion that each names."""
    names = list(names) or [f"plane_{z}.ome.tif" for z in range(len(stack))]
    marks = [f"urn:uuid:{uuid.uuid4()}" for _ in stack]
    image = ome_image(0, stack.shape, [(z, names[z], marks[z], 0) for z in range(len(stack))], 'PhysicalSizeX="0.5"')
    if companion:
        (folder / "set.companion.ome").write_text(ome_root(image, ""), "utf-8")
        image = '<BinaryOnly MetadataFile="set.companion.ome" UUID="urn:uuid:0"/>'
    for name, mark, plane in zip(names, marks, stack, strict=True):
        write_planes(folder / Path(name).name, plane[np.newaxis], ome_root(image, mark))
    return [folder / Path(name).name for name in names]


def ome_root(images: str, mark: str) -> str:
    """Return the XML of a file."""
    return f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{OME}" UUID="{mark}">{images}</OME>'


def ome_image(number: int, shape: Sequence[int], planes: Sequence[tuple[int, str, str, int]], sides: str = "") -> str:
    """Return the XML of an image (Z, Y, X); `planes` name for each Z the file, its UUID, and the directory in it."""
    z, y, x = shape
    data = "".join(
        f'<TiffData IFD="{ifd}" FirstZ="{at}" FirstC="0" FirstT="0" PlaneCount="1">'
        f'<UUID FileName="{name}">{mark}</UUID></TiffData>'
        for at, name, mark, ifd in planes
    )
    return (
        f'<Image ID="Image:{number}"><Pixels ID="Pixels:{number}" DimensionOrder="XYZCT" Type="uint16" SizeX="{x}" '
        f'SizeY="{y}" SizeZ="{z}" SizeC="1" SizeT="1" {sides}><Channel ID="Channel:{number}:0" SamplesPerPixel="1"/>'
        f"{data}</Pixels></Image>"
    )


def write_planes(path: Path, stack: np.ndarray, description: str) -> None:
    """Write planes with a description in the first directory."""
    with tifffile.TiffWriter(path) as file:
        for at, plane in enumerate(stack):
            file.write(plane, description=description.encode() if at == 0 else None, metadata=None, contiguous=False)


# Micro-Manager

Plane = tuple[int, int, int, int]
"""Channel, Z, time and position, in the order of Micro-Manager's index."""


def micro_manager(
    path: Path, planes: Mapping[Plane, np.ndarray], summary: Mapping[str, object], index: bool = True
) -> Path:
    """Write an image stack file: header, summary, planes with their tags and places, and last the index map."""
    text = json.dumps({"MicroManagerVersion": "2.0.1", "Prefix": "run_1", **summary}).encode()
    text += b" " * (len(text) % 2)
    body, at = b"", 40 + len(text)
    places: list[tuple[int, ...]] = []
    for number, (place, plane) in enumerate(planes.items()):
        names = ("ChannelIndex", "SliceIndex", "FrameIndex", "PositionIndex")
        said = json.dumps({**dict(zip(names, place, strict=True)), "PixelSizeUm": 0.11}).encode() + b"\0"
        pixels = at + 2 + 13 * 12 + 4
        resolution = pixels + plane.nbytes
        following = resolution + 8 + len(said) + len(said) % 2
        is_last = number == len(planes) - 1
        body += tiff_directory(plane, pixels, resolution, said, 0 if is_last else following)
        body += plane.tobytes() + struct.pack("<II", 100000, 1) + said + b"\0" * (len(said) % 2)
        places.append((*place, at))
        at = following
    table = struct.pack("<II", 3453623, len(places)) + b"".join(struct.pack("<5I", *each) for each in places)
    head = struct.pack("<8I", 54773648, at if index else 0, 483765892, 0, 99384722, 0, 2355492, len(text))
    path.write_bytes(b"II*\0" + struct.pack("<I", 40 + len(text)) + head + text + body + (table if index else b""))
    return path


def tiff_directory(plane: np.ndarray, pixels: int, resolution: int, said: bytes, following: int) -> bytes:
    """Return a directory of 13 tags as Micro-Manager writes it, 162 bytes long."""
    height, width = plane.shape
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, pixels),
        (277, 3, 1, 1), (278, 3, 1, height), (279, 4, 1, plane.nbytes), (282, 5, 1, resolution),
        (283, 5, 1, resolution), (296, 3, 1, 3), (51123, 2, len(said), resolution + 8),
    ]  # fmt: skip
    return struct.pack("<H", 13) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + struct.pack("<I", following)


def ndtiff(folder: Path, planes: Sequence[tuple[Mapping[str, object], np.ndarray]], files: int = 1) -> list[Path]:
    """Write an NDTiff data set: stack files, split evenly, and the index that names each plane's axes and place."""
    size, index, paths = -(-len(planes) // files), b"", []
    for number in range(files):
        path = folder / ("NDTiffStack.tif" if number == 0 else f"NDTiffStack_{number}.tif")
        summary = json.dumps({"PixelSize_um": 0.2}).encode()
        summary += b" " * (len(summary) % 2)
        at = 28 + len(summary)
        head = b"II*\0" + struct.pack("<I", at) + struct.pack("<5I", 483729, 3, 3, 2355492, len(summary))
        body, some = b"", planes[number * size : (number + 1) * size]
        for place, (axes, plane) in enumerate(some):
            said = json.dumps({"Axes": axes}).encode() + b"\0"
            pixels = at + 162
            resolution = pixels + plane.nbytes
            following = resolution + 8 + len(said) + len(said) % 2
            body += tiff_directory(plane, pixels, resolution, said, following if place < len(some) - 1 else 0)
            body += plane.tobytes() + struct.pack("<II", 100000, 1) + said + b"\0" * (len(said) % 2)
            text, name = json.dumps(axes).encode(), path.name.encode()
            index += struct.pack("<I", len(text)) + text + struct.pack("<I", len(name)) + name
            height, width = plane.shape
            index += struct.pack("<IiiiiIii", pixels, width, height, 1, 0, resolution + 8, len(said), 0)
            at = following
        path.write_bytes(head + summary + body)
        paths.append(path)
    (folder / "NDTiff.index").write_bytes(index)
    return paths


# Makers' pixel sizes


def svs(path: Path, pixels: np.ndarray, mpp: str = "0.4990") -> Path:
    """Write a slide as Aperio describes it."""
    text = f"Aperio Image Library v10.0.51\n46000x32914 (256x256) JPEG/RGB Q=30|AppMag = 20|MPP = {mpp}|Left = 25"
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(64, 64), description=text, metadata=None)
    return path


def metaseries(path: Path, pixels: np.ndarray, side: str = "0.325", unit: str = "um", state: str = "on") -> Path:
    """Write a plane as MetaXpress and MetaMorph describe it."""
    text = (
        '<MetaData><PlaneInfo><prop id="plane-type" type="string" value="plane"/>'
        f'<prop id="spatial-calibration-state" type="bool" value="{state}"/>'
        f'<prop id="spatial-calibration-x" type="float" value="{side}"/>'
        f'<prop id="spatial-calibration-y" type="float" value="{side}"/>'
        f'<prop id="spatial-calibration-units" type="string" value="{unit}"/></PlaneInfo></MetaData>'
    )
    tifffile.imwrite(
        path, pixels, description=text, software="MetaSeries", metadata=None, resolution=(72, 72), resolutionunit="INCH"
    )
    return path


def fei(path: Path, pixels: np.ndarray, side: str = "1.35e-09") -> Path:
    """Write a micrograph as Helios and other FEI microscopes describe it, in metres."""
    text = f"[User]\r\nUser=user\r\n[Scan]\r\nPixelWidth={side}\r\nPixelHeight={side}\r\n".encode()
    tifffile.imwrite(
        path,
        pixels,
        metadata=None,
        extratags=[(34682, 2, len(text), text, True)],
        resolution=(72, 72),
        resolutionunit="INCH",
    )
    return path


def zeiss_sem(path: Path, pixels: np.ndarray) -> Path:
    """Write a micrograph as SmartSEM describes it."""
    text = b"0\r\n0\r\n0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 11.25 nm\r\n"
    tifffile.imwrite(path, pixels, metadata=None, extratags=[(34118, 2, len(text), text, True)])
    return path


def stk(path: Path, stack: np.ndarray, side: tuple[int, int] = (13, 100), unit: bytes = b"um") -> Path:
    """Write a MetaMorph stack: one directory, all planes one after another, and the UIC tags."""
    z, height, width = stack.shape
    at = 8 + 2 + 15 * 12 + 4
    x, y = at, at + 8
    units = y + 8
    text = struct.pack("<I", len(unit) + 1) + unit + b"\0"
    uic1 = units + len(text) + len(text) % 2
    pairs = [(1, 1), (4, x), (5, y), (6, units)]  # 1: spatial calibration, 4 and 5: the sides, 6: their unit
    uic2 = uic1 + 8 * len(pairs)
    uic3 = uic2 + 24 * z
    uic4 = uic3 + 8 * z  # nothing in it but its end
    pixels = uic4 + 8
    tags = [
        (254, 4, 1, 0), (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, 1, pixels), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, height * width * 2), (296, 3, 1, 1),
        (33628, 4, len(pairs), uic1), (33629, 5, z, uic2), (33630, 5, z, uic3), (33631, 4, z, uic4),
    ]  # fmt: skip
    body = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags))
    body += b"".join(struct.pack("<HHII", *tag) for tag in tags) + struct.pack("<I", 0)
    body += struct.pack("<II", *side) * 2 + text + b"\0" * (len(text) % 2)
    body += b"".join(struct.pack("<II", *pair) for pair in pairs)
    body += b"".join(struct.pack("<6I", n, 1, 2455000, 0, 2455000, 0) for n in range(1, z + 1))
    body += struct.pack("<II", 1, 1) * z + bytes(8) + stack.tobytes()
    path.write_bytes(body)
    return path
