"""What is remembered of a video: frames by a rule, or single elements by a store.

`protocol` says what a memory is, `frame_rule` makes one of a single decision about a frame, and
`bank` holds the frames. `rules` has a file for each rule, `stores` one for each element store.
"""
