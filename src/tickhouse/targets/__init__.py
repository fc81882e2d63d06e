"""Where the pipeline runs. A target is handed a `Pipeline` and arranges that its steps are run, and ended cleanly."""
