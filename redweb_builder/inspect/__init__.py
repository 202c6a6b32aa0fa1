"""Pictures for people: colour maps, the strip of one pair, the grid of many."""
