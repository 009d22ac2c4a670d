"""Everything that reads templates, behind the `blueprint` command."""
