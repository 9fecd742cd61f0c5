"""OME-TIFFs whose XML describes several files: the image in the file that was named."""

from pathlib import Path
from xml.etree import ElementTree

import tifffile

from costal.errors import FrameError
from costal.frames.inside import inside
from costal.frames.micro_manager import WAIT, Position, position_in

OWN = "urn:uuid:this-file"
Element = ElementTree.Element


class OmeTiff(tifffile.TiffFile):  # type: ignore[misc]  # tifffile has no types here
    """A TIFF whose OME-XML is reduced to the first image with planes in this file.

    `parts` are the files that such an image is split over, none where this is the only one; `position` is there
    instead when it is a stack of Micro-Manager's.
    """

    notes: tuple[str, ...] = ()
    parts: tuple[Path, ...] = ()
    position: Position | None = None
    cut: str | None = None

    @property
    def ome_metadata(self) -> str | None:
        """The OME-XML; tifffile reads its series from it."""
        return self.cut if self.cut is not None else super().ome_metadata


def open_tiff(path: Path) -> OmeTiff:
    """Return a TIFF with the OME-XML of its own image alone.

    Other files are opened only where they hold planes of that image, and lie in its folder or below.

    Raises
    ------
    FrameError
        When its image needs files that are missing, or in another folder.
    """
    tiff = OmeTiff(path)
    try:
        tiff.position = position_in(path, tiff)
        root = _parsed(tiff.ome_metadata) if tiff.position is None else None
        if root is not None:
            _cut_down(path, tiff, _whole(path, root))
        elif tiff.position is not None and len(tiff.position.stack.files) > 1:
            tiff.parts = tiff.position.stack.files
    except BaseException:
        tiff.close()
        raise
    return tiff


def _parsed(text: str | None) -> Element | None:
    """Return the XML, None where it is missing or damaged, which its reader reports."""
    if not text:
        return None
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return None


def _whole(path: Path, root: Element) -> Element:
    """Return the XML of the file that this one names as its source, if it does; the UUID stays."""
    reference = root.find("{*}BinaryOnly")
    if reference is None:
        return root
    name = reference.get("MetadataFile", "")
    companion = inside(path, name)
    try:
        if companion.suffix.lower() in (".tif", ".tiff"):
            with tifffile.TiffFile(companion) as other:
                whole = _parsed(other.ome_metadata)
        else:
            whole = _parsed(companion.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise FrameError(f"{path} needs the file '{name}', which cannot be read ({error}). {WAIT}") from error
    if whole is None or whole.find("{*}BinaryOnly") is not None:
        raise FrameError(f"{path} needs the file '{name}', which has no OME-XML. {WAIT}")
    whole.set("UUID", root.get("UUID", ""))
    return whole


def _cut_down(path: Path, tiff: OmeTiff, root: Element) -> None:
    """Keep only the first image in the XML that has planes in this file."""
    own, images = _own_mark(path, root), root.findall("{*}Image")
    kept = [image for image in images if own in map(_mark, image.iterfind(".//{*}TiffData"))]
    kept = kept or [image for image in images if image.find(".//{*}TiffData") is None]
    if images and not kept:
        raise FrameError(
            f"The OME-XML in {path} names no image of this file: the file was renamed or removed from its set. Restore "
            "its name."
        )
    names = {
        mark.get("FileName", "") for image in kept[:1] for mark in image.iterfind(".//{*}UUID") if mark.text != own
    }
    others = {name: inside(path, name) for name in names}
    lacking = sorted(name for name, each in others.items() if not each.is_file())
    if lacking:
        some = ", ".join(lacking[:3]) + (" ..." if len(lacking) > 3 else "")
        raise FrameError(f"{path} is one file of a set; other files are missing ({len(lacking)}: {some}). {WAIT}")
    for image in images:
        if image not in kept[:1]:
            root.remove(image)
    root.set("UUID", own)
    tiff.cut = ElementTree.tostring(root, "unicode")
    tiff.parts = tuple(sorted({path, *others.values()})) if others else ()
    if len(kept) > 1:
        tiff.notes = (f"Only the first of {len(kept)} images in the file was read.",)


def _own_mark(path: Path, root: Element) -> str:
    """Return the UUID of this file in the XML; names replace missing and shared UUIDs."""
    marks, uuid = list(root.iterfind(".//{*}UUID")), root.get("UUID", "")
    names: dict[str, set[str]] = {}
    for mark in marks:
        names.setdefault(mark.text or "", set()).add(mark.get("FileName", ""))
    if any(not text or len(each) > 1 for text, each in names.items()):
        for mark in marks:
            mark.text = f"file:{mark.get('FileName', '')}"
        names = {f"file:{name}": {name} for each in names.values() for name in each}
    by_name = {name.casefold(): text for text, each in names.items() for name in each}
    own = uuid if uuid in names else by_name.get(path.name.casefold())
    own = own or (next(iter(names)) if len(names) == 1 else uuid or OWN)
    for data in root.iterfind(".//{*}TiffData"):
        if data.find("{*}UUID") is None:  # a plane without a file is one of this file
            ElementTree.SubElement(data, "UUID").text = own
    return own


def _mark(data: Element) -> str | None:
    mark = data.find("{*}UUID")
    return None if mark is None else mark.text
