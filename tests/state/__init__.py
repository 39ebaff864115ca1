"""The ports of the tables, with fake and real adapters."""
