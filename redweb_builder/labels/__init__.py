"""From matches to the refined label: sky, superpixel planes, uncertainty."""
