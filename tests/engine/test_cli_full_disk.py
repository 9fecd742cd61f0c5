"""A full disk under each command that writes: the earlier file stays whole, and one line says what happened."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from costal import files

DOCUMENT = Path(__file__).parents[1] / "fixtures" / "project-document.json"


COMMANDS = {
    "score": ("score", "a.tif", "--project", "neurons", "--out", "out.csv"),
    "query": ("query", "a.tif", "--project", "neurons", "--out", "out.csv", "--overwrite"),
    **{
        f"export {kind}": ("export", "neurons", "--as", kind, "--out", "out.csv", "--overwrite")
        for kind in ("csv", "parquet", "coco", "geojson", "images")
    },
    "import": ("import", DOCUMENT, "again"),
    "train": ("train", "--project", "neurons"),
    "apply": ("apply", "a.tif", "--project", "trained", "--out", "applied"),
    "project pack": ("project", "pack", "neurons", "--out", "packed.zip", "--overwrite"),
    "project unpack": ("project", "unpack", "packed.zip", "again"),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_full_disk_leaves_the_earlier_file_and_nothing_else(costal, folder, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    assert costal("project", "pack", "neurons", "--out", "packed.zip")[0] == 0
    if "trained" in command:
        shutil.copytree("neurons", "trained")
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
    assert "Free some space" in err or "Check both paths and the free space" in err
    assert "Traceback" not in err
    assert Path("out.csv").read_text("utf-8") == "filled in by hand"
    assert sorted(tmp_path.rglob("*")) == before
