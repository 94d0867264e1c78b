"""How fast the parts are beside the work that they cannot avoid, and whether a device is right."""
