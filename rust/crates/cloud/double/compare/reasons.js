// Why our requests differ from those of E2B's own client. `matches` says of which difference.
export const REASONS = [];
