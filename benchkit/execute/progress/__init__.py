"""What a run says of itself while it goes on, and how long it will take."""
