"""Why a case is slower than a peer's, and the next idea: {case key: text}."""

REASONS: dict[str, str] = {}
