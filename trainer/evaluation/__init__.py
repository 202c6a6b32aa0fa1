"""The field's figures: of one picture, of a set, while training."""
