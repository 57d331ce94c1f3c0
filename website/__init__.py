"""The documentation as a site, and the reference of keys that is generated from the code."""
