"""Where a school is read from: files in a drop, or the server of a vendor."""
