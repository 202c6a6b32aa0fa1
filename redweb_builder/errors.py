"""Errors that are for people: str() says what was wrong, with which file, and what to do.

Whatever else is raised is a bug, and is shown as one (commands/errors.py).
"""

from __future__ import annotations


class UserError(Exception):
    """The base of every error that a person can do something about; it is shown without a traceback."""


class SettingsError(UserError, ValueError):
    """A setting out of range, or settings that contradict each other."""


class InputNotFound(UserError, FileNotFoundError):
    """There is nothing at the path that was given."""


class InputError(UserError):
    """A source that cannot be read as a stereo pair. `reason` is a short code, str() is for people."""

    def __init__(self, reason: str, detail: str) -> None:
        """reason: short code; detail: what was wrong, with which file, what to do."""
        super().__init__(detail)
        self.reason = reason


class StoreError(UserError):
    """A data set's folder cannot be used as asked."""


class UnsafePath(UserError, OSError):
    """What lies at a path is a link, or no regular file: it is neither written nor read."""


class WeightsUnavailable(UserError):
    """No weights could be had; str() says where they were looked for."""


class EngineError(UserError):
    """There is no cluster to build on, or its machines cannot do this build."""
