"""Who may import whom, read from the source; and what an import loads, seen in a fresh process."""

import ast
import configparser
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {"costal": ROOT / "src" / "costal", "napari_costal": ROOT / "napari_costal"}
RANKS = {
    "costal": 0, "settings": 0, "types": 0, "errors": 0, "seeds": 0, "files": 0, "numerals": 0,
    "frames": 1, "agent": 1, "labels": 1,
    "loop": 2,
    "scoring": 3, "applying": 3,
    "workbench": 4, "paper": 4, "spread": 4,
    "cli": 5, "napari_costal": 5,
}  # fmt: skip
APART = {"frames", "agent", "labels", "napari_costal"}
PLUGIN_RANKS = {
    "engine": 0,
    "canvas": 1, "ui": 1,
    "labelling": 2,
    "label_crops": 3,
    "apply": 4, "dashboard": 4, "gallery": 4, "mosaic": 4,
    "samples": 5, "window": 5, "napari_costal": 5,
}  # fmt: skip
SCREEN = {"qtpy", "napari", "magicgui", "superqt", "vispy", "npe2", "app_model", "PyQt5", "PyQt6", "PySide2", "PySide6"}
TORCH = {"torch", "torchvision"}


class Import(NamedTuple):
    module: str  # that imports
    target: str  # that is imported, in full
    lazy: bool  # inside a function

    def __str__(self):
        return f"{self.module} -> {self.target}"


def module_name(package, path):
    parts = path.relative_to(SOURCES[package]).with_suffix("").parts
    return ".".join((package, *parts)).removesuffix(".__init__")


MODULES = {
    module_name(package, path): path for package, folder in SOURCES.items() for path in sorted(folder.rglob("*.py"))
}


def tree_of(module):
    return ast.parse(MODULES[module].read_text("utf-8"))


def imports_of(module):
    """Return the imports of a module, those under ``if TYPE_CHECKING`` too; a name that is a module counts as one."""
    found = []

    def visit(node, lazy):
        if isinstance(node, ast.Import):
            found.extend(Import(module, name.name, lazy) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            for name in node.names:
                whole = f"{node.module}.{name.name}"
                found.append(Import(module, whole if whole in MODULES else str(node.module), lazy))
        inner = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, inner)

    visit(tree_of(module), False)
    return found


IMPORTS = [each for module in MODULES for each in imports_of(module)]


def room(module):
    """Return the room of a module: `frames`, `loop`, … or `napari_costal`."""
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] or package if package == "costal" else package


def plugin_room(module):
    """Return the room inside the plugin: `engine`, `canvas`, …, or `napari_costal` for the plugin itself."""
    return module.split(".")[1] if "." in module else module


def top(name):
    return name.partition(".")[0]


def refused(one):
    """Return whether an import goes against the direction that DESIGN.md draws."""
    here, there = room(one.module), room(one.target)
    if here == there == "napari_costal":
        return refused_inside_plugin(one)
    if here == there:
        return False
    if (here, there) == ("cli", "napari_costal"):
        return not one.lazy
    if RANKS[here] == RANKS[there]:
        return RANKS[here] == 5 or here in APART
    return RANKS[here] < RANKS[there]


def refused_inside_plugin(one):
    """Return whether a room of the plugin imports one above it, or beside it: these do not know each other."""
    here, there = plugin_room(one.module), plugin_room(one.target)
    return here != there and PLUGIN_RANKS[here] <= PLUGIN_RANKS[there]


def test_every_module_is_in_a_known_room():
    assert {room(module) for module in MODULES} <= set(RANKS)
    assert {plugin_room(module) for module in MODULES if top(module) == "napari_costal"} == set(PLUGIN_RANKS)


def test_imports_point_one_way():
    own = [one for one in IMPORTS if top(one.target) in SOURCES]
    assert len(own) > 50
    assert [str(one) for one in own if refused(one)] == []


@pytest.mark.parametrize(
    ("module", "target", "lazy", "expected"),
    [
        ("costal.labels.store", "costal.agent.value", True, True),
        ("costal.frames.read", "costal.labels.store", False, True),
        ("costal.agent.cost", "costal.loop", True, True),
        ("costal.types", "costal.frames.grid", False, True),
        ("costal.loop", "costal.paper.experiment", True, True),
        ("costal.workbench", "napari_costal.engine.client", True, True),
        ("napari_costal.engine.client", "costal.cli.progress", True, True),
        ("costal.cli.demo", "napari_costal.window", False, True),
        ("costal.cli.demo", "napari_costal.window", True, False),
        ("napari_costal.canvas.opening", "napari_costal.ui.dock", True, True),
        ("napari_costal.labelling.labelling_page", "napari_costal.label_crops.widget", True, True),
        ("napari_costal.apply.widget", "napari_costal.mosaic.widget", False, True),
        ("napari_costal.mosaic.widget", "napari_costal.labelling.labelling_page", False, False),
        ("napari_costal.window", "napari_costal.apply.widget", False, False),
        ("costal.labels.models", "costal", False, False),
        ("costal.workbench", "costal.frames.grid", False, False),
    ],
)
def test_the_rule_refuses_what_the_design_forbids_and_nothing_else(module, target, lazy, expected):
    assert refused(Import(module, target, lazy)) is expected


def test_no_modules_import_each_other_in_a_circle():
    at_once = {
        module: {one.target for one in imports_of(module) if one.target in MODULES and not one.lazy}
        for module in MODULES
    }
    done: set[str] = set()
    while len(done) < len(at_once):
        free = {module for module, targets in at_once.items() if module not in done and targets <= done | {module}}
        assert free, f"a circle among {sorted(at_once.keys() - done)}"
        done |= free


def test_the_engine_knows_no_screen():
    assert [str(one) for one in IMPORTS if top(one.module) == "costal" and top(one.target) in SCREEN] == []


def test_torch_stays_out_of_the_rooms_that_must_not_know_it():
    forbidden = {"frames", "labels", "settings", "types", "errors", "seeds", "files", "numerals", "costal"}
    found = [one for one in IMPORTS if top(one.target) in TORCH and room(one.module) in forbidden]
    assert [str(one) for one in found] == []


def test_only_the_agent_imports_torch_at_once():
    found = [one for one in IMPORTS if top(one.target) in TORCH and not one.lazy and room(one.module) != "agent"]
    assert [str(one) for one in found] == []


def test_only_the_store_and_its_migrations_know_sqlite():
    found = {one.module for one in IMPORTS if top(one.target) == "sqlite3"}
    assert {room(module) for module in found} == {"labels"}


def test_the_engine_knows_no_pickle():
    picklers = {"pickle", "cloudpickle", "dill", "shelve", "joblib"}
    found = [str(one) for one in IMPORTS if top(one.module) == "costal" and top(one.target) in picklers]
    calls = [
        f"{module}:{node.lineno}"
        for module in MODULES
        if top(module) == "costal"
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"torch.load", "torch.save"}
        if module != "costal.agent.weights"  # weights of others, hashed before, and opened without running code
    ]
    loads = [node for node in ast.walk(tree_of("costal.agent.weights")) if isinstance(node, ast.Call)]
    loads = [ast.unparse(node) for node in loads if ast.unparse(node.func) == "torch.load"]
    assert loads
    assert all("weights_only=True" in load for load in loads)
    assert found + calls == []


def test_only_the_command_line_prints():
    prints = [
        f"{module}:{node.lineno}"
        for module in MODULES
        if room(module) != "cli"
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert prints == []


def test_the_package_list_is_the_tree():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    folders = {"napari_costal.resources": ROOT / "resources"}
    for package, folder in SOURCES.items():
        for inside in [folder, *(each for each in folder.rglob("*") if each.is_dir())]:
            if any(inside.glob("*.py")) or (inside / "py.typed").exists():
                folders[".".join((package, *inside.relative_to(folder).parts))] = inside
    assert set(parser["options"]["packages"].split()) == set(folders)
    assert [name for name, folder in folders.items() if not (folder / "__init__.py").exists()] == []


# in a fresh process


def loaded_by(*modules):
    """Return the top-level modules that a fresh interpreter holds after importing these."""
    script = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\n"
    script += "sys.stdout.write(' '.join({name.partition('.')[0] for name in sys.modules}))"
    ran = subprocess.run([sys.executable, "-c", script, *modules], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return set(ran.stdout.split())


def test_importing_costal_loads_neither_torch_nor_numpy_nor_a_screen():
    assert loaded_by("costal") & (TORCH | SCREEN | {"numpy"}) == set()


@pytest.mark.parametrize("name", ["labels", "frames", "loop", "workbench", "paper", "spread", "cli"])
def test_importing_a_room_loads_neither_torch_nor_a_screen(name):
    modules = [module for module in MODULES if room(module) == name and not module.endswith("__main__")]
    assert modules
    assert loaded_by(*modules) & (TORCH | SCREEN) == set()


def test_value_and_features_load_without_torch():
    assert loaded_by("costal.agent.value", "costal.agent.features", "costal.agent.metrics") & TORCH == set()


def test_importing_the_plugin_loads_neither_torch_nor_what_draws_figures_elsewhere(monkeypatch):
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    modules = [module for module in MODULES if top(module) == "napari_costal" and not module.endswith("__main__")]
    assert loaded_by(*modules) & (TORCH | {"matplotlib"}) == set()


def test_importing_costal_takes_less_than_a_fifth_of_a_second():
    script = "import sys, time; begun = time.perf_counter(); import costal; "
    script += "sys.stdout.write(str(time.perf_counter() - begun))"
    runs = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True) for _ in range(5)
    ]
    assert min(float(run.stdout) for run in runs) < 0.2
