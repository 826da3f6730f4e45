"""Drills: what is promised for the bad day, proved on a good one."""
