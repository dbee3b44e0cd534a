"""Streams of experiments: models, media, memories and their frames, as people name them."""
