import signal
import subprocess
import sys
import time

import pytest

from costal.cli import microscope
from costal.frames.microscope import truth_of
from costal.frames.read import read

SMALL = ("--every", "0", "--shape", "64", "--crop", "32")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("way", [(), ("--preallocate",)], ids=["appended", "preallocated"])
def test_frames_are_written_into_a_new_folder(costal, tmp_path, way):
    folder = tmp_path / "new" / "frames"
    code, out, _ = costal("microscope", folder, "--frames", 2, "--planes", 3, "--seed", 4, *SMALL, *way)
    assert (code, out) == (0, f"2 frames written to {folder}\n")
    assert names(folder) == ["frame_00000.ome.tif", "frame_00001.ome.tif"]
    frame = read(folder / "frame_00001.ome.tif")
    assert (frame.axes, frame.pixels.shape) == ("ZYX", (3, 64, 64))
    assert (frame.pixels[0] == truth_of(4, 1, (64, 64), 32).pixels_Y_X).all()


def test_a_second_run_goes_on_where_the_first_ended(costal, tmp_path):
    costal("microscope", tmp_path, "--frames", 1, *SMALL)
    assert costal("microscope", tmp_path, "--frames", 1, *SMALL)[1] == f"1 frames written to {tmp_path}\n"
    assert names(tmp_path) == ["frame_00000.ome.tif", "frame_00001.ome.tif"]


def test_a_frame_takes_every_seconds(costal, tmp_path, monkeypatch):
    slept = []
    monkeypatch.setattr(microscope, "acquire", lambda *_, **options: slept.append(options) or iter(()))
    monkeypatch.setattr(microscope.ProgressBar, "drain", lambda self, job: tuple(job))
    costal("microscope", tmp_path, "--every", 6, "--planes", 3)
    assert (slept[0]["pause_s"], slept[0]["plane_pause_s"]) == (2, 2)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--frames", "0"), 2, "--frames"),
        (("--every", "-1"), 2, "--every"),
        (("--planes", "0"), 2, "--planes"),
        (("--crop", "10"), 1, "costal: A crop of 10 px is too small to tell rings"),
        (("--shape", "32"), 1, "costal: A field of 32 x 32 px holds no crop of 64 px"),
    ],
    ids=["no frames", "negative seconds", "no planes", "small crop", "small frame"],
)
def test_what_cannot_be_is_refused(costal, tmp_path, arguments, code, message):
    exit_code, _, err = costal("microscope", tmp_path, *arguments)
    assert (exit_code, names(tmp_path)) == (code, [])
    assert message in err


def test_a_folder_that_cannot_be_made_is_one_sentence(costal, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = costal("microscope", tmp_path / "file")
    assert code == 1
    assert err.startswith(f"costal: {tmp_path / 'file'} cannot be made (File exists). Choose another folder.")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal that only this process gets")
@pytest.mark.parametrize(
    ("options", "code"), [(("--frames", "1000"), 130), (("--forever",), 0)], ids=["counted", "forever"]
)
def test_ctrl_c_ends_it_and_leaves_only_whole_frames(tmp_path, options, code):
    arguments = ("microscope", tmp_path, "--every", "0.2", "--planes", "4", "--shape", "64", "--crop", "32", *options)
    process = subprocess.Popen(
        [sys.executable, "-m", "costal.cli", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    end = time.monotonic() + 60
    while not (tmp_path / "frame_00002.ome.tif").exists():
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in err
    result = [read(tmp_path / name) for name in names(tmp_path)]
    assert out == f"{len(result)} frames written to {tmp_path}\n"
    assert {(one.pixels.shape, one.notes) for one in result} == {((4, 64, 64), ())}
