"""The napari plugin, a thin layer over `costal`. Only it uses Qt, magicgui and napari; it never imports torch."""
