"""Measured figures: each file compares two things in one run; `python -m benchmarks.run` runs them all."""
