"""The GraphQL vocabulary every module speaks, and the stitching of the modules into one schema."""
