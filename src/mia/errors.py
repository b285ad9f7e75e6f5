"""The one kind of error that a user can mend."""


class InputError(ValueError):
    """Bad input. The message names the place, the rule, the value that came, and the next step."""


class NotApplicable(InputError):  # noqa: N818
    """An attack cannot run under this threat model or on so few shadows; the message says why."""
