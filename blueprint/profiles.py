"""What the two profiles mean, as values. Only `stacks/build.py` looks a profile up by its name."""

from __future__ import annotations

from blueprint.parts import Protection

PROFILES: dict[str, Protection] = {
    # Nothing is lost by a wrong template or a wrong click; 35 days is the longest point-in-time recovery RDS offers.
    "production": Protection(
        deletion_protection=True,
        keep_data=True,
        backup_days=35,
        log_days=365,
        reserve_concurrency=True,
    ),
    # Cheap, and nothing is left after destroy; still encrypted, still closed, still backed up for a day.
    "sandbox": Protection(
        deletion_protection=False,
        keep_data=False,
        backup_days=1,
        log_days=7,
        reserve_concurrency=False,
        time_to_live_days=7,
        limit_roles=True,
    ),
}
