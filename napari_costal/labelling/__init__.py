"""The page that shows one crop and times the answer."""
