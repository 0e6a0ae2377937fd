"""Who may ask for what: identity, browsers, ports."""
