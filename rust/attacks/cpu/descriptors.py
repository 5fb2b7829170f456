# threat: CPU hog, real-time priority, descriptor exhaustion
# attack: opens descriptors until it cannot any more
# escapes: without Limit:Nofile as root
import resource
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
try: resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
except (OSError, ValueError): pass
held = []
try:
    while len(held) < 9000: held.append(os.open('/dev/null', os.O_RDONLY))
except OSError: pass
for descriptor in held: os.close(descriptor)
if len(held) >= 9000: escaped('%d descriptors' % len(held))
contained('%d descriptors' % len(held))
