"""The images that a user brought to an audit, read as its `data` section says, and what was done to them in numbers."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

from mia import paths
from mia.data import folder, image_lists
from mia.data.image_files import Account, Reading
from mia.data.records import Records
from mia.params_audit import ImagesData

LISTED = 100  # broken images are named so far


def read(settings: ImagesData, own: Path, *, generated: bool) -> tuple[Records, Records | None, dict[str, Any]]:
    """The real images, the generated ones, and what stands of both in metrics/data.json (`counts`).

    own: the folder audits/NAME/data. generated: whether the attacker holds generated images. None: it has none. Both
    are read alike; generated images without the file list that the audit names are read by their folders.

    What was done is said on stderr in a line each. Raises InputError where images cannot be read.
    """
    reading = as_asked(settings)
    place = _given(own, "population")
    real, account = folder.read(place, min_per_class=settings.min_per_class, reading=reading)
    counted = {"population": counts(account)}
    say(place, account)
    if not generated:
        return real, None, counted
    place = _given(own, "generated")
    if reading.file_list is not None and image_lists.find(place, reading.file_list) is None:
        reading = dataclasses.replace(reading, file_list=None)
    attackers, account = folder.read(place, min_per_class=settings.min_per_class, reading=reading)
    say(place, account)
    return real, folder.align(real, attackers, place=str(place)), {**counted, "generated": counts(account)}


def as_asked(settings: ImagesData) -> Reading:
    """How images are read: with their pixels on the disk that data/ will be on."""
    room = paths.POPULATION.parent
    return Reading(
        size=None if settings.size is None else (settings.size[0], settings.size[1]),
        splits=settings.splits,
        skip_broken=settings.skip_broken,
        image_column=settings.image_column,
        label_column=settings.label_column,
        file_list=settings.file_list,
        room=room if room.is_dir() else Path(),
    )


def counts(account: Account) -> dict[str, Any]:
    """What was done to a set, for metrics/data.json; what did not happen is left out."""
    found: dict[str, Any] = {
        "changed": dict(sorted(account.changes.items())),
        "passed_over": account.kinds_passed_over,
        "skipped_broken": len(account.broken),
        "broken": account.broken[:LISTED],
        "unused": account.unused,
        "nested": account.nested,
        "persons": 0 if account.persons is None else len(set(account.persons.tolist())),
    }
    return {name: value for name, value in found.items() if value}


def say(place: Path, account: Account) -> None:
    """What was done to a set, on stderr."""
    for line in lines(account):
        print(f"{place}: {line}", file=sys.stderr)


def lines(account: Account) -> list[str]:
    """What was done to a set, a line for each kind of thing, none where nothing was done."""
    found = list(account.notes)
    if account.changes:
        found.append("changed: " + ", ".join(f"{name} {count:,}" for name, count in sorted(account.changes.items())))
    if account.passed_over:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in account.kinds_passed_over.items())
        found.append(f"files passed over: {kinds}")
    if account.broken:
        found.append(f"broken images skipped: {len(account.broken):,}")
        found += [f"  {line}" for line in account.broken[:LISTED]]
    if account.unused:
        found.append(f"images not used: {account.unused:,}")
    if account.nested:
        found.append(f"images in folders below their class: {account.nested:,}")
    return found


def _given(own: Path, name: str) -> Path:
    """The user's folder, archive or table of that name; of a link, what it leads to."""
    needs = "expected a folder, an archive or a Parquet file, or a link to one, got nothing"
    less = "; without generated images set attacker.knowledge to population or disjoint" if name == "generated" else ""
    return paths.brought(own / name, needs + less)
