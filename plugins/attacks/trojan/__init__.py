"""Trojaning attacks (Liu et al., NDSS 2018): a square or a watermark that activates chosen neurons."""
