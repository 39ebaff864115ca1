"""The tables: the ports with fake and real adapters."""
