"""Judges the history of a run, simulated or real, by the invariants that must hold under every fault.

`python -m netsky.node.lab.checker FILE...`. It imports nothing of ours but its own files, so that it shares no mistake
with what it judges; a violation is told as the invariant's name and the events that it is about.
"""
