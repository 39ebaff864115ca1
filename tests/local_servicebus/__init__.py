"""The Service Bus stand-in, without and with the real client."""
