"""Segmentation of sky and far field in a photograph."""

from pathlib import Path

SHIPPED = Path(__file__).with_name("segmenter.safetensors")  # and .sha256 beside it; `train-segmenter` makes both
