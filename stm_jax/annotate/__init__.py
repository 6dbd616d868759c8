"""A video that is annotated at any frames, followed between them, corrected and followed again."""
