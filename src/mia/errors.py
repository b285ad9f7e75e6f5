"""The one kind of error that a user can mend."""

# DVC would restore a damaged file from its cache, were it damaged there too: it does not look.
MEND = "delete it, let `make verify` look into DVC's cache, and `dvc repro` restores it or makes it anew"


class InputError(ValueError):
    """Bad input. The message names the place, the rule, the value that came, and the next step."""


class NotApplicable(InputError):  # noqa: N818
    """An attack cannot run under this threat model or on so few shadows; the message says why."""
