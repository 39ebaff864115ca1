"""The admin API over HTTP: who calls, what bodies look like, and which use case answers."""
