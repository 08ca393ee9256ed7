"""Packs: bundles of sealed chunks in columns, any k of which give all; the unit of redundancy, audit and deletion.

In the order to read them: ``gf256``, ``isal`` and ``erasure`` (the code), ``roots`` (hashes over columns),
``directory`` (what lies where), ``share`` (the object in a store), ``packing`` (a pack being made).
"""
