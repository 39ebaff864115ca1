"""Simulated MIS vendors: the REST servers that schools are read from, in front of a school's own export."""
