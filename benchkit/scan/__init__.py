"""One folder of images, or one model from elsewhere, judged by a detector."""
