"""Synthetic stereo scenes with exact disparity, and the newcomer's sample folder made from them."""
