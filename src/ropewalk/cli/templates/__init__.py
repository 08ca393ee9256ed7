"""Templates: small programs that work, for `ropewalk new` to copy under another name.

Flow: each folder's files, with the word sample replaced -> the user's folder
Never: imported by the rest of the package; checked and tested like the rest of it.
"""
