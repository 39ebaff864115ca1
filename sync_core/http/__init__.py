"""The edges over HTTP: the admin API and the webhooks."""
