"""What a plan reads: the tables, the MIS, rows of classes, and classes that somebody made by hand."""
