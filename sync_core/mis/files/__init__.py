"""Feeds as CSV files: strict reading, in the formats that MIS export."""
