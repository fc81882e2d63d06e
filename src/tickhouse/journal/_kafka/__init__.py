"""The parts of the journal on Kafka; `journal/kafka.py` joins them.

One append is one Kafka transaction over all topics. The topic `journal` has one message for each entry, in the order of their
positions, and says at which offsets of the other topics the entry's messages and ticks are. What is small and must be known at
once (the end, ledger, resume keys, groups) is in `state`, by key, compacted.
"""
