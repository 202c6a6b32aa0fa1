"""How good labels, eye order, alignment and filters are."""
