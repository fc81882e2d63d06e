"""What is done at each arrow of the flow: ingest, process, archive, refill, load, replay.

A step is handed the backends it works on and knows only their contracts. `pipeline.py` joins the steps; `targets`
run them.
"""
