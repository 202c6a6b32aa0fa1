"""Rates and memory."""
