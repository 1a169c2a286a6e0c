"""What a bug report needs of a machine: machine.py reads the system, names.py hides names."""
