"""Stereo photographs in, a ReDWeb-style relative-depth data set out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redweb_builder.builder.build import build as build
    from redweb_builder.config import BuildConfig as BuildConfig
    from redweb_builder.config import Thresholds as Thresholds
    from redweb_builder.dataset.arrays import SampleArrays as SampleArrays
    from redweb_builder.dataset.reader import open_dataset as open_dataset

from redweb_builder.version import __version__ as __version__

__all__ = ["BuildConfig", "SampleArrays", "Thresholds", "build", "open_dataset"]

_HOME = {
    "build": "builder.build",
    "BuildConfig": "config",
    "SampleArrays": "dataset.arrays",
    "Thresholds": "config",
    "open_dataset": "dataset.reader",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use, so that `import redweb_builder` costs nothing and reads no network code."""
    if name not in _HOME:
        raise AttributeError(f"module 'redweb_builder' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"redweb_builder.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """What completion offers: the public names, loaded or not."""
    return [*__all__, "__version__"]
