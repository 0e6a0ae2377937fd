"""The patch database: tables, migrations, loading, labels."""
