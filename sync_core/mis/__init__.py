"""Where a school is read from: files in a file drop, or a vendor's server."""
