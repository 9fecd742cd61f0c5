"""The machine and the versions of an experiment, so that its figures can be judged and reproduced."""

import functools
import hashlib
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import costal


@dataclass(frozen=True, slots=True)
class Environment:
    """Versions, device and machine of a run, and the MD5 of the code and of the crops that it used."""

    costal: str
    source: str
    python: str
    torch: str
    numpy: str
    system: str
    processor: str
    device: str
    fingerprint: str

    def changes(self, other: "Environment") -> dict[str, str]:
        """Return the entries of another environment that differ from this one's."""
        here = asdict(self)
        return {name: entry for name, entry in asdict(other).items() if entry != here[name]}

    def differences(self, other: "Environment") -> tuple[str, ...]:
        """Return a line for each entry that differs."""
        return tuple(f"{name}: {getattr(self, name)} and {entry}" for name, entry in self.changes(other).items())


def environment(device: str, fingerprint: str) -> Environment:
    """Return this process's environment, for crops with this fingerprint."""
    from costal.agent.devices import choose_device, describe_device

    return Environment(
        costal.__version__,
        source_fingerprint(),
        platform.python_version(),
        version("torch"),
        version("numpy"),
        platform.platform(),
        processor(),
        describe_device(choose_device(device)),
        fingerprint,
    )


@functools.cache
def source_fingerprint() -> str:
    """Return the MD5 of the engine's source code: equal code, equal fingerprint."""
    folder = Path(costal.__file__).parent
    digest = hashlib.md5(usedforsecurity=False)
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()


def processor() -> str:
    """Return the processor's name; Linux gives it only in a file."""
    file = Path("/proc/cpuinfo")
    if file.is_file():
        for line in file.read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
