"""Photographs and films through a trained network: single pictures, files, steadied films, the other eye's view."""
