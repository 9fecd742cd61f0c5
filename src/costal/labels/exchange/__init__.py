"""Labels out and in: tables, COCO, GeoJSON, image folders and one lossless JSON."""
