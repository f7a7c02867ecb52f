"""The frequency detector (Zeng et al., ICCV 2021, Section 4), at inference and as a filter of training sets."""
