"""File drops: folders and blob containers where an MIS leaves its export sets."""
