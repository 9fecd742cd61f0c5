"""The dock *Apply classifier*."""
