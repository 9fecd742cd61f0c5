"""A recorded sitting in napari, played in two checkouts: what is stored and shown must be equal bit by bit.

``python -m tests.guards.session OLD NEW`` plays `tests/guards/played.py` in each (under ``xvfb-run`` where there is
one), at the same place one after the other, and names what differs in the project, in what the window said, and in what
the canvas showed. Memory, the time in which the dock opens, and import time are told, not judged.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.guards.compare import EQUAL, STARTS, compared, environment, report, start_s
from tests.guards.outputs import Lines, collected

SCRIPT = Path(__file__).with_name("played.py")
LIMIT_S = 900
NOT_COMPARED = frozenset({"figures.json", "grey.tif", "rgb.tif", "three.ome.tif"})


def played(checkout: Path, here: Path) -> tuple[dict[str, Lines], dict[str, Any]]:
    """Return what a sitting leaves behind in a checkout, and its figures; `here` is emptied first."""
    shutil.rmtree(here, ignore_errors=True)
    (here / "home").mkdir(parents=True)
    homes = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"), str(here / "home"))
    homes["NAPARI_CONFIG"] = str(here / "home" / "settings.yaml")
    screen = ["xvfb-run", "-a", "-s", "-screen 0 1500x1000x24"] if shutil.which("xvfb-run") else []
    command = [*screen, sys.executable, str(SCRIPT), str(here)]
    ran = subprocess.run(
        command, cwd=here, env=environment(checkout) | homes, capture_output=True, text=True, timeout=LIMIT_S
    )
    if ran.returncode:
        raise SystemExit(f"The sitting in {checkout} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
    shutil.rmtree(here / "home")
    figures = json.loads((here / "figures.json").read_text("utf-8"))
    if not Path(figures["code"]).is_relative_to(checkout):
        raise SystemExit(f"{checkout} was asked, and {figures['code']} was run. Choose the root of a checkout.")
    return collected(here, NOT_COMPARED), figures


def main(arguments: list[str] | None = None) -> int:
    """Compare a sitting in two checkouts; return the exit code: 0 when all is equal."""
    parser = argparse.ArgumentParser(prog="python -m tests.guards.session", description=__doc__.partition("\n")[0])
    parser.add_argument("old", type=Path, help="The checkout from before.")
    parser.add_argument("new", type=Path, help="The checkout from after.")
    parser.add_argument("--no-starts", action="store_true", help="Do not time imports.")
    parser.add_argument("--keep", type=Path, help="New folder that keeps what both sittings left behind.")
    chosen = parser.parse_args(arguments)
    checkouts = {"old": chosen.old.resolve(), "new": chosen.new.resolve()}
    outputs, figures = {}, {}
    with tempfile.TemporaryDirectory(prefix="session-") as folder:
        for name, checkout in checkouts.items():
            here = Path(folder).resolve() / "run"
            outputs[name], figures[name] = played(checkout, here)
            if chosen.keep is not None:
                shutil.copytree(here, chosen.keep / name)
    rows = list(compared("session", outputs["old"], outputs["new"]))
    told: dict[str, Any] = {key: (figures["old"][key], figures["new"][key]) for key in ("peak_mb", "dock_s")}
    if not chosen.no_starts:
        told |= {f"{start}: s": tuple(start_s(each, STARTS[start]) for each in checkouts.values()) for start in STARTS}
    sys.stdout.write(report(rows, told) + "\n")
    return int(any(row.verdict != EQUAL for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
