"""The queue contract, and the ports with fake and real adapters."""
