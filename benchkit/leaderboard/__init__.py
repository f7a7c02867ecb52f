"""Tables that anyone can extend: records of many runs as tracks, checked and made into a static site. No torch.

May import: contracts, execute, plan, records, report, spec, store.
"""
