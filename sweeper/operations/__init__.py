"""Operations on sweeps: plan, try out, export, verify, reproduce, examine."""
