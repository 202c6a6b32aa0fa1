"""Broken and hostile files."""
