"""Depth from one photograph: networks, and the one that comes with the program."""
