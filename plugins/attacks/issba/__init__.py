"""ISSBA (Li et al., ICCV 2021): an encoder hides a secret in each image, and the secret is the trigger."""
