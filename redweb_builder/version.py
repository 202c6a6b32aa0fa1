"""The one place of the version: pyproject.toml reads it here, and a test compares CITATION.cff."""

__version__ = "0.1.0"
METHOD = 11  # raised when the method changes what a label is: two methods are never mixed in one folder
