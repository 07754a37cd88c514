"""``noctule db check``: finds what does not add up in the tables, the lake and the model store.

Belongs here: what must hold (``invariants``, ``batch_invariants``, ``scoring_invariants``), and the
checks of the tables (``tables``), of unfinished work (``work``) and of files (``files``). Does not
belong here: any repair. A check only reads.
"""
