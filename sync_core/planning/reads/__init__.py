"""What a plan reads beside the MIS: rows of classes, and classes that somebody made by hand."""
