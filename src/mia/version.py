"""What runs here, for a report of a fault: `mia version`."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

from mia.repository import git

DISTRIBUTION = "membership-inference-audit"
LIBRARIES = ("numpy", "scikit-learn", "pyarrow", "torch", "dvc")  # their versions are read, none is imported
CPUINFO = Path("/proc/cpuinfo")
ABSENT = "not installed"


def lines() -> list[str]:
    """One line a fact: this version, its commit, Python, the system, the processor, and the libraries."""
    facts = {
        "mia": _installed(DISTRIBUTION),
        "commit": commit(Path(__file__)),
        "Python": platform.python_version(),
        "system": platform.platform(),
        "processor": f"{processor()}, {os.cpu_count()} cores",
        **{name: _installed(name) for name in LIBRARIES},
    }
    width = max(map(len, facts))
    return [f"{name:{width}}  {value}" for name, value in facts.items()]


def commit(file: Path) -> str:
    """The commit that a file of this code belongs to, `-dirty` where tracked files were changed since.

    The repository must track the file: an environment may lie within somebody else's.
    """
    folder = "-C", str(file.parent)
    if git(*folder, "ls-files", "--error-unmatch", file.name) is None:
        return "unknown: not run from a clone, or git is not installed"
    described = git(*folder, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    return described.decode().strip() if described else "unknown: no commit yet"


def processor() -> str:
    """The processor's name as Linux has it, elsewhere as Python has it."""
    try:
        for line in CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _installed(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ABSENT
