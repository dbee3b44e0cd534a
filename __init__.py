"""Training-free cross-frame attention memories for video vision-language models."""

__version__ = "0.1.0"
