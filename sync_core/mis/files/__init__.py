"""Feeds as CSV files: reading them strictly, in the formats that MIS export."""
