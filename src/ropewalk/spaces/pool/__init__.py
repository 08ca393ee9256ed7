"""The pool: the stores of a space with their domains, seen as one place for packs."""
