"""Files of many makers, each with what is right of it: shipped by installed packages, or written after a layout."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from tests.formats import layouts
from tests.formats.layouts import ramp


@dataclass(frozen=True)
class Case:
    """A file: `write` makes it in a folder, returns its path and the pixels that are right, in the right axes."""

    what: str
    maker: str
    write: Callable[[Path], tuple[Path, np.ndarray]]
    axes: str
    pixel_um: float | None = None
    note: str = ""
    refused: str = ""


def wrote(name: str, pixels: np.ndarray, **options: object) -> Callable[[Path], tuple[Path, np.ndarray]]:
    """Return a writer by tifffile."""

    def write(folder: Path) -> tuple[Path, np.ndarray]:
        tifffile.imwrite(folder / name, pixels, **options)
        return folder / name, pixels

    return write


def laid(
    name: str, layout: Callable[..., Path], pixels: np.ndarray, *options: object
) -> Callable[..., tuple[Path, np.ndarray]]:
    """Return a writer by one of the layouts."""
    return lambda folder: (layout(folder / name, pixels, *options), pixels)


def shipped(name: str, pixels_of: Callable[[Path], np.ndarray]) -> Callable[[Path], tuple[Path, np.ndarray]]:
    """Return a file that scikit-image ships, with its pixels as another reader gives them."""

    def find(_: Path) -> tuple[Path, np.ndarray]:
        import skimage

        path = Path(skimage.__file__).parent / "data" / name
        return path, pixels_of(path)

    return find


def pillow(path: Path) -> np.ndarray:
    """Return the pixels of a picture as Pillow gives them."""
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image)[..., :3] if image.mode == "RGBA" else np.asarray(image)


def pages(path: Path) -> np.ndarray:
    """Return the pages of a TIFF, one after another."""
    with tifffile.TiffFile(path) as tiff:
        return np.stack([page.asarray() for page in tiff.pages])


def position_set(folder: Path) -> tuple[Path, np.ndarray]:
    """Return the second position of an OME-TIFF set."""
    stacks = [ramp(3, 64, 80, seed=at) for at in range(3)]
    return layouts.ome_positions(folder, stacks)[1], stacks[1]


def plane_set(companion: bool) -> Callable[[Path], tuple[Path, np.ndarray]]:
    """Return the last file of an image with one file for each plane."""

    def write(folder: Path) -> tuple[Path, np.ndarray]:
        stack = ramp(4, 64, 80)
        return layouts.ome_planes(folder, stack, companion)[-1], stack

    return write


def acquired(times: int, slices: int, channels: int, position: int = 0) -> dict[layouts.Plane, np.ndarray]:
    """Return planes of Micro-Manager, by channel, Z, time and position."""
    order = np.ndindex(times, slices, channels)
    return {(c, z, t, position): ramp(64, 80, seed=c + 10 * z + 1000 * t + 7 * position) for t, z, c in order}


def whole(planes: dict[layouts.Plane, np.ndarray], *shape: int) -> np.ndarray:
    """Return planes by time, Z and channel in one array, without axes of one plane."""
    return np.stack([planes[key] for key in sorted(planes, key=lambda key: (key[2], key[1], key[0]))]).reshape(
        *shape, 64, 80
    )


def stack_file(folder: Path) -> tuple[Path, np.ndarray]:
    """Return the second of two positions, a file each."""
    for position in (0, 1):
        planes = acquired(2, 3, 2, position)
        said = {"Channels": 2, "Slices": 3, "Frames": 2, "Positions": 2}
        path = layouts.micro_manager(folder / f"run_1_MMStack_Pos{position}.ome.tif", planes, said)
    return path, whole(planes, 2, 3, 2)


def split_stack(folder: Path) -> tuple[Path, np.ndarray]:
    """Return the second of two files into which a position was split."""
    planes = acquired(2, 3, 2)
    said = {"Channels": 2, "Slices": 3, "Frames": 2, "Positions": 1}
    for time, name in enumerate(("run_1_MMStack_Pos0.ome.tif", "run_1_MMStack_Pos0_1.ome.tif")):
        path = layouts.micro_manager(folder / name, {key: planes[key] for key in planes if key[2] == time}, said)
    return path, whole(planes, 2, 3, 2)


def positions_in_one(folder: Path) -> tuple[Path, np.ndarray]:
    """Return a stack file of three positions."""
    planes = acquired(1, 1, 2, 0)
    others = {key: pixels for position in (1, 2) for key, pixels in acquired(1, 1, 2, position).items()}
    said = {"Channels": 2, "Slices": 1, "Frames": 1, "Positions": 3}
    return layouts.micro_manager(folder / "run_1_MMStack.ome.tif", planes | others, said), whole(planes, 2)


def ndtiff(files: int, shuffled: bool = False) -> Callable[[Path], tuple[Path, np.ndarray]]:
    """Return an NDTiff data set of 8 times, 16 Z planes and 2 channels."""

    def write(folder: Path) -> tuple[Path, np.ndarray]:
        planes = acquired(8, 16, 2)
        said = []
        for number, (c, z, t, _) in enumerate(planes):
            axes = {"channel": ("DAPI", "FITC")[c], "z": z, "time": t}
            said.append(dict(reversed(axes.items())) if shuffled and number % 3 else axes)
        return layouts.ndtiff(folder, list(zip(said, planes.values(), strict=True)), files)[-1], whole(planes, 8, 16, 2)

    return write


def zarr_group(
    unit: str | None, version: str = "0.4", general: bool = False
) -> Callable[[Path], tuple[Path, np.ndarray]]:
    """Return an OME-Zarr of two channels, with a unit as it is spelled, at the level or for all of them."""

    def write(folder: Path) -> tuple[Path, np.ndarray]:
        import zarr

        pixels, path = ramp(2, 64, 80), folder / "image.zarr"
        group = zarr.open_group(str(path), mode="w", zarr_format=2 if version == "0.4" else 3)
        group.create_array("0", shape=pixels.shape, dtype="uint16", chunks=(1, 64, 80))[:] = pixels
        spaces = [{"name": name, "type": "space"} | ({} if unit is None else {"unit": unit}) for name in "yx"]
        scale = [{"type": "scale", "scale": [1.0, 0.25, 0.25]}]
        level = {
            "path": "0",
            "coordinateTransformations": [{"type": "scale", "scale": [1.0] * 3}] if general else scale,
        }
        one = {"version": version, "axes": [{"name": "c", "type": "channel"}, *spaces], "datasets": [level]}
        scales = [one | {"coordinateTransformations": scale}] if general else [one]
        group.attrs.update(
            {"multiscales": scales} if version == "0.4" else {"ome": {"version": version, "multiscales": scales}}
        )
        return path, pixels

    return write


def ome(**sides: object) -> Callable[[Path], tuple[Path, np.ndarray]]:
    """Return an OME-TIFF whose Pixels have these attributes as they stand."""

    def write(folder: Path) -> tuple[Path, np.ndarray]:
        pixels, text = ramp(64, 80), " ".join(f'{name}="{value}"' for name, value in sides.items())
        image = layouts.ome_image(0, (1, 64, 80), [(0, "a.ome.tif", "urn:a", 0)], text)
        layouts.write_planes(folder / "a.ome.tif", pixels[np.newaxis], layouts.ome_root(image, "urn:a"))
        return folder / "a.ome.tif", pixels

    return write


def with_palette(table_3_N: np.ndarray) -> Callable[[Path], tuple[Path, np.ndarray]]:
    """Return a TIFF of 8 bits with a palette."""
    table = np.asarray(table_3_N, np.uint16)
    return wrote("a.tif", ramp(64, 80, dtype="uint8"), photometric="palette", colormap=table)


def renamed(folder: Path) -> tuple[Path, np.ndarray]:
    """Return a file of an OME-TIFF set under another name."""
    path, pixels = position_set(folder)
    return path.rename(folder / "renamed.ome.tif"), pixels


def without_part(folder: Path) -> tuple[Path, np.ndarray]:
    """Return a file of an image of which another is missing."""
    path, pixels = plane_set(False)(folder)
    (folder / "plane_0.ome.tif").unlink()
    return path, pixels


def main_file(folder: Path) -> tuple[Path, np.ndarray]:
    """Return a plane whose file refers to the XML in the file of another plane."""
    path, pixels = plane_set(False)(folder)
    name = '<BinaryOnly MetadataFile="plane_0.ome.tif" UUID="urn:uuid:0"/>'
    with tifffile.TiffFile(path) as tiff:
        mark = tiff.ome_metadata.partition('UUID="')[2].partition('"')[0]
    layouts.write_planes(path, pixels[-1:], layouts.ome_root(name, mark))
    return path, pixels


GREY = np.stack([np.arange(256)] * 3) * 257
GREEN = GREY * np.array([[0], [1], [0]])
COLOURS = np.random.default_rng(0).integers(0, 65536, (3, 256))
RGB, TWO = ramp(64, 80, 3, dtype="uint8"), ramp(2, 64, 80)
SERIES = ramp(2, 3, 2, 64, 80)
SHAPED, GUESS = "axis guessed, and said", "no size in the file"
FORMATS = [
    Case("camera.png", "scikit-image", shipped("camera.png", pillow), "YX", None, GUESS),
    Case("ihc.png, stained tissue", "scikit-image", shipped("ihc.png", pillow), "YXC", None, GUESS),
    Case("retina.jpg", "scikit-image", shipped("retina.jpg", pillow), "YXC", None, GUESS),
    Case("multipage.tif", "scikit-image", shipped("multipage.tif", pages), "CYX", None, SHAPED),
    Case("multipage_rgb.tif", "scikit-image", shipped("multipage_rgb.tif", pages), "TCYX", None, SHAPED),
    Case("TIFF, 16 bits", "tifffile", wrote("a.tif", TWO[0]), "YX", None, GUESS),
    Case("TIFF, RGB", "tifffile", wrote("a.tif", RGB, photometric="rgb"), "YXC", None, GUESS),
    Case("TIFF, three channels with names of axes", "tifffile", wrote("a.tif", ramp(3, 64, 80), metadata={"axes": "CYX"}, photometric="minisblack"), "CYX"),
    Case("TIFF, 300 dpi", "tifffile", wrote("a.tif", TWO[0], resolution=(300, 300), resolutionunit="INCH"), "YX", None, "a printer's size is none"),
    Case("TIFF, 40000 pixels per cm", "tifffile", wrote("a.tif", TWO[0], resolution=(40000, 40000), resolutionunit="CENTIMETER"), "YX", 0.25),
    Case("BigTIFF, tiled and deflated", "tifffile", wrote("a.tif", TWO[0], bigtiff=True, tile=(32, 32), compression="zlib"), "YX"),
    Case("TIFF, palette a grey ramp", "any", with_palette(GREY), "YX", None, "the index is the intensity"),
    Case("TIFF, palette a green ramp", "any", with_palette(GREEN), "YX", None, "the index is the intensity"),
    Case("TIFF, palette of colours", "any", with_palette(COLOURS), "YX", refused="palette pixels"),
    Case("hyperstack", "ImageJ", wrote("a.tif", SERIES, imagej=True, resolution=(4, 4), metadata={"axes": "TZCYX", "unit": "micron"}), "TZCYX", 0.25),
    Case("stack, unit \\\\u00B5m", "ImageJ", wrote("a.tif", ramp(6, 64, 80), imagej=True, resolution=(4, 4), metadata={"axes": "ZYX", "unit": "\\u00B5m"}), "ZYX", 0.25),
    Case("OME-TIFF, one file", "tifffile", wrote("a.ome.tif", SERIES, metadata={"axes": "TZCYX", "PhysicalSizeX": 0.065, "PhysicalSizeY": 0.065}), "TZCYX", 0.065),
    Case("OME-TIFF, pyramid", "tifffile", lambda folder: pyramid(folder), "YX"),
    Case("OME-TIFF, one file per position", "Bio-Formats", position_set, "ZYX"),
    Case("OME-TIFF, one file per plane", "Bio-Formats", plane_set(False), "ZYX", 0.5),
    Case("OME-TIFF, companion file", "Bio-Formats", plane_set(True), "ZYX", 0.5),
    Case("OME-TIFF", "ome-writers", lambda folder: by_ome_writers(folder, "a.ome.tiff"), "TCYX"),
    Case("image stack files, two positions", "Micro-Manager", stack_file, "TZCYX", 0.11),
    Case("image stack file, split", "Micro-Manager", split_stack, "TZCYX", 0.11),
    Case("image stack file, three positions in it", "Micro-Manager", positions_in_one, "CYX", 0.11, "the first position"),
    Case("NDTiff", "Micro-Manager, Pycro-Manager", ndtiff(1), "TZCYX", 0.2),
    Case("NDTiff in two files", "Micro-Manager, Pycro-Manager", ndtiff(2), "TZCYX", 0.2),
    Case("SVS", "Aperio (Leica)", laid("a.svs", layouts.svs, ramp(128, 160, 3, dtype="uint8")), "YXC", 0.499),
    Case("STK", "MetaMorph", laid("a.stk", layouts.stk, ramp(4, 64, 80)), "ZYX", 0.13),
    Case("MetaSeries TIFF", "MetaMorph, MetaXpress", laid("a.tif", layouts.metaseries, TWO[0]), "YX", 0.325),
    Case("Helios TIFF", "FEI (Thermo Fisher)", laid("a.tif", layouts.fei, TWO[0]), "YX", 0.00135),
    Case("SmartSEM TIFF", "Zeiss", laid("a.tif", layouts.zeiss_sem, TWO[0]), "YX", 0.01125),
    *(Case(f"OME-Zarr {version}, unit {unit}", "any", zarr_group(unit, version), "CYX", um) for version, unit, um in (
        ("0.4", "micrometer", 0.25), ("0.4", "um", 0.25), ("0.4", "µm", 0.25), ("0.4", "micron", 0.25),
        ("0.4", "nanometer", 0.25e-3), ("0.5", "micrometer", 0.25), ("0.5", "microns", 0.25), ("0.5", None, None),
    )),
]  # fmt: skip


def pyramid(folder: Path) -> tuple[Path, np.ndarray]:
    """Return an OME-TIFF of two levels."""
    path, pixels = folder / "a.ome.tif", ramp(64, 80)
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(pixels, subifds=1, tile=(16, 16))
        writer.write(pixels[::2, ::2], subfiletype=1, tile=(16, 16))
    return path, pixels


def by_ome_writers(folder: Path, name: str) -> tuple[Path, np.ndarray]:
    """Return what ome-writers writes of two times and two channels."""
    from ome_writers import AcquisitionSettings, create_stream, dims_from_standard_axes

    pixels = ramp(2, 2, 64, 80)
    dimensions = dims_from_standard_axes({"t": 2, "c": 2, "y": 64, "x": 80})
    settings = AcquisitionSettings(root_path=str(folder / name), dimensions=dimensions, dtype="uint16", overwrite=True)
    with create_stream(settings) as stream:
        for plane in pixels.reshape(-1, 64, 80):
            stream.append(plane)
    return folder / name, pixels


SCIFIO = "SCIFIO=0.43.0\naxes=X,Y,Z\nlengths=80,64,6\nunits=null,null,null\nimages=6\n"
REPORTS = [
    Case("positions of a Micro-Manager set", "cgohlke/tifffile 54", stack_file, "TZCYX", 0.11),
    Case("a file of a set refers to the XML of another", "cgohlke/tifffile 72", main_file, "ZYX", 0.5),
    Case("NDTiff index with axes in changing order", "cgohlke/tifffile 311", ndtiff(1, True), "TZCYX", 0.2),
    Case("57 Z planes read as channels", "cgohlke/tifffile 50", wrote("a.tif", ramp(57, 64, 80), imagej=True, metadata={"axes": "ZYX"}), "ZYX"),
    Case("RGB with its samples in planes", "cgohlke/tifffile 87", wrote("a.tif", ramp(3, 64, 80, dtype="uint8"), photometric="rgb", planarconfig="separate"), "CYX"),
    Case("a position split over files", "ome/bioformats 2475", split_stack, "TZCYX", 0.11),
    Case("a part of the set is missing", "ome/bioformats 3732", without_part, "ZYX", refused="other files are missing"),
    Case("a physical size of 0.0", "ome/bioformats 2073", ome(PhysicalSizeX="0.0", PhysicalSizeY="0.0"), "YX", None, "unknown, and said"),
    Case("FEI's size, in metres", "ome/bioformats 1942", laid("a.tif", layouts.fei, TWO[0]), "YX", 0.00135),
    Case("ImageJ's unit cm beside a resolution tag", "ome/bioformats 3676", wrote("a.tif", TWO[0], imagej=True, resolution=(0.5, 0.5), metadata={"unit": "cm"}), "YX", 20000),
    Case("a grey image with a colour map of its microscope", "ome/bioformats 2577", with_palette(GREEN), "YX"),
    Case("a single channel with a lookup table", "piximi/piximi 302", with_palette(GREY), "YX"),
    Case("T and Z exchanged in a TIFF of napari", "ome/bioformats 3920", wrote("a.tif", ramp(6, 64, 80), photometric="minisblack"), "TYX", None, "axis guessed, and said; --axes ZYX sets it"),
    Case("a TIFF with axes CYX of tifffile", "arjunrajlaboratory/NimbusImage 491", wrote("a.tif", ramp(4, 64, 80), metadata={"axes": "CYX"}, photometric="minisblack"), "CYX"),
    Case("Z planes of a TIFF of SCIFIO", "AllenCellModeling/aicsimageio 436", wrote("a.tif", ramp(6, 64, 80), description=SCIFIO, metadata=None, photometric="minisblack"), "ZYX"),
    Case("a unit for x alone", "ilastik/ilastik 3091", wrote("a.tif", ramp(6, 64, 80), imagej=True, resolution=(200, 200), metadata={"axes": "ZYX", "unit": "nm"}), "ZYX", 5e-6),
    Case("72 dpi taken for a pixel size", "qupath/qupath 107", wrote("a.tif", TWO[0], resolution=(72, 72), resolutionunit="INCH"), "YX"),
    Case("the resolution in centimetres", "John-P/wsic 73", wrote("a.tif", TWO[0], resolution=(20000, 20000), resolutionunit="CENTIMETER"), "YX", 0.5),
    Case("MetaSeries' calibration", "fmi-faim/faim-ipa 18", laid("a.tif", layouts.metaseries, TWO[0], "1.3668"), "YX", 1.3668),
    Case("micron in OME-Zarr", "saalfeldlab/n5-ij 73", zarr_group("micron"), "CYX", 0.25),
    Case("a unit of one blank", "mobie/mobie-viewer-fiji 612", zarr_group(" "), "CYX"),
    Case("one scale for all levels", "fractal-analytics-platform/fractal-client 112", zarr_group("micrometer", "0.4", True), "CYX", 0.25),
    Case("um in OME-Zarr", "ome-zarr-models/ome-zarr-book 1", zarr_group("um"), "CYX", 0.25),
    Case("a renamed file of a set", "mehta-lab/waveorder 7", renamed, "ZYX"),
]  # fmt: skip
