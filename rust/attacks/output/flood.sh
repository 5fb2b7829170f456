# threat: gigabytes of output
# attack: writes without end to both streams, here 64 MiB
# ends: truncated
# escapes: unconfined
head -c 67108864 /dev/zero | tr '\0' 'x'
head -c 33554432 /dev/zero | tr '\0' 'y' >&2
