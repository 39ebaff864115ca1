"""What an admin may ask for, a file each: use cases between the admin API and the queue."""
