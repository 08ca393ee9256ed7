"""Space: sections of a space's pages besides its files: who is in it, what stands side by side, where it lies.

Flow: pages.sections -> each one's class -> endpoints
Never: opens a space.
"""
