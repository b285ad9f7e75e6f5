"""`mia new`: a folder audits/NAME from a user's data, every value commented, and the next command."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mia import params_faults, paths
from mia.data import folder, image_lists, own_images
from mia.data.records import Records
from mia.errors import InputError
from mia.params_audit import ImagesData
from mia.store import atomic

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")  # it is part of paths and of commands
PLACES = ("data/population", "data/generated", "answers/target", "answers/shadows", "code", "model", "attacks")
# Keys of `data` that say how images are read.
HOW = {"size", "splits", "skip_broken", "image_column", "label_column", "file_list"}
ANSWERS = "answers.yaml"
BATCH = 256  # images a step; fewer where the set is small


def images(
    name: str, population: Path, generated: Path | None, values: Sequence[str] = (), model: Path | None = None
) -> None:
    """Write audits/NAME for images, and print a summary and the next command.

    population, generated: a folder, an archive or a Parquet file each (`mia.data.folder.read`); the audit holds a link
    to it. values: how they are read, `size=[32, 32]`: keys of `data` and their values in YAML. model: a trained model
    that was trained on the images in train/ (mia.audits.new_model). Raises InputError where the name is taken or cannot
    be one, a value cannot be, or the images cannot be read.
    """
    _check(name)
    if population.suffix.lower() == ".csv":
        raise InputError(f"{population}: a file list; name its folder, and --data file_list={population.name}")
    settings = _settings(values)
    reading = own_images.as_asked(settings)
    real, account = folder.read(population, min_per_class=1, reading=reading)
    attackers, more = real, ""
    said = [*own_images.lines(account)]
    if generated is not None:
        if reading.file_list is not None and image_lists.find(generated, reading.file_list) is None:
            reading = dataclasses.replace(reading, file_list=None)
        held, account = folder.read(generated, min_per_class=1, reading=reading)
        attackers = folder.align(real, held, place=str(generated))
        more = f"; generated: {len(attackers):,} images"
        said += [f"generated: {line}" for line in own_images.lines(account)]
    smallest = int(min((real.labels == label).sum() for label in range(len(real.classes))))
    split = "half" if real.published_train is None else "published"
    members = len(real) // 2 if real.published_train is None else int(real.published_train.sum())
    text = (resources.files("mia.audits") / "templates/images.yaml").read_text(encoding="utf-8")
    text = text.format(
        summary=_summary(real),
        split=split,
        min_per_class=min(10, smallest),
        batch_size=min(BATCH, max(16, members // 32)),
        train_size=max(1, min(members, len(attackers) // 2)),
        **{key: json.dumps(value, ensure_ascii=False) for key, value in settings.model_dump(include=HOW).items()},
    )
    given = {"data/population": population, "data/generated": generated, "model": model}
    _write(name, _with(model, text, real), given)
    print(f"{paths.audit(name)}: {_summary(real)}{more}")
    print(*said, sep="\n", end="\n" if said else "")
    if split == "half":
        print("There is no published split (train/ and test/): half of the images are drawn as members.")
    _say_next(name, generated=generated is not None)


def _say_next(name: str, *, generated: bool) -> None:
    knowledge = "" if generated else " -S attacker.knowledge=population"
    print(f"Attacks of your own go into {paths.audit(name) / 'attacks'} (docs/attacks.md).")
    print(f"Read {paths.audit(name) / paths.PARAMS}, then:")
    print(f"  git add {paths.audit(name)} && dvc exp run -S audit={name}{knowledge}")


def _settings(values: Sequence[str]) -> ImagesData:
    """The section `data` with these values, KEY=VALUE, and without others."""
    given: dict[str, Any] = {}
    for value in values:
        key, _, text = value.partition("=")
        if key not in HOW:
            raise InputError(f"--data {value}: {params_faults.hint(key, sorted(HOW))}")
        try:
            given[key] = YAML(typ="safe", pure=True).load(text)
        except YAMLError as error:
            raise InputError(f"--data {value}: not YAML: {' '.join(str(error).split())}") from None
    try:
        return ImagesData(
            source="images", split="half", population_size=None, attacker_size=None, min_per_class=1, **given
        )
    except ValidationError as error:
        faults = [params_faults.in_words(fault, ImagesData, Path("--data"), Path()) for fault in error.errors()]
        raise InputError("\n".join(faults)) from None


def answers(name: str, target: Path, shadows: Path | None) -> None:
    """Write audits/NAME for a model's answers (`mia.data.answers`), and print a summary and the next command.

    Raises InputError where the name is taken or cannot be one, or the answers cannot be read.
    """
    from mia.data import answers as reader

    _check(name)
    given = reader.read_target(target)
    models = reader.read_shadows(shadows, given) if shadows else {}
    members = int(given.answers.is_member.sum())
    summary = f"{len(given):,} records of {len(given.classes)} classes, {members:,} members; {len(models)} shadows"
    rewrite(name, ANSWERS, {"answers/target": target, "answers/shadows": shadows}, summary=summary)
    print(f"{paths.audit(name)}: {summary}")
    _say_next(name, generated=False)


def table(name: str, population: Path, label: str, generated: Path | None, model: Path | None = None) -> None:
    """Write audits/NAME for a table (`mia.data.tables`), and print a summary and the next command.

    A column that says train or test is taken for the published split, one that names every row for the records' names.
    model: a trained model that was trained on the training split (mia.audits.new_model).
    Raises InputError where the name is taken or cannot be one, or the table cannot be read.
    """
    from mia.data import tables

    _check(name)
    settings = tables.settings(tables.read(population), label)
    place = f"{paths.audit(name) / paths.PARAMS}: data."
    real = attackers = tables.load(population, settings, place)
    if generated is not None:
        attackers = tables.align(real, tables.load(generated, settings, place), generated)
    members = len(real) // 2 if real.published_train is None else int(real.published_train.sum())
    texts = sum(real.table[column].dtype == object for column in real.table)
    summary = (
        f"{len(real):,} records of {len(real.classes)} classes, {real.table.shape[1] - texts} columns of numbers and "
        f"{texts} of text"
    )
    text = (resources.files("mia.audits") / "templates/table.yaml").read_text(encoding="utf-8")
    values = text.format(
        summary=summary,
        label=json.dumps(label),
        id=json.dumps(settings.id),
        published=json.dumps(settings.published),
        ignored=json.dumps(settings.ignored),
        split=settings.split,
        train_size=max(1, min(members, len(attackers) // 2)),
    )
    given = {"data/population": population, "data/generated": generated, "model": model}
    _write(name, _with(model, values, real), given)
    print(f"{paths.audit(name)}: {summary}")
    print(
        f"The column {settings.published} gives the members."
        if settings.published
        else "No column gives the members: half of the records are drawn as members."
    )
    _say_next(name, generated=generated is not None)


def rewrite(name: str, template: str, given: dict[str, Path | None], *, summary: str = "a model's answers") -> None:
    """Write the folder of an audit from a template, in place of one of that name."""
    if paths.audit(name).exists():
        shutil.rmtree(paths.audit(name))
    text = (resources.files("mia.audits") / "templates" / template).read_text(encoding="utf-8")
    _write(name, text.format(summary=summary), given)


def _check(name: str) -> None:
    if not NAME.fullmatch(name):
        raise InputError(f"{name!r}: expected a name of letters, digits, - and _, at most 64; choose another")
    if not paths.AUDITS.is_dir():
        raise InputError(f"{paths.AUDITS}: no such folder; run from the root of the repository")
    if paths.audit(name).exists():
        raise InputError(f"{paths.audit(name)} exists; choose another name, or remove it: `rm -r {paths.audit(name)}`")


def _with(model: Path | None, text: str, records: Records) -> str:
    if model is None:
        return text
    from mia.audits import new_model

    return new_model.with_model(text, model, records)


def _summary(records: Records) -> str:
    height, width, channels = records.images.shape[1:]
    colour = "grey" if channels == 1 else "in colour"
    return f"{len(records):,} images of {len(records.classes)} classes, {width}x{height}, {colour}"


def _write(name: str, text: str, given: dict[str, Path | None]) -> None:
    """The folder, whole or not at all."""
    made = paths.AUDITS / f".{name}.{os.getpid()}"
    try:
        for kind in PLACES:
            source = given.get(kind)
            place = made / kind
            place.parent.mkdir(parents=True, exist_ok=True)
            if source is None:
                place.mkdir()
                (place / ".gitkeep").touch()
            else:
                place.symlink_to(source.resolve())
        with atomic.file(made / paths.PARAMS) as temporary:
            temporary.write_text(text, encoding="utf-8")
        made.rename(paths.audit(name))
    finally:
        shutil.rmtree(made, ignore_errors=True)
