"""Matches -> label: sky, superpixel plane fitting, uncertainty."""
