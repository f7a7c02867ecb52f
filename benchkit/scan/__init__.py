"""Scan one folder of images, or one foreign model, with a detector."""
