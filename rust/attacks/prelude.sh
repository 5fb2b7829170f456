contained() { printf '\nCONTAINED %s\n' "$*"; exit 0; }
escaped() { printf '\nESCAPED %s\n' "$*"; exit 0; }
