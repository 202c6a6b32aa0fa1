"""What writes a data set: a build, its engine, the merging of parts, other limits, the depth of one photograph."""
