"""The page to paint on: a small server for one video, and the page that it serves."""
