"""Labels out and in: tables, COCO, GeoJSON, image folders; whole projects as one file."""
