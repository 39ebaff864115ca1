"""The only rooms that know a wire: MIS files, Microsoft Graph, Azure Tables, Service Bus."""
