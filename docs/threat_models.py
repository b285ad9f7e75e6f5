"""Draw every attack over the threat models of docs/results/cifake-half, from the metrics files there.

python docs/threat_models.py
"""

from __future__ import annotations

from pathlib import Path

from mia.report import figures
from mia.store import metrics_files

FOLDER = Path(__file__).parent / "results" / "cifake-half"
FPR = 0.01


def main() -> None:
    """Draw 16 and 64 shadows apart."""
    for models in (16, 64):
        measured = {
            knowledge: metrics_files.read_json(FOLDER / f"{knowledge}-{models}" / "attacks.json")
            for knowledge in ("generated", "disjoint", "population")
        }
        figures.save(figures.threat_models(measured, fpr=FPR), FOLDER / f"threat_models_{models}.png")


if __name__ == "__main__":
    main()
