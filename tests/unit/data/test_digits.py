"""The embedded digits are scikit-learn's own, and so are the images drawn in their likeness, without its import."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
from sklearn.datasets import load_digits
from sklearn.neighbors import KernelDensity

from mia.data import digits


def test_the_digits_are_scikit_learns() -> None:
    pixels, labels = load_digits(return_X_y=True)
    records = digits.load()
    assert records.images.shape == (1797, 8, 8, 1)
    np.testing.assert_array_equal(records.images.reshape(1797, -1), np.rint(pixels * (255 / 16)).astype(np.uint8))
    np.testing.assert_array_equal(records.labels, labels)


def test_generated_images_are_draws_of_scikit_learns_kernel_density() -> None:
    seen = digits.load().take(np.arange(0, 1797, 3))
    drawn = digits.generate(seen, 205, 1.5, np.random.default_rng(4))
    rng, pixels = np.random.default_rng(4), seen.images.reshape(len(seen), -1) * (16 / 255)
    expected = []
    for label in range(10):
        density = KernelDensity(bandwidth=1.5).fit(pixels[seen.labels == label])
        count = 21 if label < 5 else 20
        expected.append(density.sample(count, random_state=int(rng.integers(2**31))))
    levels = np.clip(np.rint(np.concatenate(expected) * (255 / 16)), 0, 255)
    np.testing.assert_array_equal(drawn.images.reshape(205, -1), levels[rng.permutation(205)])


def test_scikit_learn_itself_is_not_imported() -> None:
    code = "import sys; from mia.data import digits; digits.load(); print('sklearn' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
