"""One indicator, one file; the file name is the name in settings."""
