"""The guard: what crosscheck says of every case of the corpora, held word for word against what is on record.

``nox -s guard`` runs it. A change that makes the code smaller must leave every row as it is; where a row becomes better,
``nox -s guard -- --accept NAME`` records it, and a person reads the diff of ``results/guard``.
"""
