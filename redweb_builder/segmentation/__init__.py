"""Segmentation of sky and far field in a photograph."""
