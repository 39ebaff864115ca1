"""The queue contract, and the ports with their fake and real adapters."""
