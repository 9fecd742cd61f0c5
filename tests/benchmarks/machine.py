"""What the figures of a benchmark depend on: the machine, how busy others keep it, versions, and the commit."""

import os
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

import costal
from costal.paper.environment import Environment, environment


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a benchmark ran.

    `load` is the number of processes that wanted a core when it began, None where the system does not tell. `commit`
    ends in ``-dirty`` when files were changed after it, and is empty outside a checkout.
    """

    environment: Environment
    cores: int
    load: float | None
    commit: str

    @property
    def figures(self) -> dict[str, object]:
        """Everything by name, for a table or a file."""
        own = {"cores": self.cores, "load": self.load, "commit": self.commit}
        return asdict(self.environment) | own


@dataclass(frozen=True, slots=True)
class Figures:
    """What a benchmark came to, and where it ran."""

    machine: Machine

    @property
    def figures(self) -> dict[str, object]:
        """Everything by name, for a file."""
        return asdict(self) | {"machine": self.machine.figures}


def machine(device: str, fingerprint: str) -> Machine:
    """Return this machine as it is now, for work on a device with crops of this fingerprint.

    Raises
    ------
    AgentError
        When the device is not here.
    """
    load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None  # Windows keeps none
    return Machine(environment(device, fingerprint), os.cpu_count() or 1, load, commit_of(Path(costal.__file__)))


def commit_of(file: Path) -> str:
    """Return the commit of the checkout that a file belongs to, or nothing when no checkout knows the file."""
    try:
        if not _git(file.parent, "ls-files", file.name):
            return ""
        return _git(file.parent, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):  # there is no git, or no checkout
        return ""


def _git(folder: Path, *arguments: str) -> str:
    ran = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return ran.stdout.strip()
