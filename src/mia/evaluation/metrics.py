"""Names and decimals of the numbers in metrics files."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

# Decimals kept in a metrics file, so that noise digits do not drown `dvc metrics diff`. A TPR at a low FPR is
# itself about as small as that FPR, and a threshold has the scale of its attack: both keep more, a TPR the fifth
# decimal that DVC's tables show at most (`dvc exp show --md` shows all there are).
_DECIMALS = 4
_SMALL_DECIMALS = 5
_THRESHOLD_DIGITS = 6


def fpr_key(fpr: float) -> str:
    """Return the metric key of the TPR at an FPR, without dots or exponent: 0.001 -> "tpr_at_fpr_0_001"."""
    return "tpr_at_fpr_" + np.format_float_positional(fpr, trim="-").replace(".", "_")


def json_ready(values: Mapping[str, float | int]) -> dict[str, float | int]:
    """Return plain ints and floats, rounded for a metrics file; NaN and infinite ones are left out.

    Counts (int) stay whole; a TPR at an FPR below 0.1 keeps 5 decimals, which is a record in 100,000, keys that
    end in "threshold" 6 significant digits, all others 4 decimals: a further one would be noise in every table.
    """
    ready: dict[str, float | int] = {}
    for key, value in values.items():
        if isinstance(value, int | np.integer):
            ready[key] = int(value)
        elif math.isfinite(value):
            if key.endswith("threshold"):
                ready[key] = float(f"{value:.{_THRESHOLD_DIGITS}g}")
            else:
                decimals = _SMALL_DECIMALS if key.startswith("tpr_at_fpr_0_0") else _DECIMALS
                ready[key] = round(float(value), decimals)
    return ready
