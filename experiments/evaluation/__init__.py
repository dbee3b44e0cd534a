"""Benchmarks through sessions: planned, streamed, written row by row, summed up."""
