"""One way to score a plane, whatever its size: crops, bands, the first look without a model, queries."""
