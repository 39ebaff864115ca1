"""The use cases of people: what admins and teachers may request."""
