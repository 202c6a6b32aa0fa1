"""The one place of the version: pyproject.toml reads it here, and a test compares CITATION.cff."""

__version__ = "0.1.0"
