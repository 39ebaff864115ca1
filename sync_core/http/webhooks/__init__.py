"""Webhooks from the MIS side: signatures, bodies and answers."""
