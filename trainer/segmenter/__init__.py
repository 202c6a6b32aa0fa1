"""Training the built-in segmenter: sky and far field, as `python cli.py train-segmenter` does."""
