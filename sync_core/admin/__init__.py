"""What admins and teachers may request, and how their requests are carried out."""
