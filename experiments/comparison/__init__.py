"""`crossframe compare`: all memories on the same frames of one video."""
