"""Pictures of what a model does: masks over frames, sheets of frames."""
