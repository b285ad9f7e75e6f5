"""skops files, written with the same bytes for the same object."""

from __future__ import annotations

import importlib
import io
import json
import re
import sys
import zipfile
from typing import Any

import sklearn.utils

NUMBERS = re.compile(r'(?<="__id__": )\d+|(?<=")\d+(?=\.np[yz]")')  # of objects, and of their arrays' files


def dumps(estimator: Any) -> bytes:
    """Return an object of scikit-learn's kind as a skops file; the same object gives the same bytes.

    Raises what skops and the object itself raise where it cannot be stored.
    """
    io_of_skops = skops_io()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        # As skops.io.dumps does, but with the schema on one line: of a forest, Python takes a second to indent it.
        context = io_of_skops._utils.SaveContext(zip_file=archive)
        schema = io_of_skops._utils.get_state(estimator, context)
        schema |= {"protocol": context.protocol, "_skops_version": sys.modules["skops"].__version__}
        archive.writestr("schema.json", json.dumps(schema))
    return _canonical(content.getvalue())


def skops_io() -> Any:
    """The module skops.io, trusting no class of scikit-learn by itself.

    By itself it asks scikit-learn for all its estimators, and trusts them. On the way there scikit-learn would load
    torch and pytest too: 2 s and 500 MB for names that nobody reads.
    """
    if "skops.io" not in sys.modules:
        every, sklearn.utils.all_estimators = sklearn.utils.all_estimators, list
        try:
            importlib.import_module("skops.io.exceptions")
        finally:
            sklearn.utils.all_estimators = every
    return sys.modules["skops.io"]


def _canonical(content: bytes) -> bytes:
    """A skops archive with the same meaning and reproducible bytes.

    skops names objects by their address in memory and stamps its members with the time of writing; here they are
    numbered in the order of the schema, and the stamp is the earliest that zip knows.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    numbers: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        return numbers.setdefault(match[0], str(len(numbers) + 1))

    schema = NUMBERS.sub(number, members.pop("schema.json").decode())
    renamed = {"schema.json": schema.encode()}
    for name, data in members.items():
        stem, dot, suffix = name.partition(".")
        renamed[numbers.get(stem, stem) + dot + suffix] = data
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(renamed):
            archive.writestr(zipfile.ZipInfo(name), renamed[name], zipfile.ZIP_DEFLATED)
    return out.getvalue()
