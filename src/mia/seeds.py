"""Randomness: one seed in params.yaml, spawned by purpose and number; no global state.

The stream of (purpose, number) depends on the seed and on itself only, so model k draws the same whatever the number
of models, and no stage draws from another's stream.
"""

from __future__ import annotations

import zlib

import numpy as np


def sequence(seed: int, purpose: str, *numbers: int) -> np.random.SeedSequence:
    """The seed sequence of one purpose, such as ("initialisation", model_id)."""
    return np.random.SeedSequence(seed, spawn_key=(zlib.crc32(purpose.encode()), *numbers))


def generator(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """A NumPy generator of one purpose."""
    return np.random.default_rng(sequence(seed, purpose, *numbers))


def integer(seed: int, purpose: str, *numbers: int) -> int:
    """A seed below 2^31 for libraries that take one (scikit-learn, torch)."""
    return int(sequence(seed, purpose, *numbers).generate_state(1)[0]) & 0x7FFFFFFF
