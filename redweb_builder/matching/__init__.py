"""Matches between the two views: optical flow, semi-global matching, forward-backward consistency, fusion."""
