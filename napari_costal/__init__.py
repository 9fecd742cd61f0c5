"""The napari plugin: a thin face over `costal`. Qt, magicgui and napari live here only; torch never does."""
