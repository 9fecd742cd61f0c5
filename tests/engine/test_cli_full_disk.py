"""A full disk under each command that writes: the earlier file stays whole, and one line says what happened."""

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from costal import files
from costal.labels.project import Tiling
from costal.labels.project_file import load_project, save_project

TABLE = "frame,y,x,class\na.tif,0,0,rings\na.tif,0,16,fibres\n"

DOCUMENT = Path(__file__).parents[1] / "fixtures" / "project-document.json"


@pytest.fixture
def folder(costal, tmp_path):
    """Return a project with two labels of an image a.tif beside it."""
    tifffile.imwrite(tmp_path / "a.tif", np.arange(48 * 48, dtype=np.uint16).reshape(48, 48))
    (tmp_path / "labels.csv").write_text(TABLE, "utf-8")
    assert costal("project", "new", tmp_path / "cells", "--classes", "rings,fibres")[0] == 0
    save_project(replace(load_project(tmp_path / "cells"), tiling=Tiling(16, 16)))
    assert costal("label", "--from", tmp_path / "labels.csv", "--project", tmp_path / "cells")[0] == 0
    return tmp_path / "cells"


COMMANDS = {
    "score": ("score", "a.tif", "--project", "cells", "--out", "out.csv"),
    "query": ("query", "a.tif", "--project", "cells", "--out", "out.csv", "--overwrite"),
    **{
        f"export {kind}": ("export", "cells", "--as", kind, "--out", "out.csv", "--overwrite")
        for kind in ("csv", "parquet", "coco", "geojson", "images")
    },
    "import": ("import", DOCUMENT, "again"),
    "train": ("train", "--project", "cells"),
    "apply": ("apply", "a.tif", "--project", "trained", "--out", "applied"),
    "project pack": ("project", "pack", "cells", "--out", "packed.zip", "--overwrite"),
    "project unpack": ("project", "unpack", "packed.zip", "again"),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_full_disk_leaves_the_earlier_file_and_nothing_else(costal, folder, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    assert costal("project", "pack", "cells", "--out", "packed.zip")[0] == 0
    if "trained" in command:
        shutil.copytree("cells", "trained")
        assert costal("train", "--project", "trained")[0] == 0
        Path("applied").mkdir()
    Path("out.csv").write_text("filled in by hand", "utf-8")
    before = sorted(tmp_path.rglob("*"))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name in ("_finish", "_put"):
        monkeypatch.setattr(files, name, full)
    code, out, err = costal(*command)
    assert (code, out) == (1, "")
    assert "No space left on device" in err
    assert "Free some space" in err or "Check both paths and the space" in err
    assert "Traceback" not in err
    assert Path("out.csv").read_text("utf-8") == "filled in by hand"
    assert sorted(tmp_path.rglob("*")) == before
