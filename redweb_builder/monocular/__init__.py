"""Depth from one photograph: networks, and the one that comes with the program."""

from pathlib import Path

SHIPPED = Path(__file__).with_name("depth.safetensors")  # and .sha256 beside it; docs/depth-network.md
