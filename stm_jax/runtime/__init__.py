"""The process: compiled programs that are kept, compilation watched, freed memory kept."""
