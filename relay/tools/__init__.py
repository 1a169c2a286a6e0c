"""What people use beside a running relay: importers, compare, traffic, the emulator."""
