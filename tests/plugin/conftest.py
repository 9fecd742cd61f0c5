"""What the plugin's tests share: a project folder of their own, and keys that a person presses."""

import shutil
import subprocess
from pathlib import Path

import pytest
from qtpy.QtCore import Qt

from napari_costal.ui.preferences import Preferences


@pytest.fixture
def chosen(tmp_path: Path) -> Preferences:
    """Preferences that keep projects out of the home folder."""
    return Preferences("tester", tmp_path / "projects", "cpu", recent_file=tmp_path / "recent.json")


@pytest.fixture
def press(qtbot):
    """Press a key in a window as a person does: by the X server where there is one, else through Qt."""

    def act(window, key: str) -> None:
        window.activateWindow()
        xdotool = shutil.which("xdotool")
        if xdotool is None:
            qtbot.keyClick(window, {"Escape": Qt.Key.Key_Escape, "space": Qt.Key.Key_Space}.get(key, key))
            return
        for command in (["windowfocus", "--sync", str(int(window.winId()))], ["key", key]):
            subprocess.run([xdotool, *command], check=True, timeout=10)

    return act
