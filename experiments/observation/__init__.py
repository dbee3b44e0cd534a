"""The StateKV paper's evidence, measured on any model and video."""
