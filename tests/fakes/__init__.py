"""The ports in memory: what the contract suites hold to the same promises as the real adapters."""
