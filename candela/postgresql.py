"""How connections to a PostgreSQL are made; this module imports nothing."""

CONNECTION = {  # a server that is cut off is noticed soon (libpq's own words)
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # ms
}
