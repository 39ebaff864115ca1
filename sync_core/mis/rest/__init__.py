"""Reads schools from the REST servers of MIS vendors."""
