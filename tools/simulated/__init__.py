"""A provider and hours of its life in a moment: what tests and benchmarks play polled feeds against."""
