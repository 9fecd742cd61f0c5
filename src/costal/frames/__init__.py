"""What the microscope gives: frames read, checked, normalised and tiled into crops."""
