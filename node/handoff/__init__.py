"""Restarts with a handoff: the intent, the end of the old life, the proof of the new one."""
