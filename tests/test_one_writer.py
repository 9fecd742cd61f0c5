"""Every file is written by one module, `costal.files`: found by reading the source, not by running it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "napari_costal").rglob("*.py")])
WRITER = ROOT / "src" / "costal" / "files.py"
ALLOWED = {
    ("src/costal/paper/archive.py", "open"): "timings.csv is a log that grows by lines: a lost one is a lost time",
    ("src/costal/frames/microscope.py", "open"): "the simulated microscope writes slowly, in place, as microscopes do",
    ("src/costal/frames/microscope.py", "memmap"): "the same, with all planes allocated before",
    ("src/costal/spread/cluster.py", "NamedTemporaryFile"): "a token that is there as long as the work is wanted",
    ("napari_costal/engine/process.py", "fdopen"): "a pipe to the window",
    ("napari_costal/engine/messages.py", "mkstemp"): "arrays for the engine process, in the system's own folder",
    ("napari_costal/engine/messages.py", "fdopen"): "the same",
}  # fmt: skip
"""By file and call, with the reason; SQLite keeps its own journal, and no other call writes."""
OPENS = {"open", "fdopen"}
BY_PATH = {"write_text", "write_bytes", "touch", "mkstemp", "NamedTemporaryFile", "memmap", "copyfile", "copy2"}
BY_FILE = {
    "to_csv": 0, "to_parquet": 0, "to_json": 0, "to_excel": 0, "savefig": 0, "imwrite": 0, "imsave": 0, "save": 0,
    "savez": 0, "savez_compressed": 0, "savetxt": 0, "save_file": 1, "TiffWriter": 0, "dump": 1, "write_table": 1,
    "tofile": 0, "print_png": 0, "write_image": 0, "ParquetWriter": 0,
}  # fmt: skip
"""Calls that take a path or an open file, and which of their arguments that is: here it is always an open file."""


def writers_in(text):
    """Return the calls in a module that write a file by its path, with their line."""
    tree = ast.parse(text)
    opened = open_files_in(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name == "save" and isinstance(node.func, ast.Name):
            continue  # safetensors' returns bytes, the camera's calls the one writer
        if name == "memmap" and any(ast.unparse(each) == "'r'" for each in node.args):
            continue
        if (name in OPENS and any(letter in mode_of(node) for letter in "wax+")) or name in BY_PATH:
            yield name, node.lineno
        elif name in BY_FILE and len(node.args) > BY_FILE[name]:
            place = node.args[BY_FILE[name]]
            if not (isinstance(place, ast.Name) and place.id in opened):
                yield name, node.lineno


def mode_of(call):
    """Return the mode of an `open`: reading where none is said, any where it is computed."""
    modes = [each.value for each in call.keywords if each.arg == "mode"]
    modes += call.args[(0 if isinstance(call.func, ast.Attribute) and call.func.attr == "open" else 1) :][:1]
    if not modes:
        return "r"
    if isinstance(modes[0], ast.Constant):
        return str(modes[0].value)
    return "w" if isinstance(call.func, ast.Name) or ast.unparse(modes[0]).endswith("mode") else "r"


def open_files_in(tree):
    """Return the names that stand for open files: of a `with`, of a parameter of that type, of bytes in memory."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.withitem) and isinstance(node.optional_vars, ast.Name):
            if isinstance(node.context_expr, ast.Call) and ast.unparse(node.context_expr.func) in WITHS:
                names.add(node.optional_vars.id)
        elif isinstance(node, ast.arg) and node.annotation is not None:
            if ast.unparse(node.annotation) in ("TextIO", "BinaryIO"):
                names.add(node.arg)
        elif isinstance(node, ast.Assign) and ast.unparse(node.value) == "io.BytesIO()":
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


WITHS = {"new_file", "new_text", "path.open"}


def test_no_other_module_writes_a_file():
    found = [
        f"{path.relative_to(ROOT).as_posix()}:{line}: {name}"
        for path in SOURCES
        if path != WRITER
        for name, line in writers_in(path.read_text("utf-8"))
        if (path.relative_to(ROOT).as_posix(), name) not in ALLOWED
    ]
    assert found == []


def test_every_exception_is_still_needed():
    needed = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in SOURCES
        for name, _ in writers_in(path.read_text("utf-8"))
        if path != WRITER
    }
    assert sorted(set(ALLOWED) - needed) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("path.write_text('x')", ["write_text"]),
        ("open(path, 'w')", ["open"]),
        ("open(path, mode='wb')", ["open"]),
        ("path.open('a')", ["open"]),
        ("path.open(mode)", ["open"]),
        ("table.to_csv(path)", ["to_csv"]),
        ("np.save(path, array)", ["save"]),
        ("figure.savefig(folder / 'a.png')", ["savefig"]),
        ("json.dump(document, path)", ["dump"]),
        ("open(path)", []),
        ("path.open('rb')", []),
        ("table.to_csv()", []),
        ("content = io.BytesIO()\nnp.save(content, array)", []),
        ("with new_text(path) as file:\n    table.to_csv(file)", []),
        ("def write(file: TextIO): table.to_csv(file)", []),
    ],
)
def test_a_writer_is_known_by_its_call(code, found):
    assert [name for name, _ in writers_in(code)] == found
