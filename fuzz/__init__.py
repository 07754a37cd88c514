"""Long random runs of what the tests do briefly: schedules, mutations and kills."""
