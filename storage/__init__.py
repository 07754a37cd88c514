"""Where things are kept: the database, the lake's names and atomic writes, the model store."""
