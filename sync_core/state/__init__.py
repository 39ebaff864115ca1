"""The tables: class rows and their history, schools, runs, accounts and webhook events."""
