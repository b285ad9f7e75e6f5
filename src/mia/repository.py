"""The git repository in which a command runs, asked by git itself."""

from __future__ import annotations

import subprocess


def git(*command: str) -> bytes | None:
    """What git says; None where it refuses, or is not installed."""
    try:
        done = subprocess.run(["git", *command], capture_output=True)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
