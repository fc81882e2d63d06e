"""The vocabulary every room shares: rows, clocks, errors, settings, the network seam.

`core` imports nothing of ours; every room imports only `core` and itself.
"""
