"""What a program would do on accelerators that are not here: compiled for them, and counted."""
