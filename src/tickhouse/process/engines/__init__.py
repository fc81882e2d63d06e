"""Engines: one file each, all with the contract of `tickhouse.process.Engine`."""
