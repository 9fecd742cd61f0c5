"""The dock *Labelling dashboard*."""
