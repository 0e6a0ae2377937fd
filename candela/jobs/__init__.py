"""Jobs: what was asked, where it stands, and who moves it on."""
