"""The gallery: crops as thumbnails, labelled several at once."""
