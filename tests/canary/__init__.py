"""Names, addresses, birth dates and file names that must not leave the process."""
