"""Seconds and bytes of the report by the number of records and attacks.

    PYTHONPATH=tests/helpers python -P benchmarks/report.py [--records 1000 60000] [--attacks 3 24] [--out FILE.json]

Scores are drawn, not measured (tests/helpers/reports.py); what is timed is making the page of them, figures included,
and not the reading of files. Each is made once to warm up and then three times; the fastest counts. -P: so that
`stages` are those of src, not benchmarks/stages.py.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

import reports
from mia.store import atomic


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, nargs="+", default=[1000, 10_000, 60_000])
    parser.add_argument("--attacks", type=int, nargs="+", default=[3, len(reports.ATTACKS)])
    parser.add_argument("--gallery", type=int, default=12, help="images at either end")
    parser.add_argument("--out", type=Path, help="a JSON file")
    given = parser.parse_args()
    if min(given.records) < 20 or not 1 <= min(given.attacks) <= max(given.attacks) <= len(reports.ATTACKS):
        parser.error(f"expected 20 records or more and 1 to {len(reports.ATTACKS)} attacks")
    rows = []
    print("| records | attacks | seconds | bytes |\n| ---: | ---: | ---: | ---: |")
    for records in given.records:
        for attacks in given.attacks:
            half = records // 2
            it = reports.made(
                attacks=reports.ATTACKS[:attacks], n_member=half, n_nonmember=records - half, shape=(32, 32, 3)
            )
            taken = []
            for _ in range(4):
                start = time.perf_counter()
                page = reports.page(it, gallery=given.gallery)
                taken.append(time.perf_counter() - start)
            row = {"records": records, "attacks": attacks, "seconds": min(taken[1:]), "bytes": len(page.encode())}
            rows.append(row)
            print(f"| {records:,} | {attacks} | {row['seconds']:.2f} | {row['bytes']:,} |", flush=True)
    if given.out:
        with atomic.file(given.out) as temporary:
            temporary.write_text(json.dumps({"python": platform.python_version(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
