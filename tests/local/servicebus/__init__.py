"""The Service Bus stand-in, under the real client."""
