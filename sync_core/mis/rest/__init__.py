"""The REST servers of MIS vendors."""
