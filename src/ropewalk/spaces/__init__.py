"""Spaces: files that a group shares, sealed, versioned and redundant over many stores.

In the order to read them, from the bottom: ``store`` (one place), ``keys``, ``records``, ``identity``, ``home``,
``chunk``, ``pack``, ``tree``, ``pool``, ``promise``, ``state`` with ``ledger``, ``members``, ``head``, ``reader``,
``writer``, ``content``, ``version``, ``core``, ``learning``, ``change``, ``publish``, ``mend``, ``rebuild``,
``opening``, ``survey``, ``space``, ``status``, ``check``, ``repair``, ``transfer``.
"""
