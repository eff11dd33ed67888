"""What pages and services over HTTP share."""
