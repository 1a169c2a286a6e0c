"""The native hot path: kernel/ is C11 without Python.h, `_native.pyx` wraps it. Absent if it was not compiled."""
