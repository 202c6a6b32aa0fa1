"""Where a pixel of one view lies in the other: optical flow, semi-global matching, consistency."""
