"""Measurements of a pair, and the checks that judge them."""
