"""``noctule db check``: finds inconsistencies in the tables, the lake and the model store.

Belongs here: what must hold (``invariants``, ``batch_invariants``, ``scoring_invariants``), and the
checks of the tables (``tables``), of unfinished work (``work``) and of files (``files``). Does not
belong here: any repair. A check only reads.
"""
