# threat: gigabytes of output
# attack: writes without end, here 64 MiB, in one line
# ends: truncated
# escapes: unconfined
for i in range(64): sys.stdout.write('x' * (1 << 20))
sys.stdout.flush()
