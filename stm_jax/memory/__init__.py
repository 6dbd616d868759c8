"""What is remembered of a video: frames by a rule, or single elements by a store.

`memory` says what a memory is; `rules` and `rules_scored` hold the update rules of frames, whose
bank is in `bank`; `xmem`, `afb_urr` and `swiftnet` hold the element stores.
"""
