"""From records to tables, pages and figures. The report reads only records: it imports neither torch nor plugins.

``load`` and ``select`` read records, ``cells`` groups seeds; each other purpose has a folder: ``tables``, ``formats``,
``figures``, ``published`` (beside published numbers) and ``runs`` (two results folders side by side).
May import: params, records, store.
"""
