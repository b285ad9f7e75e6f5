"""Parameters that write down which of them are read, handed to the stages in place of the real ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mia import params_audit


class Recording:
    """A section of params.yaml; the dotted name of each value that is read goes into `read`.

    It has what stages use of a section: its fields, `place`, `model_dump`, and (name, value) pairs for `dict`.
    """

    def __init__(self, section: params_audit.Section, read: set[str], above: str = "") -> None:
        self._section, self._read, self._above = section, read, above

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # `match` asks for it
        return type(self._section)

    def __getattr__(self, name: str) -> Any:
        if name in ("path", "code") and isinstance(self._section, params_audit.Audit):  # where it lies, no value
            return getattr(self._section, name)
        if name in ("door", "shadows_door", "kind"):
            self._read |= {"model", "target"} if name == "door" else {"target"}
            return getattr(self._section, name)
        if name == "shadow_recipe":
            self._read |= {"shadow.mean", "shadow.deviation"}
            return Recording(getattr(self._section, name), self._read, "target.")
        if name == "scaling":
            self._read |= {f"{self._above}mean", f"{self._above}deviation"}
            return getattr(self._section, name)
        if name in ("brought", "recipe", "estimator", "sizes") and isinstance(self._section, params_audit.Audit):
            name = {"brought": "model", "recipe": "target", "estimator": "target", "sizes": "shadow"}[name]
        if name in ("scaling", "shadow_recipe"):  # computed: what they read is recorded
            return getattr(type(self._section), name).fget(self)
        if name not in type(self._section).model_fields:  # a method
            raise AttributeError(name)  # which getattr with a default needs
        value = getattr(self._section, name)
        if isinstance(value, params_audit.Section):
            return Recording(value, self._read, "" if name == "audit" else f"{self._above}{name}.")
        self._read.add("audit" if isinstance(self._section, params_audit.Audit) else f"{self._above}{name}")
        return value

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter([(name, getattr(self, name)) for name in type(self._section).model_fields])

    def place(self, value: str) -> str:
        assert isinstance(self._section, params_audit.Audit)
        return self._section.place(value)

    def model_copy(self, *, update: dict[str, Any]) -> params_audit.Section:
        self.model_dump()
        return self._section.model_copy(update=update)

    def model_dump(self) -> dict[str, Any]:
        for _, value in self:
            if isinstance(value, Recording):
                value.model_dump()
        return self._section.model_dump()
