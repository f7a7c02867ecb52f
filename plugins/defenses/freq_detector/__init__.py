"""The frequency detector (Zeng et al., ICCV 2021, Section 4), at inference time and as a training filter."""
