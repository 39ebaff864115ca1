"""Simulated MIS vendors: the REST interfaces that schools are read from, in front of a school's own export."""
