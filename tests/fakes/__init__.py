"""The ports in memory. The contract tests check them and the real adapters alike."""
