"""A simulated exchange: a local server that speaks the providers' own protocols, with faults on demand.

The demo, the tests, the benchmarks and the chaos runs use the real feeds against it. What it serves is always
labelled as simulated.
"""
