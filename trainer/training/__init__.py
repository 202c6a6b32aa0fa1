"""The loop, what it trains, and how it goes on after an interruption."""
